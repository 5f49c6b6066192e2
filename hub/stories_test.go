package hub_test

import (
	"testing"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

func answered(class notify.PushClass, status int) notify.PushAnswer {
	return notify.PushAnswer{Class: class, Status: status, Host: "push.test"}
}

func TestStories(t *testing.T) {
	for _, st := range stories {
		runStory(t, st.name, st.tell)
	}
}

var stories = []struct {
	name string
	tell func(s *story)
}{
	{"active desktop and hidden phone", func(s *story) {
		s.agent("mei")
		s.device("mei", "desktop", "active viewing bob")
		s.device("mei", "phone", "hidden")
		s.writes("hello", to("mei"))
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"viewing on the desktop keeps the phone silent", func(s *story) {
		s.agent("mei")
		s.device("mei", "desktop", "active viewing ann")
		s.device("mei", "phone", "closed")
		s.writes("hello", to("mei"))
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"a viewing page that never confirms lets the phone ring", func(s *story) {
		s.agent("mei")
		s.device("mei", "desktop", "mute active viewing ann")
		s.device("mei", "phone", "closed")
		s.writes("hello", to("mei"))
		s.pass(5 * time.Second)
		s.settled()
	}},
	{"off duty then on duty", func(s *story) {
		s.agent("mei")
		s.device("mei", "desktop", "active")
		s.device("mei", "phone", "closed")
		s.duty("mei", false)
		s.writes("one", to("mei"))
		s.pass(time.Second)
		s.writes("two", nil)
		s.pass(10 * time.Second)
		s.duty("mei", true)
		s.pass(10 * time.Second)
		s.settled()
	}},
	{"off duty reads count", func(s *story) {
		s.agent("mei")
		desktop := s.device("mei", "desktop", "active")
		s.writes("one", to("mei"))
		s.pass(4 * time.Second)
		s.duty("mei", false)
		s.say("mei reads it though off duty")
		desktop.page.readUpto("ann", 1)
		s.pass(time.Second)
		s.settled()
	}},
	{"muted", func(s *story) {
		s.agent("mei")
		s.device("mei", "desktop", "active")
		s.device("mei", "phone", "closed")
		s.say("mei turns notifications off")
		if _, err := s.hub.SetPreferences(s.t.Context(), "mei", hub.PreferencesInput{Notifications: ptr(false)}); err != nil {
			s.t.Fatal(err)
		}
		s.writes("hello", to("mei"))
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"device switch off", func(s *story) {
		s.agent("mei")
		desktop := s.device("mei", "desktop", "visible")
		phone := s.device("mei", "phone", "closed")
		for _, d := range []*storyDevice{desktop, phone} {
			s.say("%s: the switch is turned off", d.name)
			if _, err := s.hub.SetDevice(s.t.Context(), "mei", d.auth, hub.DeviceInput{On: ptr(false)}); err != nil {
				s.t.Fatal(err)
			}
		}
		s.writes("hello", to("mei"))
		s.pass(4 * time.Second)
		desktop.turns("active")
		s.writes("you are looking", nil)
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"permission not asked and denied", func(s *story) {
		s.agent("mei")
		s.device("mei", "desktop", "unsubscribed default hidden")
		s.device("mei", "phone", "unsubscribed denied closed")
		s.device("mei", "tablet", "unsubscribed denied visible")
		s.writes("hello", to("mei"))
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"visible on a second monitor", func(s *story) {
		s.agent("mei")
		s.device("mei", "desktop", "visible")
		s.writes("hello", to("mei"))
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"a local notification that no page confirms", func(s *story) {
		s.agent("mei")
		s.device("mei", "desktop", "mute visible")
		s.writes("hello", to("mei"))
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"two local notifications that no page confirms", func(s *story) {
		s.agent("mei")
		s.device("mei", "desktop", "mute visible")
		s.writes("one", to("mei"))
		s.pass(2 * time.Second)
		s.writes("two", nil)
		s.pass(6 * time.Second)
		s.settled()
	}},
	{"hidden without a subscription", func(s *story) {
		s.agent("mei")
		s.device("mei", "desktop", "unsubscribed hidden")
		s.device("mei", "phone", "unsubscribed closed")
		s.writes("hello", to("mei"))
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"burst of five messages", func(s *story) {
		s.agent("mei")
		s.device("mei", "phone", "closed")
		for _, text := range []string{"one", "two", "three", "four", "five"} {
			s.writes(text, to("mei"))
			s.pass(200 * time.Millisecond)
		}
		s.pass(6 * time.Second)
		s.writes("and later", nil)
		s.pass(6 * time.Second)
		s.settled()
	}},
	{"burst on a second monitor", func(s *story) {
		s.agent("mei")
		s.device("mei", "desktop", "visible")
		s.writes("one", to("mei"))
		s.pass(time.Second)
		s.writes("two", nil)
		s.pass(time.Second)
		s.writes("three", nil)
		s.pass(8 * time.Second)
		s.settled()
	}},
	{"burst that ends with the page closed", func(s *story) {
		s.agent("mei")
		desktop := s.device("mei", "desktop", "visible")
		s.writes("one", to("mei"))
		s.pass(time.Second)
		s.writes("two", nil)
		s.pass(time.Second)
		desktop.closes()
		s.pass(5 * time.Second)
		s.settled()
	}},
	{"burst that ends on a page looked at again", func(s *story) {
		s.agent("mei")
		desktop := s.device("mei", "desktop", "hidden")
		s.writes("one", to("mei"))
		s.pass(time.Second)
		s.writes("two", nil)
		s.pass(time.Second)
		desktop.turns("active")
		s.pass(8 * time.Second)
		s.settled()
	}},
	{"burst that ends on a frozen page", func(s *story) {
		s.agent("mei")
		desktop := s.device("mei", "desktop", "hidden")
		s.writes("one", to("mei"))
		s.pass(time.Second)
		s.writes("two", nil)
		s.pass(time.Second)
		desktop.turns("active")
		desktop.freezes()
		s.pass(8 * time.Second)
		s.settled()
	}},
	{"read on another device", func(s *story) {
		s.agent("mei")
		desktop := s.device("mei", "desktop", "active")
		s.device("mei", "tablet", "hidden")
		s.device("mei", "phone", "closed")
		s.writes("one", to("mei"))
		s.pass(time.Second)
		s.writes("two", nil)
		s.pass(time.Second)
		s.say("mei reads on the desktop")
		desktop.page.readUpto("ann", 2)
		s.pass(5 * time.Second)
		s.writes("three", nil)
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"read up to what was seen", func(s *story) {
		s.agent("mei")
		desktop := s.device("mei", "desktop", "active")
		s.device("mei", "phone", "closed")
		for _, text := range []string{"one", "two", "three"} {
			s.writes(text, to("mei"))
			s.pass(100 * time.Millisecond)
		}
		s.say("mei reads up to the second")
		desktop.page.readUpto("ann", 2)
		s.pass(8 * time.Second)
		s.settled()
	}},
	{"answered by a colleague", func(s *story) {
		s.agent("mei", "ken")
		s.team("t", "mei", "ken")
		s.device("mei", "phone", "closed")
		s.device("ken", "desktop", "active")
		s.writes("one", toTeam("t"))
		s.pass(time.Second)
		s.writes("two", nil)
		s.pass(time.Second)
		s.say("ken answers")
		if err := s.hub.Answered(s.t.Context(), "ann", 0); err != nil {
			s.t.Fatal(err)
		}
		s.pass(6 * time.Second)
		s.settled()
	}},
	{"a team of three and one takes it", func(s *story) {
		s.agent("mei", "ken", "zoe")
		s.team("t", "mei", "ken", "zoe")
		s.device("mei", "phone", "closed")
		s.device("ken", "desktop", "active")
		s.device("zoe", "desktop", "visible")
		s.writes("hello", toTeam("t"))
		s.pass(5 * time.Second)
		s.assigns(hub.AssignmentInput{Agent: "ken", Team: "t"})
		s.pass(time.Second)
		s.writes("still there?", nil)
		s.pass(5 * time.Second)
		s.settled()
	}},
	{"reassigned", func(s *story) {
		s.agent("mei", "ken")
		s.device("mei", "desktop", "active")
		s.device("mei", "phone", "closed")
		s.device("ken", "phone", "closed")
		s.writes("one", to("mei"))
		s.pass(time.Second)
		s.writes("two", nil)
		s.pass(time.Second)
		s.assigns(hub.AssignmentInput{Agent: "ken"})
		s.pass(8 * time.Second)
		s.settled()
	}},
	{"reassigned at once to an active colleague", func(s *story) {
		s.agent("mei", "ken")
		s.device("mei", "desktop", "active")
		s.device("ken", "desktop", "active")
		s.writes("hello", to("mei"))
		s.pass(500 * time.Millisecond)
		s.assigns(hub.AssignmentInput{Agent: "ken"})
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"reassigned at once after the chat was looked at", func(s *story) {
		s.agent("mei", "ken")
		s.device("mei", "desktop", "active viewing ann")
		s.device("ken", "desktop", "mute active")
		s.writes("hello", to("mei"))
		s.pass(500 * time.Millisecond)
		s.assigns(hub.AssignmentInput{Agent: "ken"})
		s.pass(5 * time.Second)
		s.settled()
	}},
	{"reassigning does not keep a frozen page waiting", func(s *story) {
		s.agent("mei", "ken", "zoe")
		s.team("a", "mei", "ken")
		s.team("b", "mei", "zoe")
		s.device("mei", "desktop", "mute active")
		s.device("ken", "desktop", "active")
		s.device("zoe", "desktop", "mute active")
		s.writes("hello", toTeam("a"))
		s.pass(2 * time.Second)
		s.assigns(hub.AssignmentInput{Team: "b"})
		s.pass(5 * time.Second)
		s.settled()
	}},
	{"reassigned with the message", func(s *story) {
		s.agent("mei", "ken")
		s.device("mei", "phone", "closed")
		s.device("ken", "phone", "closed")
		s.writes("one", to("mei"))
		s.pass(time.Second)
		s.writes("two", to("ken"))
		s.pass(8 * time.Second)
		s.settled()
	}},
	{"unassigned and then assigned", func(s *story) {
		s.agent("mei")
		s.device("mei", "phone", "closed")
		s.writes("anybody?", &hub.AssignmentInput{})
		s.pass(2 * time.Second)
		s.assigns(hub.AssignmentInput{Agent: "mei"})
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"nobody logged in", func(s *story) {
		s.agent("mei")
		s.writes("hello", to("mei"))
		s.pass(time.Second)
		s.settled()
	}},
	{"two agents on one device", func(s *story) {
		s.agent("mei", "ken")
		s.team("t", "mei", "ken")
		mei := s.device("mei", "desktop", "active")
		s.beside(mei, "ken").open("hidden")
		s.writes("hello", toTeam("t"))
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"a lease ends after 45 seconds", func(s *story) {
		s.agent("mei")
		s.device("mei", "desktop", "active")
		s.pass(46 * time.Second)
		s.say("46 seconds without a renewal")
		s.writes("hello", to("mei"))
		s.pass(time.Second)
		s.settled()
	}},
	{"a frozen page", func(s *story) {
		s.agent("mei")
		desktop := s.device("mei", "desktop", "active")
		desktop.freezes()
		s.writes("hello", to("mei"))
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"a frozen page without a subscription", func(s *story) {
		s.agent("mei")
		s.device("mei", "desktop", "unsubscribed mute active")
		s.writes("hello", to("mei"))
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"a page turns hidden right after a toast", func(s *story) {
		s.agent("mei")
		desktop := s.device("mei", "desktop", "mute active")
		s.writes("hello", to("mei"))
		s.pass(100 * time.Millisecond)
		desktop.turns("hidden")
		s.pass(time.Second)
		s.settled()
	}},
	{"a page is closed right after a toast", func(s *story) {
		s.agent("mei")
		desktop := s.device("mei", "desktop", "mute active")
		s.writes("hello", to("mei"))
		s.pass(100 * time.Millisecond)
		desktop.closes()
		s.pass(time.Second)
		s.settled()
	}},
	{"a second page confirms where the first one is frozen", func(s *story) {
		s.agent("mei")
		frozen := s.device("mei", "desktop", "mute active")
		second := s.beside(frozen, "mei")
		second.name = "mei's second page"
		second.open("active")
		s.writes("hello", to("mei"))
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"the second page is closed and the first one frozen", func(s *story) {
		s.agent("mei")
		frozen := s.device("mei", "desktop", "mute active")
		second := s.beside(frozen, "mei")
		second.name = "mei's second page"
		second.open("mute active")
		s.writes("hello", to("mei"))
		s.pass(time.Second)
		second.closes()
		s.pass(3 * time.Second)
		s.settled()
	}},
	{"the viewing page goes away before it confirmed", func(s *story) {
		s.agent("mei")
		desktop := s.device("mei", "desktop", "mute active viewing ann")
		s.device("mei", "phone", "closed")
		s.writes("hello", to("mei"))
		s.pass(500 * time.Millisecond)
		desktop.closes()
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"duty ends while a push waits", func(s *story) {
		s.agent("mei")
		s.device("mei", "phone", "closed")
		s.push.answer(throttled(5 * time.Second))
		s.writes("hello", to("mei"))
		s.pass(time.Second)
		s.duty("mei", false)
		s.pass(6 * time.Second)
		s.settled()
	}},
	{"a page brings a new subscription where the old one was gone", func(s *story) {
		s.agent("mei")
		desktop := s.device("mei", "desktop", "hidden")
		s.push.answer(answered(notify.AnswerGone, 410))
		s.push.during = func() {
			in := hub.SubscriptionInput{Endpoint: "https://push.test/renewed", KeyID: "key1"}
			in.Keys.P256dh, in.Keys.Auth = "p", "a"
			if _, err := s.hub.Subscribe(s.t.Context(), "", desktop.auth, in); err != nil {
				s.t.Error(err)
			}
		}
		s.say("while the push is under way the service worker renews the subscription, and the old one is gone")
		s.writes("hello", to("mei"))
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"a page could not show it", func(s *story) {
		s.agent("mei")
		desktop := s.device("mei", "desktop", "mute visible")
		s.writes("hello", to("mei"))
		s.pass(100 * time.Millisecond)
		ref := s.told[0].ref
		s.say("mei's desktop: showNotification failed")
		desktop.page.send(wire.Client{Type: wire.TypeAck, ID: s.delivery(ref, desktop.page).ID, Rendered: ptr(false), Detail: "TypeError"})
		s.pass(time.Second)
		s.settled()
	}},
	{"a subscription is gone behind a hidden page", func(s *story) {
		s.agent("mei")
		s.device("mei", "desktop", "hidden")
		s.push.answer(answered(notify.AnswerGone, 410))
		s.writes("hello", to("mei"))
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"a subscription is gone and the page closed", func(s *story) {
		s.agent("mei")
		s.device("mei", "phone", "closed")
		s.push.answer(answered(notify.AnswerGone, 410))
		s.writes("hello", to("mei"))
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"every push host refuses our key", func(s *story) {
		s.agent("mei", "ken")
		s.team("t", "mei", "ken")
		s.device("mei", "phone", "closed")
		s.device("ken", "phone", "closed")
		s.push.set(&notify.PushAnswer{Class: notify.AnswerAuth, Status: 403, Host: "push.test"})
		s.say("every push host answers 403 from now on")
		s.writes("hello", toTeam("t"))
		s.vague = true
		s.push.quiet(true)
		s.pass(20 * time.Minute)
		for _, d := range s.devices {
			info, err := s.hub.Device(s.t.Context(), d.auth.ID)
			if err != nil {
				s.t.Fatal(err)
			}
			s.say("after twenty minutes %s is still subscribed: %v", d.name, info.Settings.Subscribed)
		}
		s.push.quiet(false)
		s.push.set(nil)
		s.say("the push hosts take our key again")
		s.until(2*time.Minute, func() bool { return !s.trace(s.told[0].ref).Pending })
		s.settled()
	}},
	{"throttled with Retry-After", func(s *story) {
		s.agent("mei")
		s.device("mei", "phone", "closed")
		s.push.answer(notify.PushAnswer{Class: notify.AnswerThrottled, Status: 429, Host: "push.test", RetryAfter: 30 * time.Second})
		s.writes("hello", to("mei"))
		s.say("the push service says: not for 30 s")
		s.pass(29 * time.Second)
		s.say("29 seconds later")
		s.pass(2 * time.Second)
		s.settled()
	}},
	{"no network for an hour", func(s *story) {
		s.agent("mei")
		s.device("mei", "phone", "closed")
		s.push.set(&notify.PushAnswer{Class: notify.AnswerNetwork, Host: "push.test"})
		s.push.quiet(true)
		s.writes("hello", to("mei"))
		s.vague = true
		s.until(61*time.Minute, func() bool { return !s.trace(s.told[0].ref).Pending })
		s.say("an hour went by with more than 50 tries: %v", len(s.push.times()) > 50)
		s.settled()
	}},
	{"too large goes once more without preview", func(s *story) {
		s.agent("mei")
		s.device("mei", "phone", "closed")
		s.push.answer(answered(notify.AnswerTooLarge, 413))
		s.writes("a long text", to("mei"))
		s.pass(6 * time.Second)
		s.push.answer(answered(notify.AnswerTooLarge, 413), answered(notify.AnswerTooLarge, 413))
		s.writes("another long text", nil)
		s.pass(6 * time.Second)
		s.settled()
	}},
	{"a push service finds fault and the operator retries", func(s *story) {
		s.agent("mei")
		s.device("mei", "phone", "closed")
		s.push.answer(answered(notify.AnswerBadRequest, 400))
		s.writes("hello", to("mei"))
		s.pass(time.Second)
		dead, err := s.hub.Dead(s.t.Context(), 10)
		if err != nil || len(dead) != 1 {
			s.t.Fatalf("%v %v, want one piece of dead work", dead, err)
		}
		s.say("the outbox lists it: %s", dead[0].Why)
		if n, err := s.hub.RetryDead(s.t.Context(), ""); n != 1 || err != nil {
			s.t.Fatal(n, err)
		}
		s.say("the operator retries")
		s.pass(time.Second)
		s.settled()
	}},
	{"a retry of what was read meanwhile", func(s *story) {
		s.agent("mei")
		phone := s.device("mei", "phone", "hidden")
		s.push.answer(answered(notify.AnswerBadRequest, 400))
		s.writes("hello", to("mei"))
		s.pass(time.Second)
		s.say("mei reads it")
		phone.page.readUpto("ann", 1)
		s.pass(time.Second)
		if n, err := s.hub.RetryDead(s.t.Context(), ""); n != 1 || err != nil {
			s.t.Fatal(n, err)
		}
		s.say("the operator retries")
		s.pass(time.Second)
		s.settled()
	}},
	{"killed before a page confirmed", func(s *story) {
		s.agent("mei")
		s.device("mei", "desktop", "mute active")
		s.device("mei", "phone", "closed")
		s.writes("hello", to("mei"))
		s.pass(time.Second)
		s.again(true)
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"killed while a push is held", func(s *story) {
		s.agent("mei")
		s.device("mei", "desktop", "mute active viewing ann")
		s.device("mei", "phone", "closed")
		s.writes("hello", to("mei"))
		s.pass(time.Second)
		s.again(true)
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"killed during a burst", func(s *story) {
		s.agent("mei")
		s.device("mei", "phone", "closed")
		s.writes("one", to("mei"))
		s.pass(time.Second)
		s.writes("two", nil)
		s.pass(time.Second)
		s.again(true)
		s.writes("three", nil)
		s.pass(6 * time.Second)
		s.settled()
	}},
	{"killed with a local notification waiting for its page", func(s *story) {
		s.agent("mei")
		s.device("mei", "desktop", "mute visible")
		s.writes("one", to("mei"))
		s.pass(time.Second)
		s.writes("two", nil)
		s.again(true)
		s.pass(8 * time.Second)
		s.settled()
	}},
	{"killed between retries", func(s *story) {
		s.agent("mei")
		s.device("mei", "phone", "closed")
		s.push.answer(notify.PushAnswer{Class: notify.AnswerThrottled, Status: 503, Host: "push.test", RetryAfter: 10 * time.Second})
		s.writes("hello", to("mei"))
		s.pass(time.Second)
		s.again(true)
		s.pass(10 * time.Second)
		s.settled()
	}},
	{"drained after a page confirmed", func(s *story) {
		s.agent("mei")
		s.device("mei", "desktop", "visible")
		s.writes("hello", to("mei"))
		s.pass(time.Second)
		s.again(false)
		s.pass(4 * time.Second)
		s.settled()
	}},
	{"logged out with a push waiting", func(s *story) {
		s.agent("mei")
		phone := s.device("mei", "phone", "closed")
		s.device("mei", "tablet", "closed")
		s.push.answer(throttled(5*time.Second), throttled(5*time.Second))
		s.writes("hello", to("mei"))
		s.pass(time.Second)
		s.say("mei logs out of the phone")
		if err := s.hub.Logout(s.t.Context(), "mei", phone.auth); err != nil {
			s.t.Fatal(err)
		}
		s.pass(6 * time.Second)
		s.settled()
	}},
	{"revoked by the backend", func(s *story) {
		s.agent("mei")
		s.device("mei", "desktop", "mute active")
		s.device("mei", "phone", "closed")
		s.push.answer(throttled(5 * time.Second))
		s.writes("hello", to("mei"))
		s.pass(time.Second)
		s.say("the backend ends every login of mei")
		if _, err := s.hub.EndLogins(s.t.Context(), "mei", ""); err != nil {
			s.t.Fatal(err)
		}
		s.pass(6 * time.Second)
		s.settled()
	}},
	{"one browser seen as two devices", func(s *story) {
		s.agent("mei", "ken")
		older := s.device("mei", "older profile", "closed")
		newer := s.device("ken", "browser", "unsubscribed hidden")
		in := hub.SubscriptionInput{Endpoint: "https://push.test/" + older.auth.ID, KeyID: "key1"}
		in.Keys.P256dh, in.Keys.Auth = "p"+older.auth.ID, "a"+older.auth.ID
		s.say("the browser of ken turns out to hold the older profile's subscription")
		if _, err := s.hub.Subscribe(s.t.Context(), "ken", newer.auth, in); err != nil {
			s.t.Fatal(err)
		}
		older.name, older.auth = "mei on that browser", newer.auth
		s.writes("hello", to("mei"))
		s.pass(time.Second)
		s.settled()
	}},
	{"another agent in the same place", func(s *story) {
		s.agent("mei", "ken")
		mei := s.device("mei", "desktop", "active")
		s.say("ken logs in where mei was")
		s.beside(mei, "ken").open("active", func(f *wire.Client) { f.Place = "mei" })
		s.pass(time.Second)
		s.writes("hello", to("mei"))
		s.pass(time.Second)
		s.settled()
	}},
	{"Push test", func(s *story) {
		s.agent("mei")
		phone := s.device("mei", "phone", "hidden")
		s.duty("mei", false)
		if _, err := s.hub.SetDevice(s.t.Context(), "mei", phone.auth, hub.DeviceInput{On: ptr(false)}); err != nil {
			s.t.Fatal(err)
		}
		s.say("mei presses Push test")
		info, err := s.hub.PushTest(s.t.Context(), "mei", phone.auth)
		if err != nil {
			s.t.Fatal(err)
		}
		s.pass(400 * time.Millisecond)
		s.say("the worker shows it")
		s.receipt("displayed")
		s.pass(time.Second)
		if _, err := s.hub.PushTestState(s.t.Context(), "mei", info.ID); err != nil {
			s.t.Fatal(err)
		}
	}},
	{"displayed and clicked", func(s *story) {
		s.agent("mei")
		s.device("mei", "phone", "closed")
		s.writes("hello", to("mei"))
		s.pass(500 * time.Millisecond)
		s.say("the worker shows it")
		s.receipt("displayed")
		s.pass(2 * time.Second)
		s.say("mei clicks it")
		s.receipt("clicked")
		s.pass(2 * time.Second)
		s.settled()
	}},
	{"a sticker and a file", func(s *story) {
		s.agent("mei")
		s.device("mei", "phone", "closed")
		s.posts(hub.MessageInput{Kind: notify.Sticker}, to("mei"))
		s.pass(6 * time.Second)
		s.posts(hub.MessageInput{Kind: "invoice", Text: "secret.pdf"}, nil)
		s.pass(6 * time.Second)
		s.settled()
	}},
}

func throttled(after time.Duration) notify.PushAnswer {
	return notify.PushAnswer{Class: notify.AnswerThrottled, Status: 503, Host: "push.test", RetryAfter: after}
}

// receipt posts the receipt of the newest push.
func (s *story) receipt(event string) {
	s.t.Helper()
	c := s.last.payload.Notification.Data
	err := s.hub.Receipt(s.t.Context(), wire.Receipt{
		Conversation: c.Conversation, Message: c.Message, ID: c.ID, Agent: c.Agent, Device: c.Device,
		Generation: c.Generation, Kind: c.Kind, Token: c.Receipt, Event: event,
	})
	if err != nil {
		s.t.Fatal(err)
	}
}
