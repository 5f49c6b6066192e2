package notify

import "time"

// Backlog is how much of one kind of work is waiting.
type Backlog struct {
	Count  int
	Oldest time.Duration
}
