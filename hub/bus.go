package hub

import "context"

// Bus carries what nodes tell each other. It is a hint: it may lose anything;
// what it delivers of one sender to one node comes once and in order. Messages
// are at most MaxBusMessage bytes. Methods may be called at once from many
// goroutines.
type Bus interface {
	// Join has receive called, one message at a time, with what is published to
	// all nodes and to this one. It returns once both can be heard; after leave
	// has returned, receive is called no more. receive returns soon and keeps data.
	Join(ctx context.Context, node string, receive func(data []byte)) (leave func(), err error)
	// Publish hands a message on to one node, or to all, the sender among them,
	// where node is "". An error wraps notify.ErrUnavailable.
	Publish(ctx context.Context, node string, data []byte) error
}

// MaxBusMessage is the largest message, in bytes, that a Bus must carry.
const MaxBusMessage = 1 << 20
