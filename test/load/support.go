//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	supportAgents = 2000
	supportTries  = 5 // of each question
)

// support measures what support's page asks, on one embedded node, one node on
// Redis and three, with 2,000 agents on duty, half of them with a page, and many
// messages told of. Each is asked at the last node; messages come in at the first.
func support(ctx context.Context, s settings, t *table) error {
	for _, v := range []struct {
		name  string
		nodes int
	}{{"one embedded node", 0}, {"one node on Redis", 1}, {"three nodes on Redis", 3}} {
		if err := supportOn(ctx, s, t, v.name, v.nodes); err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
	}
	return nil
}

func supportOn(ctx context.Context, s settings, t *table, name string, nodes int) error {
	var c *cluster
	var err error
	if nodes == 0 {
		c, err = startEmbedded(ctx, s, "support-0")
	} else {
		c, err = startCluster(ctx, s, fmt.Sprintf("support-%d", nodes), nodes)
	}
	if err != nil {
		return err
	}
	defer c.stop()
	first, last := c.nodes[0], c.nodes[len(c.nodes)-1]
	if err := first.ready(ctx); err != nil {
		return err
	}
	if err := first.putAgents(ctx, supportAgents); err != nil {
		return err
	}
	y := newTally(1, 1)
	pages, end, _, err := openActive(c.nodes, 0, supportAgents/2, 1, y)
	if err != nil {
		return err
	}
	defer end()
	began := time.Now()
	if err := first.fill(ctx, s.traces); err != nil {
		return err
	}
	for _, i := range []int{0, s.traces / 2, s.traces - 1} {
		if _, err := first.settled(ctx, fmt.Sprintf("c%d", i), fmt.Sprint(i)); err != nil {
			return err
		}
	}
	t.part(fmt.Sprintf("support's page on %s: %d agents, %d with a page, %d messages told of (posted in %.0f s); median and worst of %d", name, supportAgents, len(pages), s.traces, time.Since(began).Seconds(), supportTries))

	seen, all := 0, 0
	for after := ""; ; {
		var reach struct {
			Agents []struct{ Logins []struct{ Presence string } }
			Next   string
		}
		if err := last.call(ctx, "GET", "/v1/reach?limit=500&after="+after, nil, &reach); err != nil {
			return err
		}
		for _, a := range reach.Agents {
			all++
			for _, l := range a.Logins {
				if l.Presence == "active" {
					seen++
				}
			}
		}
		if after = reach.Next; after == "" {
			break
		}
	}
	t.add("the last node knows", fmt.Sprintf("%d of %d", len(pages), supportAgents), "%d active pages of %d agents on duty", seen, all)
	for _, q := range []struct{ what, path string }{
		{"who can be reached, 100 agents", "/v1/reach?limit=100"},
		{"  500 who can't", "/v1/reach?limit=500&unreachable=true"},
		{"  by part of a name", "/v1/reach?limit=100&agent=1999"},
		{"messages, the newest 25", "/v1/traces?limit=25&names=true"},
		{"  by message", "/v1/traces?limit=25&names=true&message=77"},
		{"  by conversation", "/v1/traces?limit=25&names=true&conversation=c77"},
		{"  by agent, a frequent one", "/v1/traces?limit=25&names=true&agent=agent-1007"},
		{"  by part of a name", "/v1/traces?limit=25&names=true&agent=Agent+1007"},
		{"  by device code, of none", "/v1/traces?limit=25&names=true&device=ABCD-EFGH"},
		{"  that reached nobody", "/v1/traces?limit=25&names=true&reached_nobody=true"},
		{"  by reason, of none", "/v1/traces?limit=25&names=true&reason=push_rejected"},
		{"  by team, of none", "/v1/traces?limit=25&names=true&team=none"},
	} {
		var took []time.Duration
		var found struct {
			Traces []struct{}
			Agents any
			Looked int
		}
		for range supportTries {
			start := time.Now()
			if err := last.call(ctx, "GET", q.path, nil, &found); err != nil {
				return err
			}
			took = append(took, time.Since(start))
		}
		target := ""
		if !strings.Contains(q.what, "of none") {
			target = "<= 1000 ms"
		}
		looked := ""
		if found.Looked > 0 {
			looked = fmt.Sprintf(", %d found of %d looked at", len(found.Traces), found.Looked)
		}
		t.add(q.what, target, "%s, worst %s%s", ms(quantile(took, 0.5)), ms(quantile(took, 1)), looked)
	}

	alone, err := first.paced(ctx, "alone", 200, s.length/2)
	if err != nil {
		return err
	}
	searching, stop := context.WithCancel(ctx)
	var searchers sync.WaitGroup
	for range 4 {
		searchers.Go(func() {
			for searching.Err() == nil {
				last.call(searching, "GET", "/v1/traces?limit=25&reason=push_rejected", nil, nil)
			}
		})
	}
	beside, err := first.paced(ctx, "beside", 200, s.length/2)
	stop()
	searchers.Wait()
	if err != nil {
		return err
	}
	t.add("ingest, 200 messages/s: POST → durable", "", "p50 %s, p99 %s", ms(quantile(alone, 0.5)), ms(quantile(alone, 0.99)))
	t.add("  while four searches for nothing run at the last node", "", "p50 %s, p99 %s", ms(quantile(beside, 0.5)), ms(quantile(beside, 0.99)))

	told, err := eventsAfter(ctx, first, last, 20)
	if err != nil {
		return err
	}
	t.add("a stream of changes at the last node names a message after", "<= 1000 ms", "%s, worst %s", ms(quantile(told, 0.5)), ms(quantile(told, 1)))
	return nil
}

// fill posts messages 0 to n-1, each of a conversation of its own for an agent.
func (v *server) fill(ctx context.Context, n int) error {
	const bulk = 500
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for from := 0; from < n; from += bulk {
		g.Go(func() error {
			items := make([]map[string]any, 0, bulk)
			for i := from; i < min(n, from+bulk); i++ {
				// To agents without a page: what a page has to confirm waits for it.
				to := agentID(supportAgents/2 + i%(supportAgents/2))
				items = append(items, map[string]any{"id": fmt.Sprint(i), "kind": "text", "text": "Is my order on its way?", "conversation": map[string]any{"id": fmt.Sprintf("c%d", i), "assignment": map[string]any{"agent": to}}})
			}
			return v.call(ctx, "POST", "/v1/messages/bulk", map[string]any{"messages": items}, nil)
		})
	}
	return g.Wait()
}

// paced posts messages at a rate over one connection and answers how long each took.
func (v *server) paced(ctx context.Context, name string, rate int, length time.Duration) (took []time.Duration, err error) {
	b, err := openBackend(v)
	if err != nil {
		return nil, err
	}
	defer b.conn.Close()
	began := time.Now()
	var body []byte
	for i := range int(length.Seconds() * float64(rate)) {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
		if err := pause(ctx, time.Until(due)); err != nil {
			return nil, err
		}
		body = message(body, name, i, `"agent":"`+agentID(supportAgents-1)+`"`)
		if err := b.post(body); err != nil {
			return nil, err
		}
		took = append(took, time.Since(due))
	}
	return took, nil
}

// eventsAfter posts messages at one node and answers how long it takes until a
// stream of changes at another names each.
func eventsAfter(ctx context.Context, at, stream *server, n int) (took []time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", (&url.URL{Scheme: "http", Host: stream.addr, Path: "/v1/events"}).String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+stream.key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	// The other nodes are told within a heartbeat that somebody watches.
	if err := pause(ctx, 3*time.Second); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	b, err := openBackend(at)
	if err != nil {
		return nil, err
	}
	defer b.conn.Close()
	for i := range n {
		start := time.Now()
		if err := b.post(message(nil, "told", 1_000_000+i, `"agent":"`+agentID(supportAgents-1)+`"`)); err != nil {
			return nil, err
		}
		// Where much happens at once, not all of it is named.
		for !strings.Contains(lines.Text(), fmt.Sprintf(`"%d"`, 1_000_000+i)) && !strings.Contains(lines.Text(), `"more":true`) {
			if !lines.Scan() {
				return nil, fmt.Errorf("the stream of changes ended: %w", lines.Err())
			}
		}
		took = append(took, time.Since(start))
	}
	return took, nil
}
