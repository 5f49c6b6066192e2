package notify

import "errors"

// Errors that stores answer with and everything above tells apart with errors.Is.
var (
	// ErrNotFound: what was asked for is not there.
	ErrNotFound = errors.New("not found")
	// ErrConflict: a revision moved; read again and decide again.
	ErrConflict = errors.New("conflict: the revision moved")
	// ErrContent: the message id was accepted before with other content.
	ErrContent = errors.New("this message id was accepted before with other content")
	// ErrUnavailable: the store can't take writes now; nothing was changed.
	ErrUnavailable = errors.New("the store is unavailable")
)
