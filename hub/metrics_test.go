package hub_test

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"caac-hub/hub"
	"caac-hub/hub/wire"
)

// metric returns the sum of a metric of the hub over all its labels.
func (w *world) metric(name string) float64 {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

// labels are the values of a metric's first label.
func (w *world) labels(name string) (values []string) {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				values = append(values, m.GetLabel()[0].GetValue())
			}
		}
	}
	return values
}

func TestEveryEndIsCountedOnce(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.metrics = prometheus.NewRegistry()
		w.restart()
		w.agent("mei", "ken")
		w.open("mei", "hidden").subscribe()
		w.message("hello", hub.AssignmentInput{Agent: "mei"})
		w.wait(time.Second)
		d := w.push.take()[0].payload.Notification.Data
		for _, event := range []string{"displayed", "clicked"} {
			if err := w.hub.Receipt(t.Context(), wire.Receipt{
				Conversation: d.Conversation, Message: d.Message, ID: d.ID, Agent: d.Agent, Device: d.Device,
				Generation: d.Generation, Kind: d.Kind, Token: d.Receipt, Event: event,
			}); err != nil {
				t.Fatal(err)
			}
			w.wait(2 * time.Second)
		}
		w.messageIn("bob", "hello", hub.AssignmentInput{Agent: "ken"})
		w.wait(5 * time.Second)
		for name, want := range map[string]float64{
			"caac_messages_total": 2, "caac_decisions_total": 2, "caac_deliveries_ended_total": 2,
			"caac_reached_nobody_total": 1, "caac_receipts_total": 2, "caac_sockets": 1, "caac_due": 0,
		} {
			if got := w.metric(name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		if got := w.labels("caac_reached_nobody_total"); !slices.Equal(got, []string{"not_logged_in"}) {
			t.Errorf("what reached nobody has the causes %q", got)
		}
	})
}

func TestPushHostsBeyondTheirNumberAreCountedTogether(t *testing.T) {
	reg := prometheus.NewRegistry()
	hub.CountPushAnswers(reg, 150)
	families, err := reg.Gather()
	if err != nil || len(families) != 1 {
		t.Fatal(families, err)
	}
	byHost := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "host" {
				byHost[l.GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	if len(byHost) != 101 || byHost["host-99"] != 2 || byHost["other"] != 100 {
		t.Errorf("%d hosts, %v of the last by name, %v of others", len(byHost), byHost["host-99"], byHost["other"])
	}
}
