package notify

import (
	"net/url"
	"strings"
)

// Bounds of what a notification shows.
const (
	MaxBodyClusters = 120
	MaxBody         = 600  // bytes
	MaxName         = 120  // bytes, of a contact or an agent in a title
	MaxImage        = 1024 // bytes; a longer URL shows no image
)

// brand stands in the title where no name may.
const brand = "CAAC"

// ComposeInput is what the text of a notification is made of.
type ComposeInput struct {
	Contact   string // the contact's name, may be empty
	Agent     string // the agent's name where the device holds several logins, else empty
	Kind      Kind
	Text      string
	Thumbnail string  // URL
	Preview   Preview // the agent's; empty means full
	Ceiling   Preview // the deployment's; empty means full
	Locale    string  // the agent's, BCP 47
	Waiting   int     // messages it speaks for; Kind and Text are the newest's
}

// Shown is the text of a notification: one line each, valid UTF-8, within the
// bounds above. Title and Body are never empty.
type Shown struct {
	Title string
	Body  string
	Image string // https URL, or empty
	Lang  string // one of Languages
}

// Compose makes the text of a notification of one or several waiting messages.
func Compose(in ComposeInput) Shown {
	p := phrasesFor(in.Locale)
	preview := Stricter(in.Preview, in.Ceiling)
	s := Shown{Title: brand, Body: p.waiting(in.Waiting), Lang: p.lang}
	if preview != PreviewNone {
		s.Title = name(in.Contact)
		if s.Title == "" {
			s.Title = p.contact
		}
	}
	if agent := name(in.Agent); agent != "" {
		s.Title += " · " + agent
	}
	if preview != PreviewFull {
		return s
	}
	body := p.preview(in.Kind, in.Text)
	if in.Waiting > 1 {
		body = s.Body + " · " + body
	}
	s.Body = Cut(body, MaxBodyClusters, MaxBody)
	s.Image = image(in.Kind, in.Thumbnail)
	return s
}

// ComposeTest makes the text of a Push test. Agent is as in ComposeInput.
func ComposeTest(locale, agent string) Shown {
	p := phrasesFor(locale)
	s := Shown{Title: p.testTitle, Body: p.testBody, Lang: p.lang}
	if agent = name(agent); agent != "" {
		s.Title += " · " + agent
	}
	return s
}

// Stricter returns the preview that shows less. Empty means full; what is not a
// Preview means none.
func Stricter(a, b Preview) Preview {
	for _, p := range [...]Preview{a, b} {
		switch p {
		case "", PreviewFull, PreviewSender:
		default:
			return PreviewNone
		}
	}
	if a == PreviewSender || b == PreviewSender {
		return PreviewSender
	}
	return PreviewFull
}

// preview is what is shown of a message of a kind.
func (p *phrases) preview(k Kind, text string) string {
	switch k {
	case Text:
		if text = fold(text, MaxBody); !blank(text) {
			return text
		}
		return p.message
	case Emoji:
		if text = fold(text, MaxBody); !blank(text) {
			return text
		}
		return p.emoji
	case Image:
		return p.image
	case Sticker:
		return p.sticker
	case Video:
		return p.video
	}
	return p.file
}

func name(s string) string {
	if s = fold(s, MaxName); blank(s) {
		return ""
	}
	return Cut(s, MaxName, MaxName)
}

// image returns the thumbnail in its canonical form if it may be shown: of a
// kind that has a preview, at an absolute https URL without userinfo.
func image(k Kind, thumbnail string) string {
	switch k {
	case Image, Emoji, Sticker, Video:
	default:
		return ""
	}
	u, err := url.Parse(strings.TrimSpace(thumbnail))
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return ""
	}
	if s := u.String(); len(s) <= MaxImage {
		return s
	}
	return ""
}
