package notify

import "time"

// End is where a delivery came to rest. Displayed and clicked are receipts, not ends.
type End string

const (
	EndNone      End = "none" // decided so: nothing was to be delivered
	Acknowledged End = "acknowledged"
	PushAccepted End = "push_accepted"
	Merged       End = "merged" // told by the push of a newer message
	Dropped      End = "dropped"
	Withdrawn    End = "withdrawn"
	Expired      End = "expired"
	Failed       End = "failed"
)

// Delivery carries a decision to its end.
type Delivery struct {
	ID string `json:"id"` // DeliveryID of message and login
	Decision
	First     *Decision `json:"first,omitempty"` // what was decided at first, where Decision is the second one
	End       End       `json:"end,omitempty"`   // empty while pending
	EndReason Reason    `json:"end_reason,omitempty"`
	Into      string    `json:"into,omitempty"` // for Merged: the delivery that told of it
	Ended     time.Time `json:"ended,omitzero"`
	Events    []Event   `json:"events,omitempty"`
}

// Event is one thing that happened to a delivery, for the trace.
type Event struct {
	At     time.Time `json:"at"`
	Kind   EventKind `json:"kind"`
	Detail string    `json:"detail,omitempty"`
}

// EventKind names what happened.
type EventKind string

const (
	EventAcknowledged EventKind = "acknowledged" // a page rendered it
	EventRedecided    EventKind = "redecided"    // decided once more; detail: why
	EventPushQueued   EventKind = "push_queued"  // detail: why it waits
	EventPushAnswer   EventKind = "push_answer"  // detail: status, class and host
	EventDisplayed    EventKind = "displayed"    // given to the system by the service worker or page
	EventClicked      EventKind = "clicked"
	EventDismissed    EventKind = "dismissed"
	EventRetry        EventKind = "retry"
)

// Fanout is the packed record of one message in one partition of agents: the
// deliveries of all logins of its recipients there. The record of an unassigned
// message lives in the conversation's partition.
type Fanout struct {
	Ref
	Partition  int        `json:"partition"`
	Seq        int64      `json:"seq"`
	Assignment int64      `json:"assignment"` // version
	Parts      []int      `json:"parts"`      // partitions the message was fanned out to, sorted
	Decided    time.Time  `json:"decided"`
	Deliveries []Delivery `json:"deliveries"` // sorted by agent, then device
	Rev        int64      `json:"-"`          // 0: not stored yet
}

// Ended reports whether every delivery has come to its end.
func (f *Fanout) Ended() bool {
	for i := range f.Deliveries {
		if f.Deliveries[i].End == "" {
			return false
		}
	}
	return true
}

// DueKind names work that must happen at a time.
type DueKind string

const (
	DueFanout   DueKind = "fanout"   // decide an accepted message; its body is a Ref
	DueAssign   DueKind = "assign"   // carry out a new assignment; its body is an AssignBody
	DueAnswered DueKind = "answered" // move every cursor of a conversation
	DueDeadline DueKind = "deadline" // settle what no page confirmed; key: message
	DueRing     DueKind = "ring"     // the ring of one login and conversation: waiting push, retry, burst window
	DueSend     DueKind = "send"     // accept a message that was scheduled
)

// Due is one piece of work that must still happen: the single mechanism for
// everything that does. (Partition, Key) is its identity.
type Due struct {
	Partition int       `json:"partition"`
	Key       string    `json:"key"` // starts with the kind and a slash
	Kind      DueKind   `json:"kind"`
	At        time.Time `json:"at"`
	Attempt   int       `json:"attempt,omitempty"`
	Body      []byte    `json:"body,omitempty"` // JSON, owned by the kind
	Dead      string    `json:"dead,omitempty"` // why it failed for good; dead work is listed and never claimed
	Rev       int64     `json:"-"`              // 0: must not exist yet
}

// DueRef names a due item at the revision that was seen.
type DueRef struct {
	Key string
	Rev int64
}

// Accept is a message to be kept, with the assignment that came with it.
// Message.Seq and Message.Assignment are the store's to fill.
type Accept struct {
	Message Message
	// Conversation, when set, is upserted in the same step: an Assignment whose
	// Version is not above the stored one is stale and ignored (-1: none came); Version 0 means
	// one above the stored one if agent or team differ. An empty Contact leaves
	// the stored one.
	Conversation *Conversation
	// DueAt is when the fan-out (and the assignment's due work) may be claimed
	// by someone other than the caller.
	DueAt time.Time
}

// Accepted is the answer to an Accept.
type Accepted struct {
	Message   Message
	Duplicate bool // the same message was accepted before: nothing was done
	Stale     bool // the assignment that came along was stale
	// Due is the work that now stands: DueFanout, and before it DueAssign if the
	// assignment of a conversation with earlier messages changed. Empty for a
	// duplicate.
	Due []Due
}

// AssignBody is the body of a DueAssign.
type AssignBody struct {
	Conversation string     `json:"conversation"`
	From         Assignment `json:"from"`
	To           Assignment `json:"to"`
	Upto         int64      `json:"upto"` // seq when the assignment changed
}

// AnsweredBody is the body of a DueAnswered.
type AnsweredBody struct {
	Conversation string `json:"conversation"`
	Upto         int64  `json:"upto"`
}

// Add applies messages From..To (seqs, inclusive) of a conversation to an
// agent's unread. It does nothing for seqs at or below the agent's cursor, seqs
// already applied, or where a Withdraw with a greater assignment version came first.
type Add struct {
	Agent        string
	Conversation string
	From, To     int64
	Assignment   int64 // version the messages were decided under
}

// ReadUpto moves an agent's read cursor in a conversation; a cursor only grows.
type ReadUpto struct {
	Agent        string
	Conversation string
	Upto         int64
}

// Withdraw takes a conversation's unread from an agent no longer responsible,
// and makes later Adds below Assignment do nothing.
type Withdraw struct {
	Agent        string
	Conversation string
	Assignment   int64 // version that took it away
}

// Batch is one atomic step in one partition. Every agent it names lives there.
// If the stored revision of anything it names differs from the one given,
// nothing happens and the answer is ErrConflict.
type Batch struct {
	Revs     map[string]int64 // agent id -> Agent.Rev the decisions were made on
	Add      []Add
	Read     []ReadUpto
	Withdraw []Withdraw
	Fanouts  []Fanout // put, at Rev
	Due      []Due    // put, at Rev
	Done     []DueRef // delete, at Rev
	// Settled names messages all of whose deliveries in this partition have
	// ended. Once that holds for all its Parts, a message's text and thumbnail go.
	// A store may do this after the step; a crash between them leaves the text to
	// the end of its retention.
	Settled []Settled
}

// Settled is a message that has come to its end in one partition. Parts are the
// partitions it was fanned out to, sorted.
type Settled struct {
	Ref   Ref
	Parts []int
}

// Result is what a Batch did.
type Result struct {
	Counts  []Count // one per agent and conversation whose unread changed, in the order of versions
	Fenced  []Add   // Adds refused because a newer assignment withdrew them
	Fanouts []int64 // new revisions, parallel to Batch.Fanouts
	Due     []int64 // new revisions, parallel to Batch.Due
	Whole   []Ref   // of Batch.Settled, the messages that have come to their end everywhere
}

// Count is one change of an agent's unread. Version is per agent and only
// grows: max(previous+1, the store's clock in µs).
type Count struct {
	Agent        string
	Conversation string
	Unread       int   // of the conversation, now
	Seq          int64 // the newest unread message's; 0 when none
	Cursor       int64
	Prev         int64 // version before
	Version      int64
	Total        int // of the agent, now: the badge
}

// Unread is an agent's whole truth.
type Unread struct {
	Agent         string
	Version       int64
	Total         int
	Conversations []ConversationUnread // with unread > 0, newest first, at most the limit asked for
}

// ConversationUnread is the unread of one conversation.
type ConversationUnread struct {
	Conversation string `json:"conversation"`
	Unread       int    `json:"unread"`
	Seq          int64  `json:"seq"`    // the newest unread message's
	Cursor       int64  `json:"cursor"` // the agent's read cursor
}

// TraceFilter selects messages, newest first. Empty fields select all.
type TraceFilter struct {
	Message      string // message id, in any conversation
	Conversation string
	Before       time.Time // accepted before; zero: from the newest
	Limit        int       // 1..500
}
