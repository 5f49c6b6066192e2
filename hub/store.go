package hub

import (
	"context"
	"time"

	"caac-hub/hub/notify"
)

// Store keeps what must not be lost. Every write has returned only after it is
// durable. Methods may be called at once from many goroutines. Errors are
// notify.ErrNotFound, notify.ErrConflict, notify.ErrContent or wrap
// notify.ErrUnavailable; a method that fails has changed nothing.
//
// Puts compare revisions: a document is written only if the stored Rev is the
// one given (0: it must not exist); otherwise the answer is ErrConflict. The
// new revision is returned.
type Store interface {
	Directory
	Conversations
	Ledger
	Work
	// Ready answers nil if the store can take a write now.
	Ready(ctx context.Context) error
	// Sweep removes what is past its retention and reports how many messages went.
	Sweep(ctx context.Context, now time.Time) (int, error)
	Close() error
}

// Directory keeps agents, teams and devices.
type Directory interface {
	// Agents returns those of the ids that exist, in any order.
	Agents(ctx context.Context, ids []string) ([]notify.Agent, error)
	// ListAgents returns all agents by id, after the given one.
	ListAgents(ctx context.Context, after string, limit int) ([]notify.Agent, error)
	PutAgent(ctx context.Context, a notify.Agent) (rev int64, err error)

	Team(ctx context.Context, id string) (notify.Team, error)
	ListTeams(ctx context.Context, after string, limit int) ([]notify.Team, error)
	PutTeam(ctx context.Context, t notify.Team) (rev int64, err error)

	// Devices returns those of the ids that exist, in any order.
	Devices(ctx context.Context, ids []string) ([]notify.Device, error)
	// DeviceByEndpoint returns the device whose subscription has the endpoint.
	DeviceByEndpoint(ctx context.Context, endpoint string) (notify.Device, error)
	// ListDevices returns all devices by id, after the given one.
	ListDevices(ctx context.Context, after string, limit int) ([]notify.Device, error)
	PutDevice(ctx context.Context, d notify.Device) (rev int64, err error)
	DeleteDevice(ctx context.Context, id string, rev int64) error

	// Meta keeps small facts of the deployment (VAPID keys, API keys, secrets)
	// under a name. A missing one is ErrNotFound.
	Meta(ctx context.Context, name string) (value []byte, rev int64, err error)
	PutMeta(ctx context.Context, name string, value []byte, rev int64) (int64, error)
}

// Conversations keeps the threads and their messages.
type Conversations interface {
	Conversation(ctx context.Context, id string) (notify.Conversation, error)
	// PutConversation also puts due work in the conversation's partition, in
	// one step.
	PutConversation(ctx context.Context, c notify.Conversation, due ...notify.Due) (rev int64, err error)
	// Accept keeps a message and the work it makes, in one durable step. An
	// unknown conversation is made. ErrContent if the id is known with another Hash.
	Accept(ctx context.Context, a notify.Accept) (notify.Accepted, error)
	Message(ctx context.Context, ref notify.Ref) (notify.Message, error)
	// Messages lists messages, newest accepted first.
	Messages(ctx context.Context, f notify.TraceFilter) ([]notify.Message, error)
}

// Ledger keeps who was told what, and every agent's unread.
type Ledger interface {
	// Partitions is the number of partitions agents and conversations are hashed
	// into; it never changes for one store.
	Partitions() int
	// Commit carries out one batch in one partition, atomically.
	Commit(ctx context.Context, partition int, b notify.Batch) (notify.Result, error)
	// Unread returns an agent's truth with at most limit conversations.
	Unread(ctx context.Context, agent string, limit int) (notify.Unread, error)
	// Versions returns the unread version of each agent, parallel to the ids.
	Versions(ctx context.Context, agents []string) ([]int64, error)
	// Holders returns the agents with unread messages in a conversation.
	Holders(ctx context.Context, conversation string) ([]string, error)
	// Fanouts returns the records of a message, of all partitions.
	Fanouts(ctx context.Context, ref notify.Ref) ([]notify.Fanout, error)
	// Fanout returns the record of a message in one partition.
	Fanout(ctx context.Context, partition int, ref notify.Ref) (notify.Fanout, error)
}

// Work keeps what must still happen.
type Work interface {
	// Claim returns at most limit items due at or before now that no lease
	// covers at that time, the oldest first, and covers them until now+lease.
	// Putting an item again ends its lease.
	Claim(ctx context.Context, partitions []int, now time.Time, limit int, lease time.Duration) ([]notify.Due, error)
	// Lease covers those of the keys that exist until the time given, whoever
	// claimed them: what is still worked on stays covered, and a time that has
	// passed lets go of what is not worked on after all.
	Lease(ctx context.Context, partition int, keys []string, until time.Time) error
	// Due returns those of the keys that exist, in any order, leased or not.
	Due(ctx context.Context, partition int, keys []string) ([]notify.Due, error)
	// Pending counts what is due and not dead by kind, with the age of the
	// oldest at now (0 if it lies ahead).
	Pending(ctx context.Context, now time.Time) (map[notify.DueKind]Backlog, error)
	// Dead lists the work that failed for good, oldest first.
	Dead(ctx context.Context, limit int) ([]notify.Due, error)
}

// Backlog is how much of one kind of work is waiting.
type Backlog = notify.Backlog
