//go:build linux && soak

package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"caac-hub/test/redis"
)

// TestFailoverLosesNoMoreThanIsSaid takes the master away from three nodes under
// load, FAILOVERS times: killed and frozen in turn. What was accepted and is
// gone is counted; all that is left must be whole.
func TestFailoverLosesNoMoreThanIsSaid(t *testing.T) {
	for _, wait := range []string{"1", "0"} {
		t.Run("redis.wait "+wait, func(t *testing.T) { failOver(t, wait, said[wait]) })
	}
}

// said is what docs/operations.md says of a failover, by redis.wait.
var said = map[string]string{
	"1": "nothing that was answered `202`, if the replica chosen is one that confirmed",
	"0": "what the master had answered and not yet sent to the replica that takes over",
}

func failOver(t *testing.T, wait, said string) {
	docs, err := os.ReadFile("../../docs/operations.md")
	if err != nil || !strings.Contains(string(docs), said) {
		t.Errorf("docs/operations.md does not say %q", said)
	}
	seed := number(t, "SEED", 1)
	g := redistest.StartSentinel(t, redistest.Options{Replicas: 2, Args: []string{"--min-replicas-to-write", "1", "--min-replicas-max-lag", "2"}})
	c := &cluster{}
	c.begin(t, seed, 1, slices.Repeat([]string{g.URL()}, nodes), map[string]string{"redis.wait": wait})
	for _, b := range c.back {
		b.postsOnly = true
	}
	defer c.open()()
	load := startProducers(c.back, c.members)
	defer load.stop()
	c.rest(time.Now())
	var rows strings.Builder
	accepted := 0
	for n := range int(number(t, "FAILOVERS", 6)) {
		old := g.Master()
		c.await(t, 300)
		began, how := time.Now(), "killed"
		if n%2 == 0 {
			old.Kill()
		} else {
			how = "frozen"
			old.Freeze()
		}
		g.AwaitFailover(old)
		taken := time.Since(began)
		again := c.await(t, 1)
		if n%2 == 0 {
			old.Restart()
		} else {
			old.Thaw()
		}
		g.AwaitSync()
		whole := time.Now()
		c.disturbed = append(c.disturbed, disturbance{"failover", began, whole})
		c.await(t, 300)
		presence, _ := c.rest(whole)
		lost := c.gone()
		all := int(c.posted.Load())
		fmt.Fprintf(&rows, "  %d: master %s, another one after %v, messages accepted again after %v, presence %v after all were in sync; %d more accepted; gone so far: %d %v\n",
			n+1, how, taken.Round(time.Millisecond), (taken + again).Round(time.Millisecond), presence.Round(time.Millisecond), all-accepted, len(lost), lost)
		accepted = all
	}
	if err := load.stop(); err != nil {
		t.Errorf("a request was refused: %v", err)
	}
	lost := c.gone()
	for _, th := range c.threads {
		th.accepted = slices.DeleteFunc(th.accepted, func(m post) bool { return slices.Contains(lost, m.id) })
	}
	o := c.check(c.disturbed)
	t.Logf("Sentinel, two replicas, redis.wait %s, min-replicas-to-write 1, seed %d\n%s  in all: %d messages answered 202, %d of them gone; shown twice %d, without an end %d, unread other than the ledger %d; %v",
		wait, seed, rows.String(), c.posted.Load(), len(lost), o.rangTwice, o.endless, o.unreadOff, o)
	t.Logf("docs/operations.md says that a failover takes: %s", said)
	if t.Failed() {
		t.Log(c.logged())
	}
}

// await waits until so many more messages were accepted, and returns how long
// that took.
func (c *cluster) await(t *testing.T, messages int64) time.Duration {
	t.Helper()
	began, from := time.Now(), c.posted.Load()
	for c.posted.Load() < from+messages {
		if time.Since(began) > time.Minute {
			t.Fatalf("%d messages were accepted in a minute\n%s", c.posted.Load()-from, c.logged())
		}
		pause()
	}
	return time.Since(began)
}

// gone are the messages that were accepted and are not there.
func (c *cluster) gone() []string {
	c.t.Helper()
	type item struct{ conversation, message string }
	items := make(chan item)
	var mu sync.Mutex
	var lost []string
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for x := range items {
				err := c.front.call(context.Background(), "GET", "/v1/traces/"+x.conversation+"/"+x.message, nil, nil, nil)
				var status *statusError
				mu.Lock()
				if errors.As(err, &status) && status.status == http.StatusNotFound {
					lost = append(lost, x.message)
				} else if err != nil {
					c.t.Errorf("message %s: %v", x.message, err)
				}
				mu.Unlock()
			}
		})
	}
	for _, b := range c.back {
		for _, th := range b.threads {
			b.mu.Lock()
			accepted := slices.Clone(th.accepted)
			b.mu.Unlock()
			for _, m := range accepted {
				items <- item{th.id, m.id}
			}
		}
	}
	close(items)
	wg.Wait()
	slices.Sort(lost)
	return lost
}
