package hub

import (
	"encoding/json"
	"errors"
	"time"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
)

// letter is one message on the bus. Those to all are numbered without a gap, so
// that who missed one knows; those to one node are hints without a number.
type letter struct {
	From string `json:"from"`

	// To all.
	No       int64        `json:"no,omitempty"`
	Beat     *beat        `json:"beat,omitempty"`
	Logins   []loginPages `json:"logins,omitempty"`
	Changes  []change     `json:"changes,omitempty"`
	Events   []Event      `json:"events,omitempty"`
	Tests    []pushTest   `json:"tests,omitempty"`
	Received []string     `json:"received,omitempty"` // ids of Push tests that a device received

	// To one node.
	Parts []part `json:"parts,omitempty"`
}

// beat is a node's sign of life, sent every beatEvery and when it changes.
type beat struct {
	Ready    bool  `json:"ready,omitempty"` // it knows the others and may own partitions
	Gone     bool  `json:"gone,omitempty"`  // its last: it has ended
	Watching bool  `json:"watching,omitempty"`
	At       int64 `json:"at"` // its clock, Unix ms
}

// change says that a document was written: whoever keeps it must read it again.
type change struct {
	Agent  string `json:"agent,omitempty"`
	Team   string `json:"team,omitempty"`
	Device string `json:"device,omitempty"`
}

// part is one thing that one node has to say to another; one field is set.
type part struct {
	Tell   *tell      `json:"tell,omitempty"`
	Ack    *awayAck   `json:"ack,omitempty"`
	Doubt  *doubt     `json:"doubt,omitempty"`
	Call   *call      `json:"call,omitempty"`
	Answer *answer    `json:"answer,omitempty"`
	Ask    bool       `json:"ask,omitempty"` // for everything it has to tell of its logins
	All    *allLogins `json:"all,omitempty"`
}

// size is about how many bytes the part takes in a letter.
func (p *part) size() int {
	n := 100
	switch {
	case p.Tell != nil:
		n += len(p.Tell.Frame) + 40*len(p.Tell.Sockets) + 500
	case p.Call != nil:
		n += 500
		if f := p.Call.Fanout; f != nil {
			n += len(f.Message.Text) + len(f.Message.Thumbnail)
			for _, id := range f.Recipients {
				n += len(id) + 4
			}
		}
	case p.Answer != nil && p.Answer.Fanout != nil:
		n += 600 * len(p.Answer.Fanout.Deliveries)
	case p.All != nil:
		n += 300 * len(p.All.Logins)
	}
	return n
}

// allLogins is everything a node has to tell of its logins, as of one of its
// letters to all, in pieces.
type allLogins struct {
	No     int64        `json:"no"`
	Piece  int          `json:"piece,omitempty"` // from 0
	Logins []loginPages `json:"logins"`
	More   bool         `json:"more,omitempty"`
}

// tell is a frame, or counts, for pages open on another node.
type tell struct {
	Agent   string          `json:"agent"`
	Sockets []string        `json:"sockets"`
	Frame   json.RawMessage `json:"frame,omitempty"`
	Counts  *wire.Counts    `json:"counts,omitempty"`
	Version int64           `json:"version,omitempty"` // of the counts in the frame
	Await   *await          `json:"await,omitempty"`   // the frame is one that pages acknowledge
}

// await has the pages' node pass on their word for a delivery.
type await struct {
	Delivery string         `json:"delivery"`
	Channel  notify.Channel `json:"channel"`
	Sockets  []string       `json:"sockets"` // whose word counts
	Until    time.Time      `json:"until"`
}

// awayAck is a page's word for a delivery, on its way to the node that asked.
type awayAck struct {
	Agent    string `json:"agent"`
	Delivery string `json:"delivery"`
	Socket   string `json:"socket"`
	Rendered bool   `json:"rendered,omitempty"`
	Detail   string `json:"detail,omitempty"`
	Presence int    `json:"presence"` // of the socket when it said so
	Viewing  string `json:"viewing,omitempty"`
}

// doubt names pages that did not confirm what they should have shown.
type doubt struct {
	Agent   string   `json:"agent"`
	Sockets []string `json:"sockets"`
}

// call is an operation for the owner of a partition; one of the kinds is set.
type call struct {
	ID        int64         `json:"id"`
	Partition int           `json:"partition"`
	Fanout    *fanoutCall   `json:"fanout,omitempty"`
	Read      *readCall     `json:"read,omitempty"`
	Withdraw  *withdrawCall `json:"withdraw,omitempty"`
	Trace     *notify.Ref   `json:"trace,omitempty"`
}

type fanoutCall struct {
	Message    *notify.Message   `json:"message"`
	Assignment notify.Assignment `json:"assignment"`
	Recipients []string          `json:"recipients"`
	From       int64             `json:"from"`
	To         int64             `json:"to"`
	Parts      []int             `json:"parts"`
	Takeover   bool              `json:"takeover,omitempty"`
	Silent     bool              `json:"silent,omitempty"`
	Replay     bool              `json:"replay,omitempty"`
	Finished   *notify.DueRef    `json:"finished,omitempty"`
}

type readCall struct {
	Agent        string        `json:"agent"`
	Conversation string        `json:"conversation"`
	Upto         int64         `json:"upto"`
	Reason       notify.Reason `json:"reason"`
}

type withdrawCall struct {
	Agent        string `json:"agent"`
	Conversation string `json:"conversation"`
	Assignment   int64  `json:"assignment"`
}

// answer is what became of a call.
type answer struct {
	ID     int64          `json:"id"`
	Kind   string         `json:"kind,omitempty"` // of the error; empty: none
	Error  string         `json:"error,omitempty"`
	Fanout *notify.Fanout `json:"fanout,omitempty"`
}

// errorKinds are the errors that mean the same on every node.
var errorKinds = map[string]error{
	"not_found": notify.ErrNotFound, "conflict": notify.ErrConflict, "unavailable": notify.ErrUnavailable, "ended": errEnded,
}

// awayError is an error of another node.
type awayError struct {
	kind error // nil: of no kind
	text string
}

func (e *awayError) Error() string { return e.text }
func (e *awayError) Unwrap() error { return e.kind }

func answerOf(id int64, err error) *answer {
	a := &answer{ID: id}
	if err == nil {
		return a
	}
	a.Kind, a.Error = "other", err.Error()
	for kind, of := range errorKinds {
		if errors.Is(err, of) {
			a.Kind = kind
		}
	}
	return a
}

func (a *answer) err() error {
	if a.Kind == "" {
		return nil
	}
	return &awayError{errorKinds[a.Kind], a.Error}
}
