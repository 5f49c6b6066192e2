package notify

import (
	"math"
	"time"
)

var (
	minTime = time.Unix(0, math.MinInt64)
	maxTime = time.Unix(0, math.MaxInt64)
)

// Nanos is how stores keep a time: ns since 1970; 0 is the zero time. What does
// not fit (before 1678, after 2262) becomes the nearest that does.
func Nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Before(minTime):
		return math.MinInt64
	case t.After(maxTime):
		return math.MaxInt64
	}
	if n := t.UnixNano(); n != 0 {
		return n
	}
	return 1
}

// FromNanos reads what Nanos wrote.
func FromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// KeepTime is the time as it will be read back.
func KeepTime(t time.Time) time.Time { return FromNanos(Nanos(t)) }
