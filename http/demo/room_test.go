package demo

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestConversationsStandByTheirNewestLine(t *testing.T) {
	r := newRoom()
	at := time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)
	for i, seconds := range []int{3, 1, 2, 5} {
		r.add(fmt.Sprintf("c%d", seconds), line{ID: fmt.Sprint(i), At: at.Add(time.Duration(seconds) * time.Second)})
	}
	r.add("c1", line{ID: "late", At: at})
	r.add("c2", line{ID: "newest", At: at.Add(time.Minute)})
	if got, want := r.conversations(), []string{"c2", "c5", "c3", "c1"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRoomForgetsWhatWasWrittenToLongestAgo(t *testing.T) {
	r := newRoom()
	at := time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)
	for i := range maxConversations + 1 {
		r.add(fmt.Sprint("c", i), line{ID: fmt.Sprint(i), At: at.Add(time.Duration(i) * time.Second)})
	}
	for i := range maxLines + 1 {
		r.add("c1", line{ID: fmt.Sprint("more", i), At: at.Add(time.Hour + time.Duration(i)*time.Second)})
	}
	if got := r.conversations(); len(got) != maxConversations || slices.Contains(got, "c0") || got[0] != "c1" {
		t.Errorf("%d conversations, first %q", len(got), got[0])
	}
	if got := r.lines("c1"); len(got) != maxLines || got[0].ID != "more1" {
		t.Errorf("%d lines from %q", len(got), got[0].ID)
	}
}
