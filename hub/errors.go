package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"caac-hub/hub/notify"
)

// Kind of an Error: what the caller can do about it. It maps to one HTTP status.
type Kind int

const (
	Internal     Kind = iota // our fault
	Invalid                  // the request is wrong; sent again it stays wrong
	Unauthorized             // no or no good proof of who asks
	Forbidden                // proven, and not allowed
	NotFound
	Conflict    // what stands contradicts the request
	TooLarge    // over a size limit
	TooMany     // over a limit of rate or number
	Unavailable // not now; come back after RetryAfter
)

// Error is what the hub answers: a code for programs, a message for people.
type Error struct {
	Kind       Kind
	Code       string        // stable, snake_case
	Message    string        // what was wrong and what is allowed
	Field      string        // JSON path of the offending member, if one
	RetryAfter time.Duration // for TooMany and Unavailable
	Err        error         // detail for operators, not shown
}

func (e *Error) Error() string {
	s := e.Code + ": " + e.Message
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

func invalid(field, format string, a ...any) *Error {
	return &Error{Kind: Invalid, Code: "invalid", Field: field, Message: fmt.Sprintf(format, a...)}
}

func missing(what, id string) *Error {
	return &Error{Kind: NotFound, Code: "unknown_" + what, Message: fmt.Sprintf("there is no %s %.128q", what, id)}
}

// AsError returns err as an *Error, giving the store's errors their kind.
func AsError(err error) *Error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, notify.ErrContent):
		return &Error{Kind: Conflict, Code: "message_conflict", Message: notify.ErrContent.Error(), Field: "id"}
	case errors.Is(err, notify.ErrNotFound):
		return &Error{Kind: NotFound, Code: "not_found", Message: "there is no such thing"}
	case errors.Is(err, notify.ErrConflict):
		return &Error{Kind: Unavailable, Code: "busy", Message: "others change the same thing right now; try again", RetryAfter: time.Second, Err: err}
	case errors.Is(err, notify.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Error{Kind: Unavailable, Code: "unavailable", Message: "the store can't be written right now; nothing was changed; try again", RetryAfter: 2 * time.Second, Err: err}
	}
	return &Error{Kind: Internal, Code: "internal", Message: "something went wrong here", Err: err}
}
