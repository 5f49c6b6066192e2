package sqlite

import (
	"encoding/binary"
	"errors"
	"slices"

	"caac-hub/hub/notify"
)

// span is a run of applied seqs, inclusive.
type span struct{ lo, hi int64 }

// entry is the unread of one agent in one conversation. The spans lie above the
// cursor, apart and in order; nearly always there is at most one, so the first
// is kept in place. more is shared between copies and never changed.
type entry struct {
	agent    *agent
	cursor   int64
	fence    int64 // Adds of assignments below it do nothing
	assigned int64 // greatest assignment that was applied
	stamp    int64 // version of the newest Add; once nothing is unread, of the last change
	first    span  // {0, 0}: none
	more     []span
	touch    uint64 // the operation that last touched it
}

// unread returns how many messages are unread and the newest one's seq.
func (e *entry) unread() (count int, newest int64) {
	if e.first.lo == 0 {
		return 0, 0
	}
	count, newest = int(e.first.hi-e.first.lo+1), e.first.hi
	for _, s := range e.more {
		count += int(s.hi - s.lo + 1)
		newest = s.hi
	}
	return count, newest
}

// add applies the seqs above the cursor and reports whether any was new.
func (e *entry) add(from, to int64) bool {
	from = max(from, e.cursor+1, 1)
	if from > to {
		return false
	}
	if e.first.lo == 0 {
		e.first = span{from, to}
		return true
	}
	if len(e.more) == 0 {
		switch {
		case from >= e.first.lo && to <= e.first.hi:
			return false
		case from >= e.first.lo && from <= e.first.hi+1:
			e.first.hi = to
			return true
		}
	}
	before, _ := e.unread()
	merged := make([]span, 0, len(e.more)+2)
	grown := span{from, to}
	placed := false
	for i := -1; i < len(e.more); i++ {
		s := e.first
		if i >= 0 {
			s = e.more[i]
		}
		switch {
		case s.hi+1 < grown.lo:
			merged = append(merged, s)
		case grown.hi+1 < s.lo:
			if !placed {
				merged = append(merged, grown)
				placed = true
			}
			merged = append(merged, s)
		default:
			grown = span{min(grown.lo, s.lo), max(grown.hi, s.hi)}
		}
	}
	if !placed {
		merged = append(merged, grown)
	}
	e.first, e.more = merged[0], merged[1:]
	after, _ := e.unread()
	return after != before
}

// read moves the cursor, which only grows, and reports whether it moved.
func (e *entry) read(upto int64) bool {
	if upto <= e.cursor {
		return false
	}
	e.cursor = upto
	for e.first.lo != 0 && e.first.hi <= upto {
		if len(e.more) == 0 {
			e.first = span{}
		} else {
			e.first, e.more = e.more[0], e.more[1:]
		}
	}
	if e.first.lo != 0 {
		e.first.lo = max(e.first.lo, upto+1)
	}
	return true
}

// withdraw takes away what assignments up to the given one brought, and reports
// whether anything changed. What a newer one brought stays: withdrawals and
// Adds may come in any order.
func (e *entry) withdraw(assignment int64) bool {
	changed := assignment > e.fence
	e.fence = max(e.fence, assignment)
	if e.first.lo != 0 && e.assigned <= assignment {
		e.first, e.more = span{}, nil
		changed = true
	}
	return changed
}

// rowFormat is the first byte of a packed row.
const rowFormat = 1

// packEntries writes the unread of a conversation as one row: the format, the
// count, the least stamp, and of each entry the agent's id, cursor, fence,
// assigned, stamp, and its spans as distances.
func packEntries(b []byte, entries []entry) []byte {
	b = append(b, rowFormat)
	b = binary.AppendUvarint(b, uint64(len(entries)))
	base := int64(0)
	if len(entries) > 0 {
		base = slices.MinFunc(entries, func(a, b entry) int { return int(min(max(a.stamp-b.stamp, -1), 1)) }).stamp
	}
	b = binary.AppendUvarint(b, uint64(base))
	for i := range entries {
		e := &entries[i]
		b = binary.AppendUvarint(b, uint64(len(e.agent.id)))
		b = append(b, e.agent.id...)
		b = binary.AppendUvarint(b, uint64(e.cursor))
		b = binary.AppendVarint(b, e.fence)
		b = binary.AppendVarint(b, e.assigned)
		b = binary.AppendUvarint(b, uint64(e.stamp-base))
		if e.first.lo == 0 {
			b = append(b, 0)
			continue
		}
		b = binary.AppendUvarint(b, uint64(1+len(e.more)))
		at := e.cursor
		for j := -1; j < len(e.more); j++ {
			s := e.first
			if j >= 0 {
				s = e.more[j]
			}
			b = binary.AppendUvarint(b, uint64(s.lo-at))
			b = binary.AppendUvarint(b, uint64(s.hi-s.lo))
			at = s.hi
		}
	}
	return b
}

var errRow = errors.New("the packed row is damaged")

// unpackEntries reads a packed row; agentOf returns the agent of an id.
func unpackEntries(b []byte, agentOf func(id []byte) *agent) ([]entry, error) {
	r := notify.PackedReader{Rest: b}
	if r.Byte() != rowFormat {
		return nil, errRow
	}
	n := r.Uvarint()
	if n > uint64(len(b)) {
		return nil, errRow
	}
	entries := make([]entry, n)
	base := int64(r.Uvarint())
	for i := range entries {
		e := &entries[i]
		id := r.Bytes()
		if r.Bad {
			return nil, errRow
		}
		e.agent = agentOf(id)
		e.cursor = int64(r.Uvarint())
		e.fence = r.Varint()
		e.assigned = r.Varint()
		e.stamp = base + int64(r.Uvarint())
		spans := r.Uvarint()
		if spans > uint64(len(r.Rest)) {
			return nil, errRow
		}
		at := e.cursor
		for j := range spans {
			lo := at + int64(r.Uvarint())
			s := span{lo, lo + int64(r.Uvarint())}
			if s.lo <= at || s.hi < s.lo {
				return nil, errRow
			}
			at = s.hi
			if j == 0 {
				e.first = s
			} else {
				e.more = append(e.more, s)
			}
		}
	}
	if r.Bad || len(r.Rest) > 0 {
		return nil, errRow
	}
	return entries, nil
}
