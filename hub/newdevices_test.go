package hub_test

import (
	"testing"
	"time"

	"caac-hub/hub"
)

func TestDevicesMadeAgainAndAgainAreNotKept(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.limits = hub.Limits{DevicesPerAgent: 3}
		w.restart()
		w.agent("mei")
		for range 10 {
			w.open("mei", "hidden").close()
			w.wait(time.Second)
		}
		ds, err := w.store.ListDevices(t.Context(), "", 100)
		if err != nil || len(ds) != 3 {
			t.Errorf("%d devices are kept, want 3 (%v)", len(ds), err)
		}
	})
}
