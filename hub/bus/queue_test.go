package bus

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestQueueDropsTheOldestBeyondItsBounds(t *testing.T) {
	for _, c := range []struct {
		name       string
		size, puts int
		left       int
	}{
		{"count", 1, MaxMessages + 5, MaxMessages},
		{"bytes", MaxBytes / 8, 11, 8},
		{"one that is larger than all", MaxBytes + 1, 3, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var dropped atomic.Int64
				gate := make(chan struct{})
				heard, full := 0, 0
				var newest *byte
				q := NewQueue(func(data []byte) {
					<-gate
					heard++
					newest = &data[0]
				}, &dropped, func() { full++ })
				q.Put([]byte("stuck"))
				synctest.Wait()
				data := make([]byte, c.size)
				for range c.puts - 1 {
					q.Put(data)
				}
				last := make([]byte, c.size)
				q.Put(last)
				close(gate)
				synctest.Wait()
				if heard != 1+c.left || dropped.Load() != int64(c.puts-c.left) || full != 1 || newest != &last[0] {
					t.Errorf("heard %d, dropped %d, told %d times, the newest last: %v", heard, dropped.Load(), full, newest == &last[0])
				}
				q.Close()
			})
		})
	}
}

func TestQueueTellsOfLossesOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dropped atomic.Int64
		full := 0
		q := NewQueue(func([]byte) { time.Sleep(10 * time.Millisecond) }, &dropped, func() { full++ })
		huge := make([]byte, MaxBytes)
		for range 300 { // one every 5 ms: half of them find the queue full
			q.Put(huge)
			time.Sleep(5 * time.Millisecond)
		}
		synctest.Wait()
		if full != 2 || dropped.Load() < 100 {
			t.Errorf("dropped %d, told %d times in 1.5 s", dropped.Load(), full)
		}
		q.Close()
	})
}

func TestQueueKeepsOrderWhileItGrowsAndShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dropped atomic.Int64
		want := 0
		q := NewQueue(func(data []byte) {
			if string(data) != fmt.Sprint(want) {
				t.Errorf("got %s, want %d", data, want)
			}
			want++
			time.Sleep(time.Millisecond)
		}, &dropped, func() {})
		n := 0
		for round := range 60 {
			for range round {
				q.Put(fmt.Append(nil, n))
				n++
			}
			time.Sleep(25 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if want != n || dropped.Load() != 0 {
			t.Errorf("received %d of %d, dropped %d", want, n, dropped.Load())
		}
		q.Close()
	})
}

func TestClosedQueueReceivesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dropped atomic.Int64
		heard := 0
		q := NewQueue(func([]byte) {
			heard++
			time.Sleep(time.Second)
		}, &dropped, func() {})
		q.Put([]byte("under way"))
		q.Put([]byte("waiting"))
		synctest.Wait()
		q.Close()
		q.Put([]byte("late"))
		synctest.Wait()
		if heard != 1 {
			t.Errorf("received %d, want the one that was under way", heard)
		}
	})
}
