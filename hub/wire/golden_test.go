package wire

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"caac-hub/hub/notify"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

func ptr[T any](v T) *T { return &v }

var settings = Settings{
	Notifications: true, Preview: notify.PreviewFull, Locale: "en",
	Device: DeviceSettings{On: true, Permission: notify.Granted, Subscribed: true,
		Endpoint: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", KeyID: "k1"},
}

var show = Show{
	Title: "Ann", Body: "Is my order <b>on</b> its way? 👋🏽", Tag: notify.Tag("mei", "c1"), Lang: "en",
	Navigate: "https://caac.example/chats/c1",
}

// frames has a value of every frame and payload, with every field of it set in
// one of them. The browser tests read the same files.
var frames = []struct {
	file  string
	value any
}{
	{"client-hello", &Client{Type: TypeHello, Token: "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", Device: &DeviceAuth{ID: "d1", Key: "key-of-d1"},
		Place: "agent/mei", Version: 41, Label: "Chrome on Windows", Platform: "desktop",
		State: &PageState{Visibility: "visible", Focus: true, Viewing: "c1"}, Permission: notify.Granted}},
	{"client-hello-new-device", &Client{Type: TypeHello, Token: "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", Label: "Safari on iPhone", Platform: "ios-homescreen",
		State: &PageState{Visibility: "hidden"}, Permission: notify.NotAsked}},
	{"client-state", &Client{Type: TypeState, State: &PageState{Visibility: "visible", Viewing: "c1"}, Permission: notify.Denied}},
	{"client-ack", &Client{Type: TypeAck, ID: "Yxfe-oScarnz2zj3uQbwWw", Rendered: ptr(true)}},
	{"client-ack-not-rendered", &Client{Type: TypeAck, ID: "Yxfe-oScarnz2zj3uQbwWw", Rendered: ptr(false), Detail: "TypeError: no active worker"}},
	{"client-read", &Client{Type: TypeRead, Conversation: "c1", Upto: 7}},
	{"client-duty", &Client{Type: TypeDuty, OnDuty: ptr(false)}},
	{"client-refresh", &Client{Type: TypeRefresh}},
	{"client-refresh-token", &Client{Type: TypeRefresh, Token: "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"}},
	{"client-bye", &Client{Type: TypeBye}},
	{"client-bye-logout", &Client{Type: TypeBye, Logout: true}},

	{"server-welcome", &Welcome{Type: TypeWelcome, Socket: "s1", Agent: "mei", Name: "Mei", Device: DeviceAuth{ID: "d1", Key: "key-of-d1"}, Code: "7K2M",
		OnDuty: true, Duty: true, Settings: settings, Version: 42, Total: 3,
		Conversations: []Change{{Conversation: "c1", Unread: 2, Seq: 7}, {Conversation: "c2", Unread: 1, Seq: 1}},
		VAPID:         VAPIDKey{ID: "k1", Public: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"},
		RenewSeconds:  15, Expires: 1767225600}},
	{"server-welcome-same", &Welcome{Type: TypeWelcome, Socket: "s1", Agent: "mei", Name: "Mei", Device: DeviceAuth{ID: "d1"}, Code: "7K2M",
		Settings: Settings{Preview: notify.PreviewNone, Locale: "zh-TW", Device: DeviceSettings{Permission: notify.NotAsked, Resubscribe: true}},
		Version:  42, Total: 3, Same: true, VAPID: VAPIDKey{ID: "k2", Public: "BA"}, RenewSeconds: 15}},
	{"server-counts", &Counts{Type: TypeCounts, Version: 43, Prev: 42, Total: 4, Changed: []Change{{Conversation: "c1", Unread: 3, Seq: 8}, {Conversation: "c2"}}}},
	{"server-notify-in-app", &Notify{Type: TypeNotify, ID: "Yxfe-oScarnz2zj3uQbwWw", Channel: notify.InApp, Reason: notify.ActivelyViewing,
		Conversation: "c1", Message: "m8", Seq: 8, At: 1767225600000, Show: show,
		Counts: &Counts{Version: 43, Prev: 42, Total: 4, Changed: []Change{{Conversation: "c1", Unread: 3, Seq: 8}}}}},
	{"server-notify-local", &Notify{Type: TypeNotify, ID: "Yxfe-oScarnz2zj3uQbwWw", Channel: notify.Local, Reason: notify.VisibleUnfocused,
		Conversation: "c1", Message: "m8", Seq: 8, At: 1767225600000,
		Show: Show{Title: "Ann · Mei", Body: "3 new messages · sent an image", Image: "https://cdn.example/a.png", Tag: notify.Tag("mei", "c1"), Lang: "en",
			Navigate: "https://caac.example/chats/c1", Waiting: 3}}},
	{"server-withdraw", &WithdrawFrame{Type: TypeWithdraw, Conversations: []string{"c1", "c2"},
		Tags: []string{notify.Tag("mei", "c1"), notify.Tag("mei", "c2")}, Reason: notify.Reassigned}},
	{"server-duty", &DutyFrame{Type: TypeDuty, OnDuty: true}},
	{"server-settings", &SettingsFrame{Type: TypeSettings, Settings: settings}},
	{"server-test", &TestFrame{Type: TypeTest, ID: "t1", Stage: "received", Millis: 412, Detail: "fcm.googleapis.com answered 201",
		Silenced: []notify.Reason{notify.OffDuty, notify.DeviceOff}}},
	{"server-bye", &Bye{Type: TypeBye, Code: CloseDrain, Reason: "the node goes", RetryMS: 350}},

	{"push-message", message()},
	{"push-several-logins", severalLogins()},
	{"push-test", &PushPayload{WebPush: 8030, Mutable: true, AppBadge: 3,
		Notification: PushNotification{Title: "Push test", Body: "Push notifications reach this device.", Navigate: "https://caac.example/", Lang: "en", AppBadge: "3",
			Data: PushData{ID: "t1", Kind: "test", Agent: "mei", Device: "d1", Generation: 2, Badges: []Badge{{Agent: "mei", Total: 3, Version: 42}},
				Receipt: receipt, Receipts: "https://hub.example/v1/receipts", Sent: 1767225600000}}}},
	{"push-max", fitted(longest())},
	{"receipt", &Receipt{Conversation: "c1", Message: "m8", ID: "Yxfe-oScarnz2zj3uQbwWw", Agent: "mei", Device: "d1", Generation: 2, Kind: "message", Token: receipt, Event: "displayed"}},
}

const receipt = "aGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd28"

func message() *PushPayload {
	return &PushPayload{WebPush: 8030, Mutable: true, AppBadge: 4,
		Notification: PushNotification{Title: "Ann", Body: "Is my order <b>on</b> its way? 👋🏽", Navigate: "https://caac.example/chats/c1",
			Lang: "en", Tag: notify.Tag("mei", "c1"), AppBadge: "4",
			Data: PushData{ID: "Yxfe-oScarnz2zj3uQbwWw", Kind: "message", Agent: "mei", Device: "d1", Generation: 2, Conversation: "c1", Message: "m8", Seq: 8,
				Badges: []Badge{{Agent: "mei", Total: 4, Version: 43}}, Receipt: receipt, Receipts: "https://hub.example/v1/receipts", Sent: 1767225600000}}}
}

func severalLogins() *PushPayload {
	p := message()
	p.Notification.Title = "Ann · Mei"
	p.Notification.Body = "3 new messages · sent an image"
	p.Notification.Image = "https://cdn.example/a.png"
	p.Notification.AppBadge = "9"
	p.AppBadge = 9
	p.Notification.Data.Badges = append(p.Notification.Data.Badges, Badge{Agent: "ken", Total: 5, Version: 1767225600000001})
	p.Notification.Data.Close = []string{notify.Tag("mei", "c2"), notify.Tag("ken", "c3")}
	return p
}

// fitted is what a worker receives of a payload that is too long.
func fitted(p *PushPayload) *PushPayload {
	data, err := p.Fit(MaxPushPlain)
	if err != nil {
		panic(err)
	}
	out := new(PushPayload)
	if err := json.Unmarshal(data, out); err != nil {
		panic(err)
	}
	return out
}

func indented(t *testing.T, v any) []byte {
	t.Helper()
	data, err := encode(v)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	return append(b.Bytes(), '\n')
}

func TestFramesAreTheirGoldenFilesBothWays(t *testing.T) {
	known := map[string]bool{}
	for _, f := range frames {
		path := filepath.Join("testdata", f.file+".json")
		known[path] = true
		got := indented(t, f.value)
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		t.Run(f.file, func(t *testing.T) {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("the value is no longer its file (go test ./hub/wire -update rewrites it)\n%s", diff)
			}
			read := reflect.New(reflect.TypeOf(f.value).Elem())
			d := json.NewDecoder(bytes.NewReader(want))
			d.DisallowUnknownFields()
			if err := d.Decode(read.Interface()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(f.value, read.Interface()); diff != "" {
				t.Errorf("the file is not the value\n%s", diff)
			}
		})
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !known[f] {
			t.Errorf("%s belongs to no frame", f)
		}
	}
}

// A field that no file sets would reach the browser tests unseen.
func TestEveryFieldIsSetInSomeGoldenFile(t *testing.T) {
	set := map[string]bool{}
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				walk(v.Elem())
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Struct:
			for i := range v.NumField() {
				name := v.Type().Name() + "." + v.Type().Field(i).Name
				set[name] = set[name] || !v.Field(i).IsZero()
				walk(v.Field(i))
			}
		}
	}
	for _, f := range frames {
		walk(reflect.ValueOf(f.value))
	}
	for name, ok := range set {
		if !ok {
			t.Errorf("%s is set in no golden file", name)
		}
	}
}

// longest is a message to a shared device with everything at its bound.
func longest() *PushPayload {
	id := func(c string) string { return strings.Repeat(c, notify.MaxID) }
	agent, conversation := id("a"), id("c")
	s := notify.Compose(notify.ComposeInput{
		Contact: strings.Repeat(`"`, 200), Agent: strings.Repeat("👩‍🚀", 40), Kind: notify.Text,
		Text: strings.Repeat("กำ👨‍👩‍👧‍👦\"", 60), Locale: "th", Waiting: 12,
	})
	p := &PushPayload{WebPush: 8030, Mutable: true, AppBadge: 99999,
		Notification: PushNotification{Title: s.Title, Body: s.Body, Lang: s.Lang, Tag: notify.Tag(agent, conversation), AppBadge: "99999",
			Image:    "https://cdn.example/" + strings.Repeat("i", notify.MaxImage-20),
			Navigate: "https://caac.example/chats/" + strings.Repeat("%C3", notify.MaxID),
			Data: PushData{ID: notify.DeliveryID(notify.Ref{Conversation: conversation, Message: id("m")}, agent, id("d")), Kind: "message",
				Agent: agent, Device: strings.Repeat("d", 26), Generation: 1 << 20, Conversation: conversation, Message: id("m"), Seq: 1 << 40,
				Receipt: receipt, Receipts: "https://hub.example/v1/receipts", Sent: 1767225600000}}}
	for i := range 16 {
		p.Notification.Data.Close = append(p.Notification.Data.Close, notify.Tag(agent, string(rune('a'+i))))
	}
	for _, c := range "bcdaefgh" {
		p.Notification.Data.Badges = append(p.Notification.Data.Badges, Badge{Agent: id(string(c)), Total: 12345, Version: 1767225600000001})
	}
	return p
}
