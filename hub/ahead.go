package hub

import (
	"encoding/json"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"caac-hub/hub/notify"
)

// wants is what an operation will read of the store, as far as it knows before
// it is staged.
type wants struct {
	due      []string
	records  []notify.Ref
	messages []notify.Ref
}

// wanting is an operation that knows some of what it will read. What operations
// of one step want is read together: one after the other each would wait for the
// store's answer, and all behind it in the partition too.
type wanting interface{ wants() wants }

// ahead is what a step has read of the store beforehand; nil: it is not there.
type ahead struct {
	due      map[string]*notify.Due
	records  map[notify.Ref]*notify.Fanout
	messages map[notify.Ref]*notify.Message
}

// readAhead reads what the operations want and memory does not know.
func (s *step) readAhead(ops []op) error {
	var all wants
	for _, o := range ops {
		if o, ok := o.(wanting); ok {
			w := o.wants()
			all.due = append(all.due, w.due...)
			all.records = append(all.records, w.records...)
			all.messages = append(all.messages, w.messages...)
		}
	}
	return s.want(all)
}

func (s *step) want(w wants) error {
	a := &s.ahead
	w.due = slices.DeleteFunc(w.due, func(key string) bool { return known(s.p.rings, key) || known(s.rings, key) || known(a.due, key) })
	w.records = slices.DeleteFunc(w.records, func(ref notify.Ref) bool {
		return known(s.p.records, ref) || known(s.records, ref) || known(a.records, ref)
	})
	w.messages = slices.DeleteFunc(w.messages, func(ref notify.Ref) bool { return known(a.messages, ref) })
	slices.Sort(w.due)
	w.due, w.records, w.messages = slices.Compact(w.due), distinct(w.records), distinct(w.messages)
	if len(w.due)+len(w.records)+len(w.messages) < 2 {
		return nil // it is read where it is needed, if it still is
	}
	store := s.p.h.store
	g, ctx := errgroup.WithContext(s.ctx)
	var due []notify.Due
	if len(w.due) > 0 {
		g.Go(func() (err error) {
			due, err = store.Due(ctx, s.p.n, w.due)
			return err
		})
	}
	records, messages := make([]*notify.Fanout, len(w.records)), make([]*notify.Message, len(w.messages))
	for i, ref := range w.records {
		g.Go(func() (err error) {
			records[i], err = found(store.Fanout(ctx, s.p.n, ref))
			return err
		})
	}
	for i, ref := range w.messages {
		g.Go(func() (err error) {
			messages[i], err = found(store.Message(ctx, ref))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, key := range w.due {
		put(&a.due, key, nil)
	}
	for i := range due {
		put(&a.due, due[i].Key, &due[i])
	}
	for i, ref := range w.records {
		put(&a.records, ref, records[i])
	}
	for i, ref := range w.messages {
		put(&a.messages, ref, messages[i])
	}
	return nil
}

func known[K comparable, V any](m map[K]V, k K) bool {
	_, ok := m[k]
	return ok
}

func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

func distinct(refs []notify.Ref) []notify.Ref {
	seen := make(map[notify.Ref]bool, len(refs))
	return slices.DeleteFunc(refs, func(ref notify.Ref) bool {
		was := seen[ref]
		seen[ref] = true
		return was
	})
}

// found answers nil for what is not there.
func found[T any](v T, err error) (*T, error) {
	if errors.Is(err, notify.ErrNotFound) {
		return nil, nil
	}
	return &v, err
}

// dueOf returns a piece of due work of the partition, nil if there is none.
func (s *step) dueOf(key string) (*notify.Due, error) {
	if d, ok := s.ahead.due[key]; ok {
		return d, nil
	}
	stored, err := s.p.h.store.Due(s.ctx, s.p.n, []string{key})
	if err != nil || len(stored) == 0 {
		return nil, err
	}
	return &stored[0], nil
}

// recordOf returns a message's record as it stands in the store.
func (s *step) recordOf(ref notify.Ref) (notify.Fanout, error) {
	read, ok := s.ahead.records[ref]
	switch {
	case !ok:
		return s.p.h.store.Fanout(s.ctx, s.p.n, ref)
	case read == nil:
		return notify.Fanout{}, notify.ErrNotFound
	}
	f := *read
	f.Deliveries = slices.Clone(read.Deliveries)
	return f, nil
}

// messageOf returns a message.
func (s *step) messageOf(ref notify.Ref) (notify.Message, error) {
	read, ok := s.ahead.messages[ref]
	switch {
	case !ok:
		return s.p.h.store.Message(s.ctx, ref)
	case read == nil:
		return notify.Message{}, notify.ErrNotFound
	}
	return *read, nil
}

func (o *fanoutOp) wants() (w wants) {
	if o.replay || o.takeover {
		w.records = []notify.Ref{o.msg.Ref()}
	}
	if o.replay && o.finished != nil {
		w.due = []string{o.finished.Key}
	}
	return w
}

func (o *deadlineOp) wants() (w wants) {
	var b deadlineBody
	if json.Unmarshal(o.due.Body, &b) == nil {
		w.records = []notify.Ref{{Conversation: b.Conversation, Message: b.Message}}
	}
	return w
}

func (o *foldOp) wants() wants { return wants{records: []notify.Ref{o.ref}} }

func (o *traceOp) wants() wants { return wants{records: []notify.Ref{o.ref}} }

func (o *ringOp) wants() wants { return wants{due: []string{o.key}} }

func (o *takeOp) wants() wants {
	newest := []notify.Ref{o.newest}
	return wants{due: []string{o.key}, records: newest, messages: newest}
}

func (o *pushedOp) wants() wants {
	w := wants{due: []string{o.key}}
	for _, x := range o.out.waiting {
		w.records = append(w.records, notify.Ref{Conversation: o.out.conversation, Message: x.Message})
	}
	return w
}
