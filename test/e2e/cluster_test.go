//go:build linux && e2e && redis

package e2e

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"caac-hub/config"
	"caac-hub/http/serve"
	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/test/balancer"
	"caac-hub/test/desktop"
	"caac-hub/test/redis"
)

func init() {
	deployments = append(deployments, deployment{"three nodes on Redis", func(s *story) {
		c := s.startCluster(3)
		s.t.Cleanup(func() {
			for _, n := range c.nodes {
				if c.balancer.Led(n.addr) == 0 {
					s.t.Errorf("no connection of the story was led to %s", n.addr)
				}
			}
		})
	}})
}

// cluster is a hub of many nodes on one Redis, behind a balancer that leads
// every connection to the next of them.
type cluster struct {
	balancer *balancer.Balancer
	nodes    []clusterNode
}

type clusterNode struct {
	addr string // host and port
	stop func() // drains it
}

func (s *story) startCluster(nodes int) *cluster {
	s.t.Helper()
	c := &cluster{balancer: balancer.Start(s.t)}
	_, port, _ := net.SplitHostPort(c.balancer.Addr())
	s.hub = "http://localhost:" + port
	redis := redistest.Start(s.t, redistest.Options{AppendFsync: "everysec"})
	for i := range nodes {
		config := s.config()
		config.Redis.URL = redis.URL()
		config.PublicURL = s.hub
		config.DrainSpread = time.Second
		if i == 0 {
			s.prepare(config)
		}
		program, stop := s.run(config)
		u, err := url.Parse(program.URL())
		if err != nil {
			s.t.Fatal(err)
		}
		s.nodes = append(s.nodes, program.URL())
		c.nodes = append(c.nodes, clusterNode{u.Host, stop})
		c.balancer.Put(u.Host)
	}
	return c
}

// prepare makes an empty Redis one that nodes may use, and an API key.
func (s *story) prepare(c config.Config) {
	s.t.Helper()
	admin, done, err := serve.OpenAdmin(s.t.Context(), c)
	if err != nil {
		s.t.Fatal(err)
	}
	defer done()
	key, err := admin.CreateKey(s.t.Context(), "stories")
	if err != nil {
		s.t.Fatal(err)
	}
	s.key = key.Key
}

func TestPageMovesToAnotherNodeWhenItsOwnGoes(t *testing.T) {
	for _, b := range browsers {
		t.Run(b.name, func(t *testing.T) {
			var c *cluster
			s := deployment{"two nodes on Redis", func(s *story) { c = s.startCluster(2) }}.newStory(t)
			first, second := c.nodes[0], c.nodes[1]
			c.balancer.Take(second.addr)
			mei := s.open(b.start(s.World), "mei")
			mei.grant()
			mei.waitPresence(notify.Active)
			c.balancer.Put(second.addr)

			gone := make(chan struct{})
			go func() {
				defer close(gone)
				first.stop()
			}()
			var sent []notify.Ref
			each := time.NewTicker(50 * time.Millisecond)
			defer each.Stop()
			for more := 10; more > 0; <-each.C {
				sent = append(sent, s.insist("c"+strconv.Itoa(len(sent))))
				select {
				case <-gone:
					more--
				default:
				}
			}

			s.nodes = s.nodes[1:]
			mei.waitPresence(notify.Active)
			mei.waitCount(len(sent))
			for _, ref := range sent {
				s.wantEnd(ref, notify.InApp, notify.ActivelyViewing, notify.Acknowledged)
			}
			mei.wantUnbroken(len(sent))
			if all := s.Desktop.History(); len(all) != 0 {
				t.Errorf("rung beside the toasts: %s", desktop.Describe(all))
			}
		})
	}
}

// insist posts a message to Mei until the hub has it, as a backend does that
// gets no answer or is told to come back.
func (s *story) insist(conversation string) notify.Ref {
	s.t.Helper()
	body, err := json.Marshal(hub.MessageInput{
		ID: "m", Kind: notify.Text, Text: "hello",
		Conversation: hub.ConversationInput{ID: conversation, Contact: "Contact", Assignment: &hub.AssignmentInput{Agent: "mei"}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.wait("the hub to take a message in "+conversation, func() bool {
		request, err := http.NewRequestWithContext(s.t.Context(), "POST", s.hub+"/v1/messages", bytes.NewReader(body))
		if err != nil {
			s.t.Fatal(err)
		}
		request.Close = true
		request.Header.Set("Authorization", "Bearer "+s.key)
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusAccepted && response.StatusCode != http.StatusServiceUnavailable {
			s.t.Fatalf("a message was answered %d", response.StatusCode)
		}
		return response.StatusCode == http.StatusAccepted
	})
	return notify.Ref{Conversation: conversation, Message: "m"}
}
