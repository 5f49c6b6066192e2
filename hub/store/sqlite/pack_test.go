package sqlite

import (
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"caac-hub/hub/notify"
)

// fill sets every field of v to something of its own.
func fill(v reflect.Value, n *int64) {
	*n++
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(1_700_000_000+*n, *n).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("s" + strconv.FormatInt(*n, 10))
	case reflect.Int, reflect.Int64:
		v.SetInt(*n)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range 2 { // the last one stays zero
			fill(v.Index(i), n)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	default:
		panic("a fan-out has a " + v.Type().String())
	}
}

func TestPackedFanoutKeepsEveryField(t *testing.T) {
	var f notify.Fanout
	var n int64
	fill(reflect.ValueOf(&f).Elem(), &n)
	for range maxWords {
		d := f.Deliveries[0]
		n++
		d.Reason = notify.Reason(strconv.FormatInt(n, 10))
		f.Deliveries = append(f.Deliveries, d, d)
	}
	doc := packFanout(&f)
	got, err := unpackFanout(doc)
	if err != nil {
		t.Fatal(err)
	}
	// The row has these.
	got.Ref, got.Partition, got.Rev = f.Ref, f.Partition, f.Rev
	if diff := cmp.Diff(f, got); diff != "" {
		t.Error(diff)
	}
	if zero, err := unpackFanout(packFanout(&notify.Fanout{})); err != nil || !cmp.Equal(zero, notify.Fanout{}) {
		t.Errorf("zero fan-out: %+v, %v", zero, err)
	}
	for i := range doc {
		if _, err := unpackFanout(doc[:i]); err == nil {
			t.Fatalf("cut at %d of %d it is still read", i, len(doc))
		}
	}
}

func TestPackedRowsStandAnyBytes(t *testing.T) {
	agents := func(id []byte) *agent { return &agent{id: string(id)} }
	rapid.Check(t, func(t *rapid.T) {
		junk := append([]byte{1}, rapid.SliceOf(rapid.Byte()).Draw(t, "junk")...)
		unpackFanout(junk)
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
