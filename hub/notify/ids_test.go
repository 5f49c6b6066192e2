package notify

import (
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

// Notifications on devices and records in stores go by these: they must not change.
func TestTagsAndDeliveryIDsStayTheSameForEver(t *testing.T) {
	if got := Tag("mei", "c1"); got != "316cc5b41a8c67be571cf31fa885a495" {
		t.Errorf("Tag changed: %s", got)
	}
	if got := DeliveryID(Ref{"c1", "m1"}, "mei", "desktop"); got != "Yxfe-oScarnz2zj3uQbwWw" {
		t.Errorf("DeliveryID changed: %s", got)
	}
}

func TestTagsAndDeliveryIDsAreDistinct(t *testing.T) {
	topic, id := regexp.MustCompile(`^[A-Za-z0-9]{1,32}$`), regexp.MustCompile(`^[A-Za-z0-9_-]{22,26}$`)
	part := rapid.StringOfN(rapid.SampledFrom([]rune("ab\x00\x01")), 0, 4, -1)
	rapid.Check(t, func(t *rapid.T) {
		a, b := part.Draw(t, "agent"), part.Draw(t, "conversation")
		c, d := part.Draw(t, "agent"), part.Draw(t, "conversation")
		if !topic.MatchString(Tag(a, b)) || !id.MatchString(DeliveryID(Ref{a, b}, c, d)) {
			t.Fatalf("%s, %s", Tag(a, b), DeliveryID(Ref{a, b}, c, d))
		}
		if same := a == c && b == d; same != (Tag(a, b) == Tag(c, d)) || same != (DeliveryID(Ref{"c", "m"}, a, b) == DeliveryID(Ref{"c", "m"}, c, d)) {
			t.Fatalf("%q %q and %q %q", a, b, c, d)
		}
	})
}
