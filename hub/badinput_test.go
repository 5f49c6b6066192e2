package hub

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

func TestIdsAreEscapedWhereverTheyStandInALink(t *testing.T) {
	h := &Hub{conversationURL: "https://a.test/{conversation}/x?agent={agent}&c={conversation}"}
	agent, conversation := `a&c=evil #"`, "../ x+y?z=1&é"
	u, err := url.Parse(h.navigate(agent, conversation))
	if err != nil {
		t.Fatal(err)
	}
	if u.Host != "a.test" || u.Path != "/"+conversation+"/x" || u.Query().Get("agent") != agent || u.Query().Get("c") != conversation || u.Fragment != "" {
		t.Errorf("%s", u)
	}
}

func TestMessagesThatAreNotGoodSayWhichMember(t *testing.T) {
	h := &Hub{}
	good := MessageInput{ID: "m", Kind: notify.Text, Conversation: ConversationInput{ID: "c", Contact: "Ann"}}
	if err := h.checkMessage(context.Background(), &good); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*MessageInput)
		field  string
	}{
		"a line break in the id":          {func(m *MessageInput) { m.ID = "a\nb" }, "id"},
		"a tab in the id":                 {func(m *MessageInput) { m.ID = "a\tb" }, "id"},
		"a line separator in the id":      {func(m *MessageInput) { m.Conversation.ID = "a\u2028b" }, "conversation.id"},
		"a C1 control in the id":          {func(m *MessageInput) { m.ID = "a\u009b31mb" }, "id"},
		"a byte too many":                 {func(m *MessageInput) { m.ID = strings.Repeat("é", 64) + "x" }, "id"},
		"an escape in the kind":           {func(m *MessageInput) { m.Kind = "a\x1b[31m" }, "kind"},
		"an escape in the contact's name": {func(m *MessageInput) { m.Conversation.Contact = "a\u009b31m" }, "conversation.contact"},
		"a time before all messages":      {func(m *MessageInput) { m.At = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC) }, "at"},
		"a time no clock shows":           {func(m *MessageInput) { m.At = time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC) }, "at"},
		"a script as thumbnail":           {func(m *MessageInput) { m.Thumbnail = "javascript:alert(1)" }, "thumbnail"},
	} {
		m := good
		c.change(&m)
		if e := AsError(h.checkMessage(context.Background(), &m)); e == nil || e.Kind != Invalid || e.Field != c.field {
			t.Errorf("%s: %v", name, e)
		}
	}
}

func TestAnswerRepeatsNoEndlessID(t *testing.T) {
	if e := missing("agent", strings.Repeat("x", 100_000)); len(e.Message) > 200 {
		t.Errorf("%d bytes", len(e.Message))
	}
}

func TestFrameWithSomethingBehindItIsNone(t *testing.T) {
	var f wire.Client
	for text, good := range map[string]bool{
		`{"type":"bye"}` + " \n":           true,
		`{"type":"bye"}{`:                  false,
		`{"type":"bye"} {"type":"logout"}`: false,
		`{"type":"bye"}x`:                  false,
	} {
		if err := decodeFrame(websocket.MessageText, strings.NewReader(text), &f); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestNothingOfAFrameIsReadWithTheNext(t *testing.T) {
	good := `{"type":"ack","id":"d1"}`
	for _, before := range []string{
		good, good + strings.Repeat(" ", 5000) + "\n", good + good, good + `[`, good + `"x`, good + `,`, `{"type":"ack","id":"d2"`, `{"nothing":1}`, `{"id":7}`, `[[[`, ``, ` `, `7`,
		`{"type":"` + strings.Repeat("x", 15_000) + `"}`,
	} {
		for range 20 { // the pool may give another decoder
			decodeFrame(websocket.MessageText, strings.NewReader(before), new(wire.Client))
			var f wire.Client
			if err := decodeFrame(websocket.MessageText, strings.NewReader(good), &f); err != nil || f.Type != wire.TypeAck || f.ID != "d1" {
				t.Fatalf("after %.40q: %+v, %v", before, f, err)
			}
		}
	}
}

func TestEndlessViewIsRefused(t *testing.T) {
	var f wire.Client
	if err := json.Unmarshal([]byte(`{"state":{"visibility":"visible","viewing":"`+strings.Repeat("v", 15_000)+`"}}`), &f); err != nil {
		t.Fatal(err)
	}
	if e := AsError(checkHello(&f)); e == nil || e.Kind != Invalid {
		t.Errorf("%v", e)
	}
}
