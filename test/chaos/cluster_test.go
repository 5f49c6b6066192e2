//go:build linux && (redis || soak)

package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"caac-hub/http/serve"
	"caac-hub/hub/notify"
	"caac-hub/test/balancer"
	"caac-hub/test/faultproxy"
	"caac-hub/test/redis"
)

// cluster is a hub of many nodes, each with a line of its own to one Redis,
// behind a balancer that leads every page to the next node.
type cluster struct {
	*world
	redis     *redistest.Server // nil where there are many
	lines     []*faultproxy.Proxy
	nodes     []*program
	balancer  *balancer.Balancer
	disturbed []disturbance
}

const nodes = 3

// startCluster starts three nodes on a Redis that syncs every write, and some
// copies of the world's devices.
func startCluster(t testing.TB, seed uint64, copies int) *cluster {
	t.Helper()
	server := redistest.Start(t, redistest.Options{})
	c := &cluster{redis: server}
	urls := make([]string, nodes)
	for i := range urls {
		line := faultproxy.New(t, server.Addr())
		c.lines = append(c.lines, line)
		urls[i] = "redis://" + line.Addr()
	}
	c.begin(t, seed, copies, urls, nil)
	return c
}

// begin starts a node for each URL, and the world around them.
func (c *cluster) begin(t testing.TB, seed uint64, copies int, urls []string, more map[string]string) {
	t.Helper()
	push := startPushService(t)
	key := prepare(t, urls[0])
	c.balancer = balancer.Start(t)
	var addrs []string
	for i, url := range urls {
		flags := map[string]string{"redis.url": url, "node": "node-" + strconv.Itoa(i+1)}
		for k, v := range more {
			flags[k] = v
		}
		p := newProgram(t, push, flags)
		if err := p.launch(); err != nil {
			t.Fatal(err)
		}
		c.nodes = append(c.nodes, p)
		c.balancer.Put(p.addr)
		addrs = append(addrs, p.addr)
	}
	for _, p := range c.nodes {
		if err := p.awaitReady(); err != nil {
			t.Fatal(err)
		}
	}
	f := newFront(t, key, c.balancer.Addr(), addrs...)
	// A node that is frozen does not answer: another one is asked then.
	f.http.Timeout = 4 * time.Second
	c.world = worldAround(t, seed, push, f, copies)
	for _, b := range c.back {
		b.pace = 15 * time.Millisecond
	}
}

// prepare makes an empty Redis one that nodes may use, and an API key.
func prepare(t testing.TB, url string) string {
	t.Helper()
	configured, err := configure(map[string]string{"redis.url": url})
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.InitRedis(t.Context(), configured); err != nil {
		t.Fatal(err)
	}
	admin, done, err := serve.OpenAdmin(t.Context(), configured)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	key, err := admin.CreateKey(t.Context(), "chaos")
	if err != nil {
		t.Fatal(err)
	}
	return key.Key
}

// login is what is to be seen of a login.
type login struct {
	presence string
	sockets  int
}

// truth is what every node must see: the sockets that pages hold open.
func (c *cluster) truth() map[string]login {
	all := map[string]login{}
	for _, d := range c.devices {
		strongest, sockets := notify.Closed, 0
		for _, p := range d.pages {
			p.mu.Lock()
			sockets += len(p.conns)
			if len(p.conns) > 0 {
				strongest = max(strongest, presenceOf(p.state.Visibility, p.state.Focus))
			}
			p.mu.Unlock()
		}
		all[d.agent+" "+d.auth.ID] = login{strongest.String(), sockets}
	}
	return all
}

func presenceOf(visibility string, focus bool) notify.Presence {
	switch {
	case visibility != "visible":
		return notify.Hidden
	case focus:
		return notify.Active
	}
	return notify.Visible
}

// seenBy is what a node sees.
func (c *cluster) seenBy(node string) (map[string]login, error) {
	var list struct {
		Agents []struct {
			ID     string
			Logins []struct {
				Device   string
				Presence string
				Sockets  int
			}
		}
	}
	if err := c.front.ask(context.Background(), node, "GET", "/v1/agents?limit=500", nil, nil, &list); err != nil {
		return nil, err
	}
	all := map[string]login{}
	for _, a := range list.Agents {
		for _, l := range a.Logins {
			all[a.ID+" "+l.Device] = login{l.Presence, l.Sockets}
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no logins")
	}
	return all, nil
}

// Within how long after the last disturbance presence must have converged, and
// how long is waited to say how far it is off.
const (
	converges = 8 * time.Second
	patience  = 30 * time.Second
)

// rest holds every page still and returns how long after calm, the end of the
// last disturbance, all nodes were ready and saw the truth.
func (c *cluster) rest(calm time.Time) (presence, ready time.Duration) {
	c.t.Helper()
	c.still.Store(true)
	defer c.still.Store(false)
	for i, p := range c.nodes {
		for !p.ready() {
			if time.Since(calm) > patience {
				c.t.Errorf("node %d is not ready %v after the last disturbance: %s; it logged\n%s", i+1, patience, c.why(p), p.logged())
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		ready = max(ready, time.Since(calm))
	}
	for {
		off := c.presenceOff()
		presence = time.Since(calm)
		switch {
		case off == "" && presence > converges:
			c.t.Errorf("presence converged %v after the last disturbance; %v are promised\n%s", presence, converges, c.logged())
			return presence, ready
		case off == "":
			return presence, ready
		case presence > patience:
			c.t.Errorf("presence has not converged %v after the last disturbance: %s\n%s", presence, off, c.logged())
			return presence, ready
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// presenceOff says where a node does not see the truth.
func (c *cluster) presenceOff() string {
	var off []string
	truth := c.truth()
	for _, d := range c.devices {
		if !d.closed && truth[d.agent+" "+d.auth.ID].sockets != d.tabs {
			off = append(off, fmt.Sprintf("%s's %s has %d of %d pages connected", d.agent, d.name, truth[d.agent+" "+d.auth.ID].sockets, d.tabs))
		}
	}
	for i, p := range c.nodes {
		seen, err := c.seenBy(p.addr)
		if err != nil {
			off = append(off, fmt.Sprintf("node %d: %v", i+1, err))
			continue
		}
		for k, want := range truth {
			if seen[k] != want {
				off = append(off, fmt.Sprintf("node %d sees %s with %d sockets, %s; it has %d, %s", i+1, k, seen[k].sockets, seen[k].presence, want.sockets, want.presence))
			}
		}
	}
	slices.Sort(off)
	return strings.Join(off, "\n")
}

func (c *cluster) why(p *program) string {
	resp, err := p.http.Get("http://" + p.addr + "/readyz")
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body := make([]byte, 500)
	n, _ := resp.Body.Read(body)
	return http.StatusText(resp.StatusCode) + " " + string(body[:n])
}

func (c *cluster) logged() string {
	text := ""
	for i, p := range c.nodes {
		text += fmt.Sprintf("node %d logged\n%s", i+1, p.logged())
	}
	return text
}

// drain ends a node as an operator would and returns how it ended.
func (p *program) drain() error {
	p.signal(syscall.SIGTERM)
	err := <-p.ended
	p.cmd = nil
	return err
}
