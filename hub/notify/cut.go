package notify

import (
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
)

const ellipsis = "…"

// Cut returns s if it has at most the given grapheme clusters and bytes;
// otherwise as many whole clusters as leave room for an ellipsis, and the
// ellipsis. Where not even that fits it returns "".
func Cut(s string, clusters, bytes int) string {
	end, room := 0, 0 // room: the longest prefix an ellipsis still fits behind
	rest, state := s, -1
	for n := 1; rest != ""; n++ {
		var c string
		c, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		end += len(c)
		if n > clusters || end > bytes {
			if bytes < len(ellipsis) || clusters < 1 {
				return ""
			}
			return strings.TrimRight(s[:room], " ") + ellipsis
		}
		if n < clusters && end+len(ellipsis) <= bytes {
			room = end
		}
	}
	return s
}

// fold makes one line of s: runs of white space and control characters become a
// space, none at either end; characters that reorder or hide what stands around
// them are left out; broken UTF-8 becomes U+FFFD. It stops once it has written
// more than limit bytes.
func fold(s string, limit int) string {
	var b strings.Builder
	gap := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r) || r == '\u2028' || r == '\u2029':
			gap = b.Len() > 0
			continue
		case misleading(r):
			continue
		}
		if gap {
			b.WriteByte(' ')
			gap = false
		}
		b.WriteRune(r)
		if b.Len() > limit {
			break
		}
	}
	return b.String()
}

// misleading reports the bidirectional embeddings, overrides and isolates
// (UAX 9), interlinear annotation and the byte order mark. The marks LRM, RLM
// and ALM stay: they turn nothing around.
func misleading(r rune) bool {
	return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' ||
		r >= '\ufff9' && r <= '\ufffb' || r == '\ufeff'
}

// blank reports that nothing of s can be seen.
func blank(s string) bool {
	for _, r := range s {
		if !unicode.IsSpace(r) && !unicode.Is(unicode.Cf, r) {
			return false
		}
	}
	return true
}
