package serve

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

// wave allocates n MB in small pieces and returns them.
func wave(n int) [][]byte {
	out := make([][]byte, n<<10)
	for i := range out {
		out[i] = make([]byte, 1<<10)
		out[i][0] = 1
	}
	return out
}

func TestMemoryGoesBackOnceItIsQuiet(t *testing.T) {
	kept := wave(64)
	runtime.GC()
	m := newMemory()
	left := wave(64)
	now := time.Now()
	if m.look(now) {
		t.Error("memory went back in the middle of a wave")
	}
	runtime.KeepAlive(left)
	left = nil
	runtime.GC() // which the runtime does every two minutes, at least
	if !m.look(now.Add(lookEvery)) {
		t.Fatal("no memory went back after the wave")
	}
	s := []metrics.Sample{{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	if free, objects := s[0].Value.Uint64(), s[1].Value.Uint64(); free > 16<<20 || objects > 100<<20 {
		t.Errorf("%d MB free and %d MB of objects are still held", free>>20, objects>>20)
	}
	if m.look(now.Add(2 * lookEvery)) {
		t.Error("memory went back with nothing left behind")
	}
	runtime.KeepAlive(wave(64))
	runtime.GC()
	m.look(now.Add(3 * lookEvery))
	if m.look(now.Add(returnEvery)) {
		t.Error("memory went back twice within a minute")
	}
	if !m.look(now.Add(lookEvery + returnEvery)) {
		t.Error("no memory went back a minute later")
	}
	runtime.KeepAlive(kept)
}
