package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"caac-hub/hub/notify"
	"caac-hub/hub/redisconn"
)

// importing gathers what one call of Import runs.
type importing struct {
	s    *Store
	runs map[*redisconn.Script][]run
}

func (i *importing) add(script *redisconn.Script, p int, keys []string, args ...any) {
	i.runs[script] = append(i.runs[script], run{p, keys, args})
}

// flush runs what was gathered, so that what comes next may look at it.
func (i *importing) flush(ctx context.Context) error {
	for _, script := range []*redisconn.Script{importRowScript, importEndpointScript, importDueScript, importUnreadScript, eraseScript} {
		if len(i.runs[script]) == 0 {
			continue
		}
		answers, err := i.s.writeEach(ctx, script, i.runs[script])
		if err != nil {
			return err
		}
		for _, a := range answers {
			if a.err != nil {
				return a.err
			}
		}
	}
	clear(i.runs)
	return nil
}

// Import brings in what another store's Export gave; see notify.Entry. A record
// is split over the partitions of its agents; the due work about a message's
// deadline goes to each partition that has a record of it, so records come first.
// Some hundreds of entries at once are a good measure.
func (s *Store) Import(ctx context.Context, entries []notify.Entry) error {
	i := &importing{s, map[*redisconn.Script][]run{}}
	for n := range entries {
		if err := i.entry(ctx, &entries[n]); err != nil {
			return err
		}
	}
	return i.flush(ctx)
}

func (i *importing) entry(ctx context.Context, e *notify.Entry) error {
	switch s := i.s; {
	case e.Agent != nil:
		return importDocument(i, agents, e.Agent.ID, e.Agent.Rev, "", e.Agent)
	case e.Team != nil:
		return importDocument(i, teams, e.Team.ID, e.Team.Rev, "", e.Team)
	case e.Device != nil:
		key := ""
		if e.Device.Subscription != nil {
			key = digest(e.Device.Subscription.Endpoint)
			i.add(importEndpointScript, part(key), []string{s.keys[part(key)].endpoints}, key, token(e.Device.ID), e.Device.Rev)
		}
		return importDocument(i, devices, e.Device.ID, e.Device.Rev, key, e.Device)
	case e.Meta != nil:
		k := &s.keys[part(e.Meta.Name)]
		i.add(importRowScript, part(e.Meta.Name), []string{k.meta, k.metaNames}, e.Meta.Name, e.Meta.Rev, " "+string(e.Meta.Value), 0)
	case e.Conversation != nil:
		c := e.Conversation
		i.add(importRowScript, part(c.ID), []string{s.keys[part(c.ID)].conversations}, escape(c.ID), c.Rev, conversationRow(c))
	case e.Message != nil:
		m := e.Message
		k := &s.keys[part(m.Conversation)]
		a := m.Assignment
		row := fmt.Sprintf("%d %d %s %s %s %s %s", m.Seq, a.Version, token(a.Agent), token(a.Team), token(m.Contact), token(m.Hash), messageTail(m))
		// Its seq as its stamp: of messages of one moment the later one is listed first.
		i.add(importRowScript, part(m.Conversation), []string{k.messages, k.messageTimes, k.messageIDs},
			refKey(m.Ref()), m.Seq, row+messageTexts(m), micros(m.Accepted), 0)
	case e.Fanout != nil:
		i.fanout(e.Fanout)
	case e.Due != nil:
		return i.due(ctx, *e.Due)
	case e.Unread != nil:
		u := e.Unread
		n, _ := count(u)
		i.unread(u.Agent, 0, escape(u.Conversation), u.Stamp, n, entryRow(u))
	case e.Version != nil:
		i.unread(e.Version.Agent, e.Version.Version, "", 0, 0, "")
	}
	return nil
}

func (i *importing) unread(agent string, args ...any) {
	p := part(agent)
	k := &i.s.keys[p]
	i.add(importUnreadScript, p, []string{k.versions, k.holders, k.unread + escape(agent)}, append([]any{escape(agent)}, args...)...)
}

func importDocument[T any](i *importing, k kind[T], id string, rev int64, endpoint string, v *T) error {
	doc, err := json.Marshal(v)
	if err != nil {
		return err
	}
	p := part(id)
	keys := &i.s.keys[p]
	i.add(importRowScript, p, []string{k.rows(keys), k.ids(keys)}, id, rev, endpoint+" "+string(doc), 0)
	return nil
}

// split is a record by the partitions of its agents; a decision of record
// without an agent is the conversation's.
func split(f *notify.Fanout) map[int]*notify.Fanout {
	by := map[int]*notify.Fanout{}
	for _, d := range f.Deliveries {
		id := d.Agent
		if id == "" {
			id = f.Conversation
		}
		p := part(id)
		if by[p] == nil {
			of := *f
			of.Deliveries = nil
			by[p] = &of
		}
		by[p].Deliveries = append(by[p].Deliveries, d)
	}
	if len(by) == 0 {
		of := *f
		by[part(f.Conversation)] = &of
	}
	parts := slices.Sorted(maps.Keys(by))
	for _, of := range by {
		of.Parts = parts
	}
	return by
}

// fanout brings in a record's parts. Where some have come to their end the
// message's partition is told, which hears of the others once they do.
func (i *importing) fanout(f *notify.Fanout) {
	home := part(f.Conversation)
	k := &i.s.keys[home]
	for p, of := range split(f) {
		i.add(importRowScript, p, []string{i.s.keys[p].fanouts}, refKey(f.Ref), f.Rev, fanoutRow(of))
		if of.Ended() && !f.Ended() {
			i.add(eraseScript, home, []string{k.messages, k.ends}, append([]any{1}, settledArgs(p, notify.Settled{Ref: f.Ref, Parts: of.Parts})...)...)
		}
	}
}

// due brings work to where it is looked for: that of a ring to its agent, that of
// a deadline to the records, any other to its conversation.
func (i *importing) due(ctx context.Context, d notify.Due) error {
	var to []int
	words := strings.Split(d.Key, "/")
	for n, w := range words {
		var err error
		if words[n], err = url.QueryUnescape(w); err != nil {
			return fmt.Errorf("due work %q: its key can't be read", d.Key)
		}
	}
	switch {
	case d.Kind == notify.DueRing:
		var body struct{ Agent string }
		if err := json.Unmarshal(d.Body, &body); err != nil || body.Agent == "" {
			return fmt.Errorf("due work %q: its body names no agent", d.Key)
		}
		to = []int{part(body.Agent)}
	case d.Kind == notify.DueDeadline && len(words) == 3:
		if err := i.flush(ctx); err != nil {
			return err
		}
		records, err := i.s.Fanouts(ctx, notify.Ref{Conversation: words[1], Message: words[2]})
		if err != nil {
			return err
		}
		for _, f := range records {
			to = append(to, f.Partition)
		}
		if to == nil {
			to = []int{part(words[1])}
		}
	case len(words) < 2:
		return fmt.Errorf("due work %q: its key names no conversation", d.Key)
	default:
		to = []int{part(words[1])}
	}
	args, err := dueArgs(nil, &d)
	if err != nil {
		return err
	}
	for _, p := range to {
		k := &i.s.keys[p]
		i.add(importDueScript, p, []string{k.due, k.dueTimes, k.dueKinds}, args...)
	}
	return nil
}
