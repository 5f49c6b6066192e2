package notify

import (
	"fmt"
	"slices"
	"testing"
)

func benchAgent(id string) AgentView {
	return AgentView{ID: id, OnDuty: true, Logins: []LoginView{
		{Device: "desktop", Permission: Granted, Subscribed: true, Sockets: []SocketView{{ID: "s1", Presence: Hidden}, {ID: "s2", Presence: Visible}}},
		{Device: "phone", Permission: Granted, Subscribed: true},
	}}
}

func benchTeam(n int) View {
	v := View{Assignment: Assignment{Team: "t"}}
	for i := range n {
		id := fmt.Sprintf("agent-%04d", i)
		v.Members = append(v.Members, id)
		v.Agents = append(v.Agents, benchAgent(id))
	}
	return v
}

func TestDecideAllocatesItsAnswerOnly(t *testing.T) {
	views := map[string]View{
		"assignee":      {Assignment: Assignment{Agent: "mei"}, Agents: []AgentView{benchAgent("mei")}},
		"team of 1,000": benchTeam(1000),
	}
	for name, v := range views {
		if n := testing.AllocsPerRun(20, func() { Decide(v, msg) }); n > 1 {
			t.Errorf("%s: %v allocations, want the one of the answer", name, n)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	unsorted := benchTeam(1000)
	slices.Reverse(unsorted.Agents)
	for _, c := range []struct {
		name string
		v    View
	}{
		{"assignee with 2 logins", View{Assignment: Assignment{Agent: "mei"}, Agents: []AgentView{benchAgent("mei")}}},
		{"team of 1000", benchTeam(1000)},
		{"team of 1000 unsorted", unsorted},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Decide(c.v, msg)
			}
		})
	}
}
