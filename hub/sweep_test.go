package hub_test

import (
	"testing"
	"time"

	"caac-hub/hub"
)

func TestLoginWithoutASignOfLifeEndsAndAnOpenPageIsOne(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.agent("mei", "ken")
		away := w.open("mei", "hidden").subscribe()
		away.close()
		here := w.open("ken", "hidden").subscribe()
		w.wait(3 * time.Hour)
		if err := w.hub.SweepLogins(t.Context(), 2*time.Hour); err != nil {
			t.Fatal(err)
		}
		if mei, err := w.hub.Agent(t.Context(), "mei"); err != nil || len(mei.Logins) != 0 {
			t.Errorf("mei: %+v, %v", mei.Logins, err)
		}
		if _, err := w.hub.Device(t.Context(), away.device.ID); hub.AsError(err) == nil || hub.AsError(err).Kind != hub.NotFound {
			t.Errorf("the device nobody is logged in on is still there: %v", err)
		}
		ken, err := w.hub.Agent(t.Context(), "ken")
		if err != nil || len(ken.Logins) != 1 || time.Since(ken.Logins[0].Seen) > time.Minute {
			t.Errorf("ken, whose page is open: %+v, %v", ken.Logins, err)
		}
		if d, err := w.hub.Device(t.Context(), here.device.ID); err != nil || !d.Settings.Subscribed {
			t.Errorf("ken's device: %+v, %v", d, err)
		}
	})
}
