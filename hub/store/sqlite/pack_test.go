package sqlite

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPackedRowsStandAnyBytes(t *testing.T) {
	agents := func(id []byte) *agent { return &agent{id: string(id)} }
	rapid.Check(t, func(t *rapid.T) {
		junk := append([]byte{1}, rapid.SliceOf(rapid.Byte()).Draw(t, "junk")...)
		unpackEntries(junk, agents)
	})
}

func TestPackedUnreadReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var entries []entry
		id := rapid.StringN(0, 20, -1)
		for range rapid.IntRange(0, 5).Draw(t, "agents") {
			e := entry{agent: &agent{id: id.Draw(t, "agent")}}
			e.stamp = rapid.Int64Range(1, 1<<51).Draw(t, "stamp")
			e.fence = rapid.Int64Min(0).Draw(t, "fence")
			e.assigned = rapid.Int64().Draw(t, "assigned")
			for range rapid.IntRange(0, 4).Draw(t, "adds") {
				from := rapid.Int64Range(0, 50).Draw(t, "from")
				e.add(from, from+rapid.Int64Range(0, 5).Draw(t, "more"))
			}
			e.read(rapid.Int64Range(0, 40).Draw(t, "cursor"))
			entries = append(entries, e)
		}
		got, err := unpackEntries(packEntries(nil, entries), func(id []byte) *agent { return &agent{id: string(id)} })
		if err != nil {
			t.Fatal(err)
		}
		same := slices.EqualFunc(entries, got, func(a, b entry) bool {
			return a.agent.id == b.agent.id && a.cursor == b.cursor && a.fence == b.fence && a.assigned == b.assigned &&
				a.stamp == b.stamp && a.first == b.first && slices.Equal(a.more, b.more)
		})
		if !same {
			t.Fatalf("wrote %+v, read %+v", entries, got)
		}
	})
}
