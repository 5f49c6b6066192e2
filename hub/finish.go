package hub

import (
	"sync"
	"time"

	"caac-hub/hub/notify"
)

// finishTime is how long finished work waits to be deleted with what else is
// finished meanwhile, in other partitions too: each alone would cost the store a
// write to the disk of its own. It is done again only if the node dies before.
const finishTime = 50 * time.Millisecond

// finished is due work that was carried out and not deleted yet.
type finished struct {
	mu   sync.Mutex
	refs []finishedRef
}

type finishedRef struct {
	partition int
	notify.DueRef
}

// finish has due work deleted soon. Once the drain has begun it stays due.
func (h *Hub) finish(partition int, ref notify.DueRef) {
	f := &h.finished
	f.mu.Lock()
	defer f.mu.Unlock()
	first := len(f.refs) == 0
	if first && !h.open(1) {
		return
	}
	f.refs = append(f.refs, finishedRef{partition, ref})
	if first {
		go h.deleteFinished()
	}
}

func (h *Hub) deleteFinished() {
	defer h.wg.Done()
	sleep(h.base, finishTime)
	f := &h.finished
	f.mu.Lock()
	refs := f.refs
	f.refs = nil
	f.mu.Unlock()
	for _, r := range refs {
		h.partitions[r.partition].offer(&doneOp{ref: r.DueRef})
	}
}
