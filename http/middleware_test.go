package http

import (
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

func TestClientAddressIsTheLastHopThatIsNoProxy(t *testing.T) {
	s := &Server{proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}}
	for _, c := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1:1", "", "192.0.2.1"},
		{"192.0.2.1:1", "203.0.113.9", "192.0.2.1"}, // nobody else may say so
		{"10.0.0.1:1", "203.0.113.9", "203.0.113.9"},
		{"10.0.0.1:1", "1.1.1.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"},
		{"10.0.0.1:1", "rubbish", "10.0.0.1"},
		{"10.0.0.1:1", "", "10.0.0.1"},
		{"[::1]:1", "2001:db8::1", "2001:db8::/64"},
		{"[2001:db8:1:2:aaaa::5%eth0]:1", "", "2001:db8:1:2::/64"},
		{"[::ffff:192.0.2.1]:1", "", "192.0.2.1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := s.remote(r); got != c.want {
			t.Errorf("%s forwarding %q: %s, not %s", c.peer, c.forwarded, got, c.want)
		}
	}
}

func TestAddressLimitIsPerAddressAndForgets(t *testing.T) {
	l := newAddressLimiter(1, 4)
	now := time.Now()
	for range 4 {
		if l.wait("a", now) != 0 {
			t.Fatal("refused within the burst")
		}
	}
	if d := l.wait("a", now); d <= 0 || d > time.Second {
		t.Errorf("over the burst it says to wait %s", d)
	}
	if l.wait("b", now) != 0 {
		t.Error("another address pays for the first")
	}
	if l.wait("a", now.Add(1100*time.Millisecond)) != 0 {
		t.Error("refused after the wait")
	}
	now = now.Add(2 * generation)
	l.wait("c", now)
	now = now.Add(2 * generation)
	l.wait("c", now)
	for _, gone := range []string{"a", "b"} {
		if l.now[gone] != nil || l.old[gone] != nil {
			t.Errorf("%s is still known", gone)
		}
	}
}

func TestAddressLimitIsBounded(t *testing.T) {
	l := newAddressLimiter(1, 4)
	now := time.Now()
	for i := range maxAddresses + 10 {
		l.wait(fmt.Sprint(i), now)
	}
	if len(l.now) > maxAddresses {
		t.Errorf("%d addresses are known", len(l.now))
	}
	if l.wait("one more", now) == 0 {
		t.Error("addresses beyond the bound share no limit")
	}
}

func TestPagesThatTakeEveryPlaceTakeNoneOfTheBackends(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Concurrent = 2 })
	for range 2 {
		conn, err := net.Dial("tcp", w.srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "POST /v1/receipts HTTP/1.1\r\nHost: hub.test\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
	}
	w.eventually(func() bool { return w.ask("GET", "/v1/vapid", "").StatusCode == 503 })
	if r := w.ask("GET", "/v1/agents", "", "Authorization", "Bearer "+w.key); r.StatusCode != 200 {
		t.Errorf("the backend is answered %d %s", r.StatusCode, r.body)
	}
}
