package hub_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// world is a hub, of one node or more, on a real store with a push service that
// the test answers for, under fake time.
type world struct {
	t       *testing.T
	hub     *hub.Hub   // the node that is asked next
	hubs    []*hub.Hub // all nodes
	nodes   int        // how many
	shards  int        // partitions of the store; 0: one
	lines   *lines     // between the nodes
	node    []*node    // parallel to hubs
	turning sync.Mutex // guards hub where time is real
	drain   time.Duration
	doubts  bool // what pages confirm may be lost
	logs    *safeBuffer
	store   hub.Store
	push    *pushService
	dir     string
	power   *power
	valve   *valve
	limits  hub.Limits
	metrics *prometheus.Registry
	real    bool // no fake time
	stop    func()
}

func newWorld(t *testing.T) *world { return newCluster(t, 1) }

// newCluster makes a world of some nodes. What is asked goes to one after the
// other.
func newCluster(t *testing.T, nodes int) *world { return newShards(t, nodes, 1) }

// newShards is newCluster with a store of some partitions.
func newShards(t *testing.T, nodes, partitions int) *world {
	w := &world{t: t, dir: t.TempDir(), push: &pushService{}, nodes: nodes, shards: partitions}
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

func (w *world) start() {
	w.t.Helper()
	w.logs = &safeBuffer{}
	store, err := openStore(w.t.Context(), w.dir, w.shards, w.log())
	if err != nil {
		w.t.Fatal(err)
	}
	w.store, w.power, w.valve = store, &power{pushService: w.push}, &valve{Store: store}
	w.lines = newLines(1)
	w.hubs, w.node = nil, nil
	for range max(w.nodes, 1) {
		w.join()
	}
	for _, h := range w.hubs {
		for h.Ready(w.t.Context()) != nil {
			time.Sleep(time.Millisecond)
		}
	}
	w.hub = w.hubs[0]
	w.stop = sync.OnceFunc(func() {
		for _, n := range w.node {
			n.thaw()
		}
		for _, n := range w.node {
			if err := n.end(); err != nil {
				w.t.Error(err)
			}
		}
		if err := store.Close(); err != nil {
			w.t.Error(err)
		}
		if w.t.Failed() {
			w.t.Log(w.logs.String())
		}
	})
}

func (w *world) log() *slog.Logger { return slog.New(slog.NewTextHandler(w.logs, nil)) }

// join has one more node join the others.
func (w *world) join() *node {
	w.t.Helper()
	n := &node{power: &power{pushService: w.push}}
	var bus hub.Bus
	if w.nodes > 1 {
		bus = &line{lines: w.lines, n: n, no: len(w.node)}
	}
	n.store = &nodeStore{Store: w.valve, n: n}
	h, err := hub.New(hub.Options{
		Store: n.store, Push: &nodePush{power: n.power, n: n, world: w.power}, Auth: nameIsToken{},
		Log: w.log().With("at", len(w.node)), Secret: bytes.Repeat([]byte("s"), 32),
		PublicURL: "https://hub.test", ConversationURL: "https://app.test/{agent}?conversation={conversation}", PageDuty: true,
		Limits: w.limits, Metrics: registerer(w.metrics), Bus: bus, DrainSpread: w.drain,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	n.hub, n.end = h, func() error { cancel(); err := <-done; done <- err; return err }
	w.hubs, w.node = append(w.hubs, h), append(w.node, n)
	return n
}

// turn has the next node that runs asked.
func (w *world) turn() *hub.Hub {
	w.turning.Lock()
	defer w.turning.Unlock()
	at := slices.Index(w.hubs, w.hub)
	for i := 1; i <= len(w.hubs); i++ {
		if next := (at + i) % len(w.hubs); w.node[next].runs() {
			w.hub = w.hubs[next]
			break
		}
	}
	return w.hub
}

// now is the node that is asked.
func (w *world) now() *hub.Hub {
	w.turning.Lock()
	defer w.turning.Unlock()
	return w.hub
}

// before has the node after this one asked at the next turn.
func (w *world) before(no int) *world {
	w.turning.Lock()
	defer w.turning.Unlock()
	w.hub = w.hubs[(no+len(w.hubs)-1)%len(w.hubs)]
	return w
}

// registerer is nil where there is no registry.
func registerer(r *prometheus.Registry) prometheus.Registerer {
	if r == nil {
		return nil
	}
	return r
}

// restart ends the hub and starts another one on the same data.
func (w *world) restart() {
	w.stop()
	w.start()
}

// kill ends the hub as a power cut would: another one starts on the data as they
// stood, and what the former does on its way out reaches nobody.
func (w *world) kill() {
	w.t.Helper()
	synctest.Wait()
	w.power.cut.Store(true)
	w.valve.fail(errors.New("the power is cut"))
	dir := w.t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(w.dir)); err != nil {
		w.t.Fatal(err)
	}
	w.stop()
	w.dir = dir
	w.start()
}

// power is the push service as one hub reaches it.
type power struct {
	*pushService
	cut atomic.Bool
}

func (p *power) Send(ctx context.Context, sub notify.Subscription, m notify.PushMessage) notify.PushAnswer {
	if p.cut.Load() {
		return notify.PushAnswer{Class: notify.AnswerNetwork}
	}
	return p.pushService.Send(ctx, sub, m)
}

// valve is the store as the hub reaches it: batches wait while it is shut, and
// fail while it has an error.
type valve struct {
	hub.Store
	mu   sync.Mutex
	shut chan struct{}
	err  error

	asked     map[string]func() // called once, when the agent is first read
	unreadErr error
	meanwhile atomic.Pointer[func()] // called once, when an agent's unread is next read
}

func (v *valve) Agents(ctx context.Context, ids []string) ([]notify.Agent, error) {
	if fn := v.asked[ids[0]]; fn != nil {
		delete(v.asked, ids[0])
		fn()
	}
	return v.Store.Agents(ctx, ids)
}

func (v *valve) Unread(ctx context.Context, agent string, limit int) (notify.Unread, error) {
	if v.unreadErr != nil {
		return notify.Unread{}, v.unreadErr
	}
	if fn := v.meanwhile.Swap(nil); fn != nil {
		(*fn)()
	}
	return v.Store.Unread(ctx, agent, limit)
}

func (v *valve) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shut = make(chan struct{})
}

func (v *valve) open() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.shut != nil {
		close(v.shut)
		v.shut = nil
	}
}

func (v *valve) fail(err error) {
	v.mu.Lock()
	v.err = err
	v.mu.Unlock()
	v.open()
}

func (v *valve) Commit(ctx context.Context, partition int, b notify.Batch) (notify.Result, error) {
	v.mu.Lock()
	shut := v.shut
	v.mu.Unlock()
	if shut != nil {
		<-shut
	}
	v.mu.Lock()
	err := v.err
	v.mu.Unlock()
	if err != nil {
		return notify.Result{}, err
	}
	return v.Store.Commit(ctx, partition, b)
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// nameIsToken takes an agent's id for a good token; "expires:<duration>:<id>" ends.
type nameIsToken struct{}

func (nameIsToken) Authenticate(_ context.Context, token string) (hub.Claims, error) {
	if token == "" || strings.HasPrefix(token, "bad") {
		return hub.Claims{}, &hub.Error{Kind: hub.Unauthorized, Code: "bad_token", Message: "the token is not good"}
	}
	if parts := strings.SplitN(token, ":", 3); len(parts) == 3 {
		d, err := time.ParseDuration(parts[1])
		if err != nil {
			return hub.Claims{}, err
		}
		if d == 0 {
			return hub.Claims{}, &hub.Error{Kind: hub.Unauthorized, Code: hub.TokenKeyUnknown, Message: "the key is not known"}
		}
		if d < 0 {
			return hub.Claims{}, &hub.Error{Kind: hub.Unauthorized, Code: hub.TokenExpired, Message: "the token has expired"}
		}
		return hub.Claims{Agent: parts[2], Expires: time.Now().Add(d)}, nil
	}
	return hub.Claims{Agent: token}, nil
}

// pushService takes every push, unless the test set other answers.
type pushService struct {
	mu      sync.Mutex
	sent    []sentPush
	answers []notify.PushAnswer // the next ones; then accepted
	always  *notify.PushAnswer
	tried   []time.Time
	during  func() // called once, while a push is under way
	hush    bool   // what is sent is not kept for take
	key     string // id of the current VAPID key; "key1"
}

type sentPush struct {
	endpoint string
	at       time.Time
	payload  wire.PushPayload
	message  notify.PushMessage
}

func (p *pushService) Check(context.Context, notify.Subscription) error { return nil }

func (p *pushService) Key() (string, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := cmp.Or(p.key, "key1")
	return id, "public of " + id
}

func (p *pushService) Accepts(_ context.Context, id string) bool {
	current, _ := p.Key()
	return id == current
}

// rotate makes another VAPID key current.
func (p *pushService) rotate(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key = id
}

func (p *pushService) Send(_ context.Context, sub notify.Subscription, m notify.PushMessage) notify.PushAnswer {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := sentPush{endpoint: sub.Endpoint, at: time.Now(), message: m}
	if err := json.Unmarshal(m.Payload, &s.payload); err != nil {
		panic(err)
	}
	if fn := p.during; fn != nil {
		p.during = nil
		p.mu.Unlock()
		fn()
		p.mu.Lock()
	}
	p.tried = append(p.tried, s.at)
	if !p.hush {
		p.sent = append(p.sent, s)
	}
	if p.always != nil {
		return *p.always
	}
	if len(p.answers) > 0 {
		a := p.answers[0]
		p.answers = p.answers[1:]
		return a
	}
	return notify.PushAnswer{Class: notify.AnswerAccepted, Status: 201, Host: "push.test"}
}

// take returns what was sent since the last take.
func (p *pushService) take() []sentPush {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sent
	p.sent = nil
	return s
}

func (p *pushService) answer(as ...notify.PushAnswer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers = append(p.answers, as...)
}

// set has every push answered alike; nil ends that.
func (p *pushService) set(a *notify.PushAnswer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.always = a
}

func (p *pushService) quiet(hush bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hush = hush
}

// times returns when something was sent.
func (p *pushService) times() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.tried)
}

func ptr[T any](v T) *T { return &v }

// agent puts an agent on duty.
func (w *world) agent(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		name := strings.ToUpper(id[:1]) + id[1:]
		for _, a := range w.hub.PutAgents(w.t.Context(), []hub.AgentInput{{ID: id, Name: &name, Locale: ptr("en"), OnDuty: ptr(true)}}) {
			if a.Err != nil {
				w.t.Fatal(a.Err)
			}
		}
	}
}

func (w *world) team(id string, members ...string) {
	w.t.Helper()
	for _, a := range w.hub.PutTeams(w.t.Context(), []hub.TeamInput{{ID: id, Members: members}}) {
		if a.Err != nil {
			w.t.Fatal(a.Err)
		}
	}
}

var messageIDs int

// settle has the nodes, where there are several, hear of each other's pages.
func (w *world) settle() {
	if w.nodes > 1 {
		w.wait(60 * time.Millisecond)
	}
}

// message posts a text of Ann's in conversation "ann" and returns its ref.
func (w *world) message(text string, to hub.AssignmentInput) notify.Ref {
	w.t.Helper()
	return w.messageIn("ann", text, to)
}

func (w *world) messageIn(conversation, text string, to hub.AssignmentInput) notify.Ref {
	w.t.Helper()
	w.settle()
	messageIDs++
	in := hub.MessageInput{
		ID: fmt.Sprintf("m%d", messageIDs), Kind: notify.Text, Text: text,
		Conversation: hub.ConversationInput{ID: conversation, Contact: strings.ToUpper(conversation[:1]) + conversation[1:], Assignment: &to},
	}
	a := w.hub.Messages(w.t.Context(), []hub.MessageInput{in})[0]
	if a.Err != nil {
		w.t.Fatal(a.Err)
	}
	return notify.Ref{Conversation: conversation, Message: in.ID}
}

// wait lets everything settle that does not wait for time, then d pass.
func (w *world) wait(d time.Duration) {
	w.turn()
	time.Sleep(d)
	synctest.Wait()
}

// until waits, on real time, until something holds.
func (w *world) until(d time.Duration, holds func() bool) {
	w.t.Helper()
	for end := time.Now().Add(d); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Errorf("it did not come about within %s", d)
			return
		}
	}
}

// delivery returns the delivery of a message to a login.
func (w *world) delivery(ref notify.Ref, p *page) notify.Delivery {
	w.t.Helper()
	for _, d := range w.trace(ref).Deliveries {
		if d.Agent == p.agent && d.Device == p.device.ID {
			return d
		}
	}
	w.t.Fatalf("no delivery of %v to %s", ref, p.agent)
	return notify.Delivery{}
}

func (w *world) trace(ref notify.Ref) hub.Trace {
	w.t.Helper()
	tr, err := w.hub.Trace(w.t.Context(), ref, true)
	if err != nil {
		w.t.Fatal(err)
	}
	return tr
}

// expect checks what became of a delivery: "channel reason end".
func (w *world) expect(ref notify.Ref, p *page, want string) {
	w.t.Helper()
	d := w.delivery(ref, p)
	if got := describe(d); got != want {
		w.t.Errorf("%s of %s: %s, want %s\n%+v", ref.Message, p.agent, got, want, d.Events)
	}
}

func describe(d notify.Delivery) string {
	end := string(d.End)
	if end == "" {
		end = "pending"
	}
	if d.EndReason != "" && d.EndReason != d.Reason {
		end += "(" + string(d.EndReason) + ")"
	}
	return fmt.Sprintf("%s %s %s", d.Channel, d.Reason, end)
}

// page is a page of an agent, with the socket a browser would hold.
type page struct {
	w       *world
	t       *testing.T
	agent   string
	device  wire.DeviceAuth
	conn    *websocket.Conn
	mu      sync.Mutex
	frames  []map[string]any
	closed  websocket.CloseError
	done    chan struct{}
	mute    bool // acknowledges nothing
	welcome wire.Welcome
	total   int
	version int64
}

// open opens a page in the state given: "active", "visible" or "hidden", maybe
// followed by " viewing <conversation>".
func (w *world) open(agent, state string, device ...wire.DeviceAuth) *page {
	w.t.Helper()
	f := wire.Client{Type: wire.TypeHello, Token: agent, State: pageState(state), Permission: notify.Granted, Label: "Browser"}
	if len(device) > 0 {
		f.Device = &device[0]
	}
	f.Place = agent
	p := w.connect(f)
	p.agent = agent
	return p
}

// connect opens a socket with a hello of the test's own.
func (w *world) connect(hello any) *page {
	w.t.Helper()
	p := &page{w: w, t: w.t, done: make(chan struct{})}
	p.conn = w.dial()
	data, err := json.Marshal(hello)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.conn.Write(w.t.Context(), websocket.MessageText, data); err != nil {
		w.t.Fatal(err)
	}
	go p.read()
	w.t.Cleanup(func() { p.conn.CloseNow(); <-p.done })
	if !w.real {
		synctest.Wait()
		return p
	}
	w.until(10*time.Second, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.welcome.Type != "" || !p.open()
	})
	return p
}

// dial makes a WebSocket over a pipe.
func (w *world) dial() *websocket.Conn {
	w.t.Helper()
	h := w.turn()
	n := w.node[slices.Index(w.hubs, h)]
	server, client := net.Pipe()
	server = n.conn(server)
	srv := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(rw, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}})
		if err != nil {
			return
		}
		h.ServeSocket(c, nil, "192.0.2.1")
	})}
	l := &oneConn{conn: server, closed: make(chan struct{})}
	go srv.Serve(l)
	hc := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return client, nil }}}
	c, _, err := websocket.Dial(w.t.Context(), "ws://hub.test/v1/socket", &websocket.DialOptions{HTTPClient: hc, Subprotocols: []string{wire.Subprotocol}})
	if err != nil {
		w.t.Fatal(err)
	}
	l.Close()
	return c
}

type oneConn struct {
	mu     sync.Mutex
	conn   net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	l.mu.Lock()
	c := l.conn
	l.conn = nil
	l.mu.Unlock()
	if c != nil {
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}
func (l *oneConn) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

func pageState(s string) *wire.PageState {
	words := strings.Fields(s)
	st := &wire.PageState{Visibility: "hidden"}
	if words[0] != "hidden" {
		st.Visibility = "visible"
	}
	st.Focus = words[0] == "active"
	if len(words) == 3 {
		st.Viewing = words[2]
	}
	return st
}

func (p *page) read() {
	defer close(p.done)
	p.conn.SetReadLimit(1 << 20)
	for {
		_, data, err := p.conn.Read(context.Background())
		if err != nil {
			p.mu.Lock()
			if ce := (websocket.CloseError{}); asClose(err, &ce) {
				p.closed = ce
			}
			p.mu.Unlock()
			return
		}
		var f map[string]any
		if err := json.Unmarshal(data, &f); err != nil {
			panic(err)
		}
		p.mu.Lock()
		p.frames = append(p.frames, f)
		switch f["type"] {
		case wire.TypeWelcome:
			json.Unmarshal(data, &p.welcome)
			if p.welcome.Device.Key != "" || p.device.ID == "" {
				p.device = p.welcome.Device
			}
			if p.welcome.Version >= p.version {
				p.total, p.version = p.welcome.Total, p.welcome.Version
			}
		case wire.TypeCounts:
			p.countsLocked(f)
		case wire.TypeNotify:
			if c, ok := f["counts"].(map[string]any); ok {
				p.countsLocked(c)
			}
		}
		ack := f["type"] == wire.TypeNotify && !p.mute
		p.mu.Unlock()
		if ack {
			p.send(wire.Client{Type: wire.TypeAck, ID: f["id"].(string), Rendered: ptr(true)})
		}
	}
}

func asClose(err error, ce *websocket.CloseError) bool {
	for ; err != nil; err = unwrap(err) {
		if c, ok := err.(websocket.CloseError); ok {
			*ce = c
			return true
		}
	}
	return false
}

func unwrap(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return nil
}

func (p *page) countsLocked(c map[string]any) {
	if v := int64(c["version"].(float64)); v > p.version {
		p.version, p.total = v, int(c["total"].(float64))
	}
}

func (p *page) send(f any) {
	p.conn.Write(context.Background(), websocket.MessageText, encoded(f))
}

func encoded(f any) []byte {
	data, err := json.Marshal(f)
	if err != nil {
		panic(err)
	}
	return data
}

func (p *page) state(s string) {
	p.send(wire.Client{Type: wire.TypeState, State: pageState(s)})
	synctest.Wait()
}

func (p *page) readUpto(conversation string, upto int64) {
	p.send(wire.Client{Type: wire.TypeRead, Conversation: conversation, Upto: upto})
	synctest.Wait()
}

func (p *page) close() {
	p.conn.CloseNow()
	<-p.done
	synctest.Wait()
}

// took returns the frames of a type since the last took of it.
func (p *page) took(typ string) []map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []map[string]any
	p.frames = slices.DeleteFunc(p.frames, func(f map[string]any) bool {
		if f["type"] == typ {
			out = append(out, f)
			return true
		}
		return false
	})
	return out
}

func (p *page) badge() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

func (p *page) closeCode() int {
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	return int(p.closed.Code)
}

// subscribe gives the page's device a push subscription.
func (p *page) subscribe() *page {
	p.t.Helper()
	in := hub.SubscriptionInput{Endpoint: "https://push.test/" + p.device.ID, KeyID: "key1"}
	in.Keys.P256dh, in.Keys.Auth = "p"+p.device.ID, "a"+p.device.ID
	if _, err := p.w.now().Subscribe(p.t.Context(), p.agent, p.device, in); err != nil {
		p.t.Fatal(err)
	}
	return p
}

// run runs a test under fake time.
func run(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { fn(t, newWorld(t)) })
}

// counts returns all counts the page was sent, in order, alone or with a notify.
func (p *page) counts() []wire.Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []wire.Counts
	for _, f := range p.frames {
		var c wire.Counts
		switch f["type"] {
		case wire.TypeCounts:
			again(f, &c)
		case wire.TypeNotify:
			if f["counts"] == nil {
				continue
			}
			again(f["counts"], &c)
		default:
			continue
		}
		out = append(out, c)
	}
	return out
}

// again reads a decoded JSON value as a type.
func again(v, to any) {
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, to)
	}
	if err != nil {
		panic(err)
	}
}
