package hub_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/notify"
)

func TestSearchFindsMessagesByWhatBecameOfThem(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei", "ken")
		w.team("support", "ken", "mei")
		mei := w.open("mei", "active")
		one := w.messageIn("c1", "one", hub.AssignmentInput{Agent: "mei"})
		two := w.messageIn("c2", "two", hub.AssignmentInput{Team: "support"})
		three := w.messageIn("c3", "three", hub.AssignmentInput{Agent: "ken"})
		four := w.messageIn("c4", "four", hub.AssignmentInput{})
		w.wait(5 * time.Second)
		info, err := w.hub.Device(t.Context(), mei.device.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name string
			q    hub.Search
			want []notify.Ref
		}{
			{"all", hub.Search{}, []notify.Ref{four, three, two, one}},
			{"agent", hub.Search{Agent: "mei"}, []notify.Ref{two, one}},
			{"agent by part of the name", hub.Search{Agent: "EI"}, []notify.Ref{two, one}},
			{"nobody of the name", hub.Search{Agent: "zoe"}, nil},
			{"agent and reason", hub.Search{Agent: "ken", Reason: notify.NotLoggedIn}, []notify.Ref{three, two}},
			{"agent and another's reason", hub.Search{Agent: "mei", Reason: notify.NotLoggedIn}, nil},
			{"code", hub.Search{Device: info.Code}, []notify.Ref{two, one}},
			{"code as it may be typed", hub.Search{Device: " " + strings.ToLower(strings.ReplaceAll(info.Code, "-", ""))}, []notify.Ref{two, one}},
			{"device id", hub.Search{Device: mei.device.ID}, []notify.Ref{two, one}},
			{"unknown code", hub.Search{Device: "ABCD-EFGH"}, nil},
			{"team", hub.Search{Team: "support"}, []notify.Ref{two}},
			{"reached nobody", hub.Search{ReachedNobody: true}, []notify.Ref{four, three}},
			{"reason of record", hub.Search{Reason: notify.Unassigned}, []notify.Ref{four}},
			{"message", hub.Search{TraceFilter: notify.TraceFilter{Message: two.Message}}, []notify.Ref{two}},
			{"conversation and what it has not", hub.Search{TraceFilter: notify.TraceFilter{Conversation: "c1"}, ReachedNobody: true}, nil},
		} {
			c.q.Limit, c.q.Names = 10, true
			got, err := w.hub.Search(t.Context(), c.q)
			if err != nil {
				t.Fatal(err)
			}
			var refs []notify.Ref
			for _, tr := range got.Traces {
				refs = append(refs, tr.Message.Ref())
			}
			if fmt.Sprint(refs) != fmt.Sprint(c.want) || !got.Before.IsZero() {
				t.Errorf("%s: %v and older than %v, want %v", c.name, refs, got.Before, c.want)
			}
			if len(refs) > 0 && refs[0] == two && (got.Agents["mei"] != "Mei" || c.q.Reason == "" && got.Devices[mei.device.ID].Code != info.Code) {
				t.Errorf("%s: names %v %v", c.name, got.Agents, got.Devices)
			}
		}
	})
}

func TestSearchLooksAtABoundedNumberOfMessagesAndSaysWhereToGoOn(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		const all = 2400
		for i := 0; i < all; i += 400 {
			in := make([]hub.MessageInput, 400)
			for j := range in {
				in[j] = hub.MessageInput{ID: fmt.Sprintf("b%d", i+j), Kind: notify.Text, Conversation: hub.ConversationInput{ID: fmt.Sprintf("c%d", i+j)}}
			}
			for _, a := range w.hub.Messages(t.Context(), in) { // all of a bulk are accepted at one time
				if a.Err != nil {
					t.Fatal(a.Err)
				}
			}
			w.wait(time.Second)
		}
		q := hub.Search{Agent: "mei"}
		q.Limit = 10
		got, err := w.hub.Search(t.Context(), q)
		if err != nil || len(got.Traces) != 0 || got.Looked < 2000 || got.Looked >= all || got.Before.IsZero() {
			t.Fatalf("found %d of %d looked at, older than %v; %v", len(got.Traces), got.Looked, got.Before, err)
		}
		looked := got.Looked
		q.Before = got.Before
		if got, err = w.hub.Search(t.Context(), q); err != nil || looked+got.Looked != all || !got.Before.IsZero() {
			t.Errorf("then %d and %d of %d, older than %v; %v", looked, got.Looked, all, got.Before, err)
		}
		seen := map[string]bool{}
		for q = (hub.Search{TraceFilter: notify.TraceFilter{Limit: 150}}); ; q.Before = got.Before {
			if got, err = w.hub.Search(t.Context(), q); err != nil {
				t.Fatal(err)
			}
			for _, tr := range got.Traces {
				if seen[tr.Message.ID] {
					t.Fatalf("%s twice", tr.Message.ID)
				}
				seen[tr.Message.ID] = true
			}
			if got.Before.IsZero() {
				break
			}
		}
		if len(seen) != all {
			t.Errorf("paging showed %d of %d", len(seen), all)
		}
	})
}

func TestSearchFindsWhatAPageDidNotRenew(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei")
		w.open("mei", "active").subscribe()
		w.wait(50 * time.Second) // past the lease, which it does not renew
		m := w.messageIn("c1", "one", hub.AssignmentInput{Agent: "mei"})
		w.wait(5 * time.Second)
		for reason, want := range map[notify.Reason]int{notify.LeaseExpired: 1, notify.PageHidden: 1, notify.NodeLost: 0} {
			q := hub.Search{Reason: reason}
			q.Limit = 10
			if got, err := w.hub.Search(t.Context(), q); err != nil || len(got.Traces) != want {
				t.Errorf("%s: %+v, %v; want %d; it is %+v", reason, got.Traces, err, want, w.trace(m))
			}
		}
	})
}

func TestSearchAnswersABoundedNumberOfDeliveriesAndSaysWhereToGoOn(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		const members, all = 1000, 22
		agents, ids := make([]hub.AgentInput, members), make([]string, members)
		on := true
		for i := range agents {
			ids[i] = fmt.Sprintf("a%04d", i)
			agents[i] = hub.AgentInput{ID: ids[i], OnDuty: &on}
		}
		for part := range slices.Chunk(agents, 500) {
			for _, a := range w.hub.PutAgents(t.Context(), part) {
				if a.Err != nil {
					t.Fatal(a.Err)
				}
			}
		}
		w.team("all", ids...)
		for i := range all {
			w.messageIn(fmt.Sprint("c", i), "x", hub.AssignmentInput{Team: "all"})
			w.wait(time.Second)
		}
		q := hub.Search{}
		q.Limit = 500
		got, err := w.hub.Search(t.Context(), q)
		if err != nil || len(got.Traces) != 20 || got.Before.IsZero() {
			t.Fatalf("%d traces, older than %v; %v", len(got.Traces), got.Before, err)
		}
		q.Before = got.Before
		if got, err = w.hub.Search(t.Context(), q); err != nil || len(got.Traces) != all-20 || !got.Before.IsZero() {
			t.Errorf("then %d traces, older than %v; %v", len(got.Traces), got.Before, err)
		}
	})
}
