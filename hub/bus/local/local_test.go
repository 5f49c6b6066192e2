package local_test

import (
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"caac-hub/hub"
	"caac-hub/hub/bus"
	"caac-hub/hub/bus/bustest"
	"caac-hub/hub/bus/local"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLocalBusConforms(t *testing.T) {
	bustest.Run(t, func(t *testing.T) func() hub.Bus {
		b := local.New()
		return func() hub.Bus { return b }
	})
}

func TestBusRestsInABubbleAndEndsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := local.New()
		var heard []string
		leave, err := b.Join(t.Context(), "a", func(data []byte) { heard = append(heard, string(data)) })
		if err != nil {
			t.Fatal(err)
		}
		b.Publish(t.Context(), "a", []byte("one"))
		b.Publish(t.Context(), "", []byte("two"))
		synctest.Wait()
		if len(heard) != 2 || heard[0] != "one" || heard[1] != "two" {
			t.Errorf("heard %q", heard)
		}
		leave()
	})
}

func TestDroppedMessagesAreCounted(t *testing.T) {
	b := local.New()
	gate := make(chan struct{})
	stuck := make(chan struct{}, bus.MaxMessages+10)
	leave, err := b.Join(t.Context(), "a", func([]byte) {
		stuck <- struct{}{}
		<-gate
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Publish(t.Context(), "a", nil)
	<-stuck
	for range bus.MaxMessages + 3 {
		b.Publish(t.Context(), "a", nil)
	}
	if n := b.Dropped(); n != 3 {
		t.Errorf("%d were dropped, want 3", n)
	}
	close(gate)
	leave()
}

func BenchmarkPublish(b *testing.B) {
	bus := local.New()
	leave, err := bus.Join(b.Context(), "a", func([]byte) {})
	if err != nil {
		b.Fatal(err)
	}
	defer leave()
	data := make([]byte, 300)
	b.ReportAllocs()
	for b.Loop() {
		bus.Publish(b.Context(), "a", data)
	}
}
