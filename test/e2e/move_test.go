//go:build linux && e2e

package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/coder/websocket"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
	"caac-hub/test/browser"
	"caac-hub/test/world"
)

// node is a hub whose every frame the test says, to bring about what real nodes
// come to once in a while.
type node struct {
	*story
	links chan *link
}

// link is one socket of a page at the node.
type link struct {
	n      *node
	conn   *websocket.Conn
	hello  wire.Client
	frames chan wire.Client // closed with the socket
}

func newNode(t *testing.T, w *world.World) *node {
	t.Helper()
	n := &node{&story{World: w, t: t}, make(chan *link, 8)}
	n.servePages()
	ctx, stop := context.WithCancel(context.Background())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { n.accept(ctx, w, r) }))
	t.Cleanup(func() {
		stop()
		server.Close()
	})
	n.hub = server.URL
	return n
}

func (n *node) accept(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}, InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	l := &link{n: n, conn: conn, frames: make(chan wire.Client, 64)}
	defer close(l.frames)
	for first := true; ; first = false {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return
		}
		var f wire.Client
		if err := json.Unmarshal(data, &f); err != nil {
			n.t.Errorf("frame %s: %v", data, err)
			return
		}
		if first {
			l.hello = f
			n.links <- l
		} else {
			l.frames <- f
		}
	}
}

// next waits for a page's next socket, which has said hello.
func (n *node) next() *link {
	n.t.Helper()
	select {
	case l := <-n.links:
		return l
	case <-time.After(patience):
		n.t.Fatal("no page said hello")
		return nil
	}
}

func (l *link) send(frame any) {
	l.n.t.Helper()
	data, err := json.Marshal(frame)
	if err != nil {
		l.n.t.Fatal(err)
	}
	if err := l.conn.Write(l.n.t.Context(), websocket.MessageText, data); err != nil {
		l.n.t.Fatal(err)
	}
}

func (l *link) welcome(version int64, total int) {
	l.n.t.Helper()
	w := wire.Welcome{
		Type: wire.TypeWelcome, Socket: "s", Agent: "mei", Name: "Mei", Device: wire.DeviceAuth{ID: "d", Key: "k"}, OnDuty: true,
		Version: version, Total: total, Conversations: []wire.Change{},
		RenewSeconds: 3600, // what is told is told at once
	}
	if total > 0 {
		w.Conversations = append(w.Conversations, wire.Change{Conversation: "c1", Unread: total, Seq: int64(total)})
	}
	l.send(w)
}

// bye says that the node goes.
func (l *link) bye() {
	l.n.t.Helper()
	l.send(wire.Bye{Type: wire.TypeBye, Code: wire.CloseDrain, Reason: "this node is going", RetryMS: 100})
}

// notify has the page show message n of c1.
func (l *link) notify(n int) {
	l.n.t.Helper()
	l.send(wire.Notify{
		Type: wire.TypeNotify, ID: "delivery " + strconv.Itoa(n), Channel: notify.InApp, Reason: notify.ActivelyViewing,
		Conversation: "c1", Message: "m" + strconv.Itoa(n), Seq: int64(n), Show: wire.Show{Title: "Contact", Body: "hello", Tag: "t" + strconv.Itoa(n)},
		Counts: &wire.Counts{Version: int64(10 * n), Prev: int64(10 * (n - 1)), Total: n, Changed: []wire.Change{{Conversation: "c1", Unread: n, Seq: int64(n)}}},
	})
}

// wait waits for a frame that fits.
func (l *link) wait(what string, fits func(f wire.Client) bool) wire.Client {
	l.n.t.Helper()
	late := time.After(patience)
	for {
		select {
		case f, ok := <-l.frames:
			if !ok {
				l.n.t.Fatalf("the page closed its socket instead of %s", what)
			}
			if fits(f) {
				return f
			}
		case <-late:
			l.n.t.Fatalf("waited %v in vain for %s", patience, what)
		}
	}
}

func (l *link) waitAck(n int) {
	l.n.t.Helper()
	id := "delivery " + strconv.Itoa(n)
	f := l.wait("the acknowledgement of "+id, func(f wire.Client) bool { return f.Type == wire.TypeAck && f.ID == id })
	if f.Rendered == nil || !*f.Rendered {
		l.n.t.Errorf("%s was not rendered: %s", id, f.Detail)
	}
}

func TestPageMovesBetweenNodes(t *testing.T) {
	inEach := func(t *testing.T, start func(*world.World) *browser.Browser) {
		w := world.New(t)
		b := start(w)
		for _, story := range []struct {
			name string
			tell func(n *node, mei *agent, first *link)
		}{
			{"keeping the socket of the one that goes until the next has welcomed it", keepsItsSocket},
			{"telling the next what no socket carried of reads", tellsReads},
			{"telling both its state while it moves", tellsState},
		} {
			t.Run(story.name, func(t *testing.T) {
				n := newNode(t, w)
				mei := &agent{b.For(t).Open(n.caac + "/agent/mei"), n.story, "mei"}
				defer mei.Close()
				first := n.next()
				first.welcome(10, 0)
				mei.waitConnected()
				story.tell(n, mei, first)
			})
		}
	}
	t.Run("firefox", func(t *testing.T) { inEach(t, (*world.World).Firefox) })
	t.Run("chromium", func(t *testing.T) { inEach(t, (*world.World).Chromium) })
}

func keepsItsSocket(n *node, mei *agent, old *link) {
	old.bye()
	n.next().conn.Close(wire.CloseDrain, "this node is going") // led to the node that goes
	n.next().conn.CloseNow()                                   // and to one that is gone
	next := n.next()
	old.notify(2)
	old.waitAck(2)
	next.welcome(30, 3)
	// Said before the old node knew: shown, and answered where it came from.
	old.notify(4)
	old.waitAck(4)
	next.notify(4)
	next.waitAck(4)
	mei.waitCount(4)
	old.wait("its goodbye", func(f wire.Client) bool { return f.Type == wire.TypeBye })
	next.notify(5)
	next.waitAck(5)
	mei.wantUnbroken(3)
}

func tellsReads(n *node, mei *agent, first *link) {
	read := func(f wire.Client) bool {
		return f.Type == wire.TypeRead && f.Conversation == "c1" && f.Upto == 7
	}
	first.conn.CloseNow()
	mei.Wait("the page to notice", `caac.states.includes("waiting")`)
	mei.Eval(`caac.client.read("c1", 7)`, nil)
	next := n.next()
	mei.Eval(`caac.client.read("c1", 3)`, nil)
	next.welcome(20, 9)
	next.wait("the read that no socket carried", read)

	// It may have been lost until the hub says otherwise.
	next.bye()
	after := n.next()
	after.welcome(30, 9)
	after.wait("the read again", read)

	// Of what nobody waits for nothing is told, however much it was.
	mei.Eval(`Array.from({length: 40}, (_, i) => caac.client.read("read" + i, 1)).length`, nil)
	mei.Eval(`caac.client.read("c1", 8)`, nil)
	after.bye()
	last := n.next()
	last.welcome(40, 9)
	last.wait("the read that is open", func(f wire.Client) bool {
		if f.Type == wire.TypeRead && f.Conversation != "c1" {
			n.t.Errorf("told again: %+v", f)
		}
		return f.Type == wire.TypeRead && f.Upto == 8
	})
}

func tellsState(n *node, mei *agent, old *link) {
	viewing := func(f wire.Client) bool {
		return f.Type == wire.TypeState && f.State.Viewing == "c7" && f.State.Visibility == "visible"
	}
	old.bye()
	next := n.next()
	mei.look("c7") // its hello is past
	old.wait("the new state at the old node", viewing)
	next.welcome(20, 0)
	next.wait("the new state at the new node", viewing)
}
