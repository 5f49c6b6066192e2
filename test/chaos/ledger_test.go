//go:build linux

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/notify"
)

// thread is one conversation and what its producer, the only one who writes
// there, knows of it.
type thread struct {
	id       string
	holders  []string // agents it is assigned to in turn; empty: the team, or nobody
	team     string
	version  int64
	agent    string // assignee now
	accepted []post
	read     map[string]int64 // cursor by agent
	answered int64
}

// post is a message that was answered 202.
type post struct {
	id  string
	seq int64
}

// producer is CAAC's backend for some threads: it repeats every request until it
// is answered, as one that must lose nothing does.
type producer struct {
	front   *front
	random  *rand.Rand
	threads []*thread
	pace    time.Duration // between two messages on average, twice at most
	posted  *atomic.Int64 // messages accepted, of all producers
	// postsOnly: nothing is read or answered, and messages may be lost.
	postsOnly bool
	mu        sync.Mutex // guards what threads accepted
	repeats   int        // requests sent again after an error
	twice     int        // messages answered as duplicates
}

// run posts until ctx ends; what it has begun it brings to an answer.
func (b *producer) run(ctx context.Context, members []string) error {
	for n := 0; ctx.Err() == nil; n++ {
		th := b.threads[b.random.IntN(len(b.threads))]
		if err := b.post(th, fmt.Sprintf("%s-%d", th.id, n)); err != nil {
			return err
		}
		if b.postsOnly {
			b.rest(ctx)
			continue
		}
		switch b.random.IntN(20) {
		case 0:
			if err := b.answer(th); err != nil {
				return err
			}
		case 1, 2:
			if err := b.readSome(th, members); err != nil {
				return err
			}
		}
		b.rest(ctx)
	}
	return nil
}

func (b *producer) rest(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(b.random.Int64N(int64(2 * b.pace)))):
	}
}

func (b *producer) post(th *thread, id string) error {
	if len(th.holders) > 0 && (th.agent == "" || b.random.IntN(12) == 0) {
		th.agent = th.holders[b.random.IntN(len(th.holders))]
		th.version++
	}
	kinds := []notify.Kind{notify.Text, notify.Image, notify.Sticker, "file"}
	in := hub.MessageInput{
		ID: id, Kind: kinds[b.random.IntN(len(kinds))], Text: "message " + id,
		Conversation: hub.ConversationInput{ID: th.id, Contact: "Ann", Assignment: &hub.AssignmentInput{Agent: th.agent, Team: th.team, Version: max(th.version, 1)}},
	}
	var answer hub.MessageAnswer
	if err := b.insist("POST", "/v1/messages", in, &answer); err != nil {
		return err
	}
	if answer.Duplicate {
		b.twice++
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(th.accepted); n > 0 && !b.postsOnly && answer.Seq != th.accepted[n-1].seq+1 {
		return fmt.Errorf("message %s got seq %d after %d", id, answer.Seq, th.accepted[n-1].seq)
	}
	th.accepted = append(th.accepted, post{id, answer.Seq})
	b.posted.Add(1)
	return nil
}

// readSome has one agent read up to one of the messages.
func (b *producer) readSome(th *thread, members []string) error {
	agent := th.agent
	if agent == "" {
		agent = members[b.random.IntN(len(members))]
	}
	upto := th.accepted[b.random.IntN(len(th.accepted))].seq
	if err := b.insist("POST", "/v1/agents/"+agent+"/read", map[string]any{"conversation": th.id, "upto": upto}, nil); err != nil {
		return err
	}
	th.read[agent] = max(th.read[agent], upto)
	return nil
}

// answer has somebody reply, which moves everyone's cursor.
func (b *producer) answer(th *thread) error {
	upto := th.accepted[len(th.accepted)-1].seq
	if err := b.insist("POST", "/v1/conversations/"+th.id+"/answered", map[string]any{"upto": upto}, nil); err != nil {
		return err
	}
	th.answered = max(th.answered, upto)
	return nil
}

// insist repeats a request, at the next node, until it is answered. A refusal
// that the hub means is an error.
func (b *producer) insist(method, path string, in, out any) error {
	for end := time.Now().Add(2 * time.Minute); ; b.repeats++ {
		err := b.front.call(context.Background(), method, path, nil, in, out)
		var status *statusError
		if err == nil || errors.As(err, &status) && status.status < http.StatusInternalServerError && status.status != http.StatusTooManyRequests {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s %s was not answered within 2 min: %w", method, path, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// recipients are the agents that a message is for now.
func (th *thread) recipients(members []string) []string {
	switch {
	case th.agent != "":
		return []string{th.agent}
	case th.team != "":
		return members
	}
	return nil
}

// unread is what the agent must have unread in the thread.
func (th *thread) unread(agent string) int {
	n := 0
	for _, m := range th.accepted {
		if m.seq > max(th.answered, th.read[agent]) {
			n++
		}
	}
	return n
}

// producers run side by side until stop.
type producers struct {
	all    []*producer
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	err    error
}

func startProducers(all []*producer, members []string) *producers {
	ps := &producers{all: all}
	var ctx context.Context
	ctx, ps.cancel = context.WithCancel(context.Background())
	for _, b := range all {
		ps.wg.Go(func() {
			if err := b.run(ctx, members); err != nil {
				ps.mu.Lock()
				ps.err = errors.Join(ps.err, err)
				ps.mu.Unlock()
			}
		})
	}
	return ps
}

// stop returns when everything begun was answered.
func (ps *producers) stop() error {
	ps.cancel()
	ps.wg.Wait()
	return ps.err
}
