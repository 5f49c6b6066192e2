package notify

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

const family = "👨‍👩‍👧‍👦" // one cluster of 25 bytes

func TestLongTextIsCutBetweenClustersWithAnEllipsis(t *testing.T) {
	cases := []struct {
		name, in string
		want     string
	}{
		{"120 clusters stay", strings.Repeat("a", 120), strings.Repeat("a", 120)},
		{"121 clusters", strings.Repeat("a", 121), strings.Repeat("a", 119) + "…"},
		{"600 bytes of families", strings.Repeat(family, 24), strings.Repeat(family, 24)},
		{"625 bytes of families", strings.Repeat(family, 25), strings.Repeat(family, 23) + "…"},
		{"no space before the ellipsis", strings.Repeat("a", 118) + " bcd", strings.Repeat("a", 118) + "…"},
		{"Thai vowels stay with their consonant", strings.Repeat("กำ", 121), strings.Repeat("กำ", 99) + "…"},
		{"one cluster longer than everything", "e" + strings.Repeat("\u0301", 1000), "…"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := Compose(ComposeInput{Kind: Text, Text: c.in}).Body; got != c.want {
				t.Errorf("got %q\nwant %q", got, c.want)
			}
		})
	}
}

func FuzzCutNeverSplitsACluster(f *testing.F) {
	f.Add("hello", 3, 10)
	f.Add(strings.Repeat(family, 3), 2, 60)
	f.Add("🇹🇼🇯🇵🇹🇭", 2, 17)
	f.Add("กำลัง\u0600a\xff\r\n", 4, 12)
	f.Fuzz(func(t *testing.T, s string, clusters, bytes int) {
		got := Cut(s, clusters, bytes)
		if got == s {
			if uniseg.GraphemeClusterCount(s) > max(0, clusters) || len(s) > max(0, bytes) {
				t.Fatalf("%q is longer than %d clusters and %d bytes", s, clusters, bytes)
			}
			return
		}
		if len(got) > max(0, bytes) || uniseg.GraphemeClusterCount(got) > max(0, clusters) {
			t.Fatalf("%q is longer than %d clusters and %d bytes", got, clusters, bytes)
		}
		if got == "" {
			if clusters >= 1 && bytes >= len(ellipsis) {
				t.Fatalf("nothing is left of %q, though an ellipsis fits", s)
			}
			return
		}
		kept, ok := strings.CutSuffix(got, ellipsis)
		if !ok {
			t.Fatalf("%q was cut to %q without an ellipsis", s, got)
		}
		// What was kept, and spaces taken off behind it, ends on a border of s.
		g, at := uniseg.NewGraphemes(s), 0
		borders := []int{0}
		for g.Next() {
			at += len(g.Str())
			borders = append(borders, at)
		}
		if !strings.HasPrefix(s, kept) {
			t.Fatalf("%q does not begin %q", kept, s)
		}
		for end := len(kept); ; end++ {
			if slices.Contains(borders, end) {
				return
			}
			if end >= len(s) || s[end] != ' ' {
				t.Fatalf("%q was cut inside a cluster: %q", s, kept)
			}
		}
	})
}

func FuzzComposedTextIsAlwaysFitToShow(f *testing.F) {
	f.Add("Ann", "Mei", "text", "hello\nworld", "https://cdn.example/a.png", "full", "", "zh_Hant_TW", 3)
	f.Add("\u202eevil", "", "emoji", "\x00\xff", "javascript:alert(1)", "sender", "none", "", 0)
	f.Fuzz(func(t *testing.T, contact, agent, kind, text, thumb, preview, ceiling, locale string, waiting int) {
		s := Compose(ComposeInput{contact, agent, Kind(kind), text, thumb, Preview(preview), Preview(ceiling), locale, waiting})
		if s.Title == "" || s.Body == "" {
			t.Fatalf("empty: %+v", s)
		}
		if len(s.Body) > MaxBody || uniseg.GraphemeClusterCount(s.Body) > MaxBodyClusters || len(s.Title) > 2*MaxName+len(" · ") || len(s.Image) > MaxImage {
			t.Fatalf("too long: %+v", s)
		}
		for _, line := range []string{s.Title, s.Body, s.Image} {
			if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f || misleading(r) }) {
				t.Fatalf("not fit to show: %q", line)
			}
		}
		if s.Image != "" && (!strings.HasPrefix(s.Image, "https://") || Stricter(Preview(preview), Preview(ceiling)) != PreviewFull) {
			t.Fatalf("image %q with preview %q, ceiling %q", s.Image, preview, ceiling)
		}
		if !slices.Contains(Languages, s.Lang) {
			t.Fatalf("language %q", s.Lang)
		}
	})
}

func TestTextBecomesOneLineThatTurnsNothingAround(t *testing.T) {
	for in, want := range map[string]string{
		"  two\r\n\tlines\u2028three\u0085four ": "two lines three four",
		"\u202eevil\u2066x\u2069":                "evilx",
		"\x00\x1b[31mred\x7f":                    "[31mred",
		"a\xffb":                                 "a\ufffdb",
		"میخواهم\u200cها":                        "میخواهم\u200cها",
		family:                                   family,
	} {
		if got := Compose(ComposeInput{Kind: Text, Text: in}).Body; got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

func TestTextWithNothingToSeeIsANewMessage(t *testing.T) {
	for _, in := range []string{"", " \n", "\u200b\u200d", "\u202e"} {
		if got := Compose(ComposeInput{Kind: Text, Text: in}).Body; got != "New message" {
			t.Errorf("%q is shown as %q", in, got)
		}
		if got := Compose(ComposeInput{Kind: Emoji, Text: in}).Body; got != "sent an emoji" {
			t.Errorf("emoji %q is shown as %q", in, got)
		}
		if got := Compose(ComposeInput{Contact: in}).Title; got != "Contact" {
			t.Errorf("contact %q is shown as %q", in, got)
		}
	}
}

func TestEveryOtherKindIsShownAsAFile(t *testing.T) {
	for _, k := range []Kind{"file", "audio", "location", "", "TEXT"} {
		s := Compose(ComposeInput{Kind: k, Text: "secret.pdf", Thumbnail: "https://cdn.example/a.png"})
		if s.Body != "User sent a file." || s.Image != "" {
			t.Errorf("kind %q is shown as %+v", k, s)
		}
	}
}

func TestLongNamesAreCutToTheirBytes(t *testing.T) {
	s := Compose(ComposeInput{Contact: strings.Repeat(family, 9), Agent: strings.Repeat("あ", 50), Kind: Image})
	if want := strings.Repeat(family, 4) + "… · " + strings.Repeat("あ", 39) + "…"; s.Title != want {
		t.Errorf("got %q\nwant %q", s.Title, want)
	}
}

func TestImageNeedsHTTPSAndFullPreview(t *testing.T) {
	const good = "https://cdn.example/a.png?x=1"
	cases := []struct {
		url              string
		preview, ceiling Preview
		kind             Kind
		want             string
	}{
		{good, "", "", Image, good},
		{good, PreviewFull, PreviewFull, Video, good},
		{good, "", "", Text, ""},
		{good, PreviewSender, PreviewFull, Image, ""},
		{good, PreviewFull, PreviewNone, Image, ""},
		{"http://cdn.example/a.png", "", "", Image, ""},
		{"//cdn.example/a.png", "", "", Image, ""},
		{"https://user:pw@cdn.example/a.png", "", "", Image, ""},
		{"https:///a.png", "", "", Image, ""},
		{"data:image/png;base64,AAAA", "", "", Image, ""},
		{"https://cdn.example/" + strings.Repeat("a", MaxImage), "", "", Image, ""},
	}
	for _, c := range cases {
		got := Compose(ComposeInput{Kind: c.kind, Thumbnail: c.url, Preview: c.preview, Ceiling: c.ceiling}).Image
		if got != c.want {
			t.Errorf("%+v shows %q", c, got)
		}
	}
}

func TestTheStricterPreviewHolds(t *testing.T) {
	order := []Preview{PreviewFull, PreviewSender, PreviewNone}
	for i, a := range order {
		for j, b := range order {
			if got := Stricter(a, b); got != order[max(i, j)] {
				t.Errorf("%s and %s: %s", a, b, got)
			}
		}
	}
	if got := Stricter("", ""); got != PreviewFull {
		t.Errorf("unset: %s", got)
	}
	if got := Stricter("everything", PreviewFull); got != PreviewNone {
		t.Errorf("unknown: %s", got)
	}
}

func TestLocaleFallsBackToALanguageWithTexts(t *testing.T) {
	for locale, want := range map[string]string{
		"en": "en", "": "en", "fr-FR": "en", "x": "en", "thx": "en",
		"zh-TW": "zh-TW", "zh-Hant": "zh-TW", "zh-HK": "zh-TW", "zh_Hant_HK": "zh-TW", "ZH": "zh-TW",
		"ja": "ja", "ja-JP": "ja", "th_TH": "th",
	} {
		if got := Language(locale); got != want {
			t.Errorf("%q: %s, want %s", locale, got, want)
		}
	}
}

func TestEveryLanguageHasEveryText(t *testing.T) {
	for _, p := range []*phrases{&english, &chinese, &japanese, &thai} {
		for i, s := range []string{p.lang, p.image, p.emoji, p.sticker, p.video, p.file, p.contact, p.message, p.messagesAfter, p.testTitle, p.testBody} {
			if s == "" {
				t.Errorf("%s lacks text %d", p.lang, i)
			}
		}
		if got := phrasesFor(p.lang); got != p {
			t.Errorf("%s is served %s", p.lang, got.lang)
		}
	}
}
