package serve

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// When memory goes back to the system.
const (
	lookEvery   = 15 * time.Second
	returnEvery = time.Minute
	leastReturn = 16 << 20 // bytes
)

// memory returns to the system what a wave of pages or messages left behind. The
// collector, which paces itself by what is allocated, leaves it lying for as long
// as little is.
type memory struct {
	samples   []metrics.Sample
	allocated uint64 // up to the last look
	returned  time.Time
}

func newMemory() *memory {
	m := &memory{samples: []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}}
	metrics.Read(m.samples)
	m.allocated = m.samples[0].Value.Uint64()
	return m
}

// tidy looks until ctx ends.
func (m *memory) tidy(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			m.look(now)
		}
	}
}

// look returns memory if little was allocated since the last look, so that
// collecting costs nobody anything, and if it is worth it. It reports whether it
// did.
func (m *memory) look(now time.Time) bool {
	metrics.Read(m.samples)
	value := func(i int) uint64 { return m.samples[i].Value.Uint64() }
	allocated, live, objects, free := value(0), value(1), value(2), value(3)
	quiet := allocated-m.allocated < live/4
	m.allocated = allocated
	left := free + objects - min(live, objects)
	if !quiet || left < max(leastReturn, live/4) || now.Sub(m.returned) < returnEvery {
		return false
	}
	m.returned = now
	debug.FreeOSMemory()
	return true
}
