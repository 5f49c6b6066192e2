package notify

// Entry is one piece of a store's state, for moving it to another store: one of
// the fields is set. A store that has an
//
//	Export(ctx context.Context, entry func(Entry) error) error
//
// calls entry with all it keeps, as of one moment, and stops at the first error. A
// store that has an
//
//	Import(ctx context.Context, entries []Entry) error
//
// writes them with the revisions, seqs, cursors and versions they have, each to
// the partition that it belongs to there; Partition of an entry is not looked at.
// What already stands at the same or a newer revision stays, so that an Import
// may be done again. Leases are not moved.
type Entry struct {
	Agent        *Agent
	Team         *Team
	Device       *Device
	Meta         *MetaEntry
	Conversation *Conversation
	Message      *Message
	Fanout       *Fanout // of agents of any partitions
	Due          *Due
	Unread       *UnreadEntry
	Version      *VersionEntry
}

// MetaEntry is one fact of the deployment.
type MetaEntry struct {
	Name  string
	Value []byte
	Rev   int64
}

// UnreadEntry is what is kept of one agent and conversation, with nothing unread
// too: its cursor and fence then guard against late work.
type UnreadEntry struct {
	Agent        string
	Conversation string
	Cursor       int64
	Fence        int64  // Adds of assignments below it do nothing
	Assigned     int64  // greatest assignment that was applied
	Stamp        int64  // version of the newest Add; with nothing unread, of the last change
	Unread       []Span // above the cursor, apart and in order
}

// Span is a run of seqs, inclusive.
type Span struct{ From, To int64 }

// VersionEntry is the unread version of an agent.
type VersionEntry struct {
	Agent   string
	Version int64
}
