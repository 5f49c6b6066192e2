package hub

import (
	"context"
	"testing"

	"caac-hub/hub/notify"
)

// oneAgent is a directory of one agent. read is called when a read has found
// its answer, and writing when a write has begun and nothing is written yet.
type oneAgent struct {
	Directory
	agent   notify.Agent
	read    func()
	writing func()
}

func (s *oneAgent) Agents(context.Context, []string) ([]notify.Agent, error) {
	found := []notify.Agent{s.agent}
	s.read()
	return found, nil
}

func (s *oneAgent) PutAgent(_ context.Context, a notify.Agent) (int64, error) {
	s.writing()
	a.Rev = s.agent.Rev + 1
	s.agent = a
	return a.Rev, nil
}

func TestWrittenAgentIsSeenThoughOthersWereForgottenMeanwhile(t *testing.T) {
	for name, late := range map[string]bool{"somebody reads before": false, "somebody reads before and is answered after": true} {
		t.Run(name, func(t *testing.T) {
			store := &oneAgent{agent: notify.Agent{ID: "mei", Rev: 1}, read: func() {}}
			d := newDirectory(store)
			found, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			store.writing = func() {
				d.forget("mei", "", "")
				store.read = func() { close(found); <-release }
				go func() {
					_, err := d.agent(t.Context(), "mei")
					done <- err
				}()
				<-found
				store.read = func() {}
				if !late {
					close(release)
					done <- <-done
				}
			}
			if _, err := d.updateAgent(t.Context(), "mei", func(a *notify.Agent) error {
				a.Logins = []notify.Login{{Device: "phone"}}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if late {
				close(release)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			a, err := d.agent(t.Context(), "mei")
			if err != nil {
				t.Fatal(err)
			}
			if len(a.Logins) != 1 {
				t.Errorf("the agent has the logins %v, want the one just written", a.Logins)
			}
		})
	}
}
