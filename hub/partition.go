package hub

import (
	"context"
	"errors"
	"slices"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// A partition owns what happens to its agents: one goroutine carries out
// operations in order, and folds those that wait into one atomic batch of the
// store. Everything in it belongs to that goroutine.
type partition struct {
	h       *Hub
	n       int
	in      chan op
	next    []op // made by operations, done before those from outside
	records map[notify.Ref]*notify.Fanout
	flights map[string]*flight   // what a page may still confirm, by delivery
	byAgent map[string][]*flight // the same by agent
	rings   map[string]*ring     // as stored
	sending map[string]bool      // rings with a push under way
	seen    map[notify.Ref][]sight
}

// op is one operation. stage reads memory and store and adds to the step; it
// must leave the partition as it is, for the step may fail and be staged again.
// done is told the outcome, once.
type op interface {
	stage(s *step) error
	done(p *partition, err error)
}

// maxStep bounds how many operations share one batch.
const maxStep = 256

func newPartition(h *Hub, n int) *partition {
	return &partition{
		h: h, n: n, in: make(chan op, 1024),
		records: map[notify.Ref]*notify.Fanout{}, flights: map[string]*flight{},
		byAgent: map[string][]*flight{}, rings: map[string]*ring{}, sending: map[string]bool{},
		seen: map[notify.Ref][]sight{},
	}
}

// offer hands an operation over without waiting for room.
func (p *partition) offer(o op) {
	select {
	case p.in <- o:
	default:
		go p.post(o)
	}
}

// post hands an operation over. When the hub has ended, the operation is told so.
func (p *partition) post(o op) {
	select {
	case <-p.h.ended:
		o.done(nil, errEnded)
		return
	default:
	}
	select {
	case p.in <- o:
	case <-p.h.ended:
		o.done(nil, errEnded)
	}
}

var errEnded = &Error{Kind: Unavailable, Code: "ending", Message: "this node is going; try another", RetryAfter: time.Second}

// run works until the hub has ended and nothing waits.
func (p *partition) run() {
	sights := time.NewTicker(sightDelay)
	defer sights.Stop()
	for {
		var ops []op
		if len(p.next) == 0 {
			select {
			case o := <-p.in:
				ops = append(ops, o)
			case now := <-sights.C:
				p.flushSights()
				p.tidy(now)
				continue
			case <-p.h.ended:
				select {
				case o := <-p.in:
					ops = append(ops, o)
				default:
					p.flushSights()
					p.flushAcks()
					if len(p.next) == 0 {
						return
					}
				}
			}
		}
		ops = append(ops, p.next...)
		p.next = nil
	more:
		for len(ops) < maxStep {
			select {
			case o := <-p.in:
				ops = append(ops, o)
			default:
				break more
			}
		}
		p.work(ops)
	}
}

// work carries out operations in one batch; if that fails, one by one, so that
// none fails for another's sake.
func (p *partition) work(ops []op) {
	err := p.try(ops)
	if err == nil {
		return
	}
	if len(ops) > 1 {
		for _, o := range ops {
			p.work([]op{o})
		}
		return
	}
	for range casTries {
		if !errors.Is(err, notify.ErrConflict) {
			break
		}
		if c, ok := ops[0].(interface{ conflicted(*partition) }); ok {
			c.conflicted(p)
		}
		clear(p.rings)
		clear(p.records)
		err = p.try(ops)
		if err == nil {
			return
		}
	}
	ops[0].done(p, err)
}

// try stages and commits. On success it publishes and tells every operation.
func (p *partition) try(ops []op) error {
	ctx, cancel := context.WithTimeout(p.h.storeCtx, 30*time.Second)
	defer cancel()
	if !p.h.peers.alone() {
		// Another node may have written since; what it wrote is not heard of.
		clear(p.rings)
		clear(p.records)
	}
	s := &step{p: p, ctx: ctx, now: time.Now(), records: map[notify.Ref]*notify.Fanout{}, rings: map[string]*ring{}, fresh: map[string]bool{}, had: map[string]bool{}, cleared: map[string]bool{}, settled: map[notify.Ref]bool{}}
	if err := s.readAhead(ops); err != nil {
		return err
	}
	for _, o := range ops {
		if err := o.stage(s); err != nil {
			return err
		}
	}
	if err := s.commit(); err != nil {
		return err
	}
	for _, o := range ops {
		o.done(p, nil)
	}
	return nil
}

// step is one batch being put together: copies of what it changes, and what is
// to be done in memory once it is durable.
type step struct {
	p       *partition
	ctx     context.Context
	now     time.Time
	batch   notify.Batch
	ahead   ahead
	records map[notify.Ref]*notify.Fanout
	rings   map[string]*ring
	folded  []string            // deliveries whose flights ended with this step
	settled map[notify.Ref]bool // records that had ended before it
	fresh   map[string]bool     // deliveries whose flights begin with it
	after   []func(notify.Result)
	counts  map[string]*wire.Counts // what it changed, by agent, once it is durable
	had     map[string]bool         // sockets told of it in a notify
	cleared map[string]bool         // agents of whose unread it took something away
}

// then has fn run once the step is durable.
func (s *step) then(fn func(notify.Result)) { s.after = append(s.after, fn) }

func (s *step) rev(snap snapshot) {
	if s.batch.Revs == nil {
		s.batch.Revs = map[string]int64{}
	}
	for id, rev := range snap.revs {
		s.batch.Revs[id] = rev
	}
}

// record returns the step's copy of a message's record, to be changed, with everything pages
// have acknowledged so far folded in; notify.ErrNotFound if there is none.
func (s *step) record(ref notify.Ref) (*notify.Fanout, error) {
	if f, ok := s.records[ref]; ok {
		return f, nil
	}
	f, err := s.stored(ref)
	if err != nil {
		return nil, err
	}
	if f.Ended() {
		s.settled[ref] = true
	}
	for i := range f.Deliveries {
		d := &f.Deliveries[i]
		if fl := s.p.flights[d.ID]; fl != nil && fl.isAcked() {
			if d.End == "" { // or another node ended it
				fl.fold(d)
			}
			s.folded = append(s.folded, d.ID)
		}
	}
	s.records[ref] = &f
	return &f, nil
}

// stored returns a message's record as it stands, in memory or in the store.
func (s *step) stored(ref notify.Ref) (notify.Fanout, error) {
	known, ok := s.p.records[ref]
	if !ok {
		return s.recordOf(ref)
	}
	f := *known
	f.Deliveries = slices.Clone(known.Deliveries)
	return f, nil
}

// peek returns one delivery to look at, nil if there is none.
func (s *step) peek(ref notify.Ref, id string) (*notify.Delivery, error) {
	f, ok := s.records[ref]
	if !ok {
		f, ok = s.p.records[ref]
	}
	if !ok {
		stored, err := s.recordOf(ref)
		if errors.Is(err, notify.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		f = &stored
	}
	return find(f, id), nil
}

func find(f *notify.Fanout, id string) *notify.Delivery {
	for i := range f.Deliveries {
		if f.Deliveries[i].ID == id {
			return &f.Deliveries[i]
		}
	}
	return nil
}

// delivery returns the step's copy of one delivery, nil if there is none.
func (s *step) delivery(ref notify.Ref, id string) (*notify.Delivery, error) {
	f, err := s.record(ref)
	if errors.Is(err, notify.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return find(f, id), nil
}

// end brings a delivery to its end.
func (s *step) end(d *notify.Delivery, end notify.End, reason notify.Reason) {
	d.End, d.EndReason, d.Ended = end, reason, s.now
	s.folded = append(s.folded, d.ID)
}

// note adds to the delivery's timeline.
func (s *step) note(d *notify.Delivery, kind notify.EventKind, detail string) {
	noteAt(d, s.now, kind, detail)
}

// maxEvents bounds a delivery's timeline; what comes later is not kept.
const maxEvents = 32

func noteAt(d *notify.Delivery, at time.Time, kind notify.EventKind, detail string) {
	if len(d.Events) < maxEvents {
		d.Events = append(slices.Clip(d.Events), notify.Event{At: at, Kind: kind, Detail: detail})
	}
}

// commit makes the step durable and publishes it.
func (s *step) commit() error {
	p := s.p
	refs := make([]notify.Ref, 0, len(s.records))
	for ref, f := range s.records {
		refs = append(refs, ref)
		s.batch.Fanouts = append(s.batch.Fanouts, *f)
		if f.Ended() {
			s.batch.Settled = append(s.batch.Settled, notify.Settled{Ref: ref, Parts: f.Parts})
		}
	}
	var keys []string
	for key, r := range s.rings {
		switch {
		case !r.changed():
		case !r.gone:
			due, err := r.due(p.n)
			if err != nil {
				return err
			}
			s.batch.Due = append(s.batch.Due, due)
			keys = append(keys, key)
		case r.rev != 0:
			s.batch.Done = append(s.batch.Done, notify.DueRef{Key: key, Rev: r.rev})
		}
	}
	// What was staged besides rings stands before them in batch.Due.
	other := len(s.batch.Due) - len(keys)
	var res notify.Result
	if !empty(&s.batch) {
		var err error
		if res, err = p.h.store.Commit(s.ctx, p.n, s.batch); err != nil {
			return err
		}
	}
	for i, ref := range refs {
		f := s.records[ref]
		f.Rev = res.Fanouts[i]
		if f.Ended() {
			delete(p.records, ref)
			if !s.settled[ref] {
				p.h.metrics.settled(f)
			}
		} else {
			p.records[ref] = f
		}
		p.h.changed(Event{Kind: "trace", Conversation: ref.Conversation, Message: ref.Message})
	}
	for _, ref := range res.Whole {
		p.whole(s.records[ref])
	}
	for i, key := range keys {
		s.rings[key].rev = res.Due[other+i]
	}
	for key, r := range s.rings {
		if r.gone {
			delete(p.rings, key)
			continue
		}
		r.stored = nil
		p.rings[key] = r
		if len(r.Waiting) > 0 && !r.at.After(s.now) && !p.sending[key] {
			p.next = append(p.next, &ringOp{key: key})
		}
	}
	for _, id := range s.folded {
		p.land(id)
	}
	s.counts = make(map[string]*wire.Counts, len(res.Counts))
	for i := range res.Counts {
		c := countsOf(&res.Counts[i])
		if old := s.counts[res.Counts[i].Agent]; old != nil {
			c = *mergeCounts(old, c)
		}
		s.counts[res.Counts[i].Agent] = &c
	}
	for _, fn := range s.after {
		fn(res)
	}
	s.tell()
	return nil
}

func empty(b *notify.Batch) bool {
	return len(b.Add)+len(b.Read)+len(b.Withdraw)+len(b.Fanouts)+len(b.Due)+len(b.Done)+len(b.Settled) == 0
}

// whole counts a message that came to its end everywhere, here last, if it
// reached nobody.
func (p *partition) whole(last *notify.Fanout) {
	if last == nil || !reachedNobody(last.Deliveries) {
		return
	}
	if len(last.Parts) <= 1 {
		p.h.metrics.nobody(last.Deliveries)
		return
	}
	if !p.h.open(1) {
		return
	}
	go func() {
		defer p.h.wg.Done()
		fs, err := p.h.store.Fanouts(p.h.storeCtx, last.Ref)
		var all []notify.Delivery
		for i := range fs {
			if !reachedNobody(fs[i].Deliveries) {
				return
			}
			all = append(all, fs[i].Deliveries...)
		}
		if err == nil {
			p.h.metrics.nobody(all)
		}
	}()
}

// opResult is the part of an operation that somebody may wait for.
type opResult struct {
	reply chan error
	told  func(error)
}

func awaited() opResult { return opResult{reply: make(chan error, 1)} }

func (r opResult) done(_ *partition, err error) {
	if r.reply != nil {
		r.reply <- err
	}
	if r.told != nil {
		r.told(err)
	}
}

// waitAll waits for every one of several operations, as long as none has failed.
func waitAll(ctx context.Context, results []opResult) error {
	for _, r := range results {
		if err := r.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r opResult) wait(ctx context.Context) error {
	select {
	case err := <-r.reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
