package notify

import (
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
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
	var f Fanout
	var n int64
	fill(reflect.ValueOf(&f).Elem(), &n)
	for range maxWords {
		d := f.Deliveries[0]
		n++
		d.Reason = Reason(strconv.FormatInt(n, 10))
		f.Deliveries = append(f.Deliveries, d, d)
	}
	doc := PackFanout(&f)
	got, err := UnpackFanout(doc)
	if err != nil {
		t.Fatal(err)
	}
	// The row has these.
	got.Ref, got.Partition, got.Rev = f.Ref, f.Partition, f.Rev
	if diff := cmp.Diff(f, got); diff != "" {
		t.Error(diff)
	}
	if zero, err := UnpackFanout(PackFanout(&Fanout{})); err != nil || !cmp.Equal(zero, Fanout{}) {
		t.Errorf("zero fan-out: %+v, %v", zero, err)
	}
	for i := range doc {
		if _, err := UnpackFanout(doc[:i]); err == nil {
			t.Fatalf("cut at %d of %d it is still read", i, len(doc))
		}
	}
}

func TestPackedFanoutsStandAnyBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		junk := rapid.SliceOf(rapid.Byte()).Draw(t, "junk")
		UnpackFanout(append([]byte{fanoutFormat}, junk...))
		UnpackFanout(append([]byte{fanoutOfOne}, junk...))
	})
}

func TestRecordOfTheFirstFormatIsRead(t *testing.T) {
	// Decided at 1 ns, seq 2, assignment 3, one partition, no deliveries.
	f, err := UnpackFanout([]byte{fanoutOfOne, 2, 4, 6, 2, 0})
	want := Fanout{Decided: time.Unix(0, 1).UTC(), Seq: 2, Assignment: 3, Parts: []int{0}}
	if err != nil || !cmp.Equal(f, want) {
		t.Errorf("%+v, %v; want %+v", f, err, want)
	}
}
