// Package sqlite is the embedded store: one SQLite file with one writer.
//
// A single goroutine writes. It takes what is queued, up to 64 operations, into
// one transaction and answers after the commit is on disk; while that runs, the
// next ones gather. Every operation checks before it writes, so a conflict
// answers its own caller and leaves its neighbours alone.
//
// Agent revisions, due work and unread are also kept in memory, where reads are
// answered. Operations stage their changes; they become visible after the commit.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"caac-hub/hub/notify"
)

// Options of Open. The zero value of everything but Dir is a default.
type Options struct {
	Dir       string           // data folder, made if missing
	Now       func() time.Time // default time.Now
	Retention Retention
	Log       *slog.Logger // default: discard
}

// Retention bounds what is kept for looking back. Whichever of Traces and Bytes
// is reached first counts; work that has not ended is never removed.
type Retention struct {
	Traces time.Duration // messages and their deliveries; default 7 days
	Bytes  int64         // size of the database in use; default 2 GiB
	Dedupe time.Duration // message ids, whatever the size; default 24 h
}

const (
	fileName = "hub.db"
	lockName = "hub.lock"

	readers = 4 // connections that read
)

// Store keeps the hub's state in one folder. Its methods may be called at once
// from many goroutines.
type Store struct {
	file string
	opt  Options
	log  *slog.Logger
	lock *os.File

	reads  chan *conn // idle reading connections
	opened int        // how many there are

	gate   sync.RWMutex // held for reading while an op is queued; guards closed
	closed bool
	ops    chan *op
	done   chan struct{} // closed when the writer has ended

	// Owned by the writer.
	w        *conn
	broken   bool // a commit failed: connect and load again before the next one
	failed   bool // the newest batch failed
	lastRev  int64
	reserved int64 // versions and revisions up to here are persisted as used
	batches  uint64
	changes  uint64                         // operations that changed unread
	convs    map[string]notify.Conversation // as committed; a bounded cache

	mu  sync.RWMutex // writer and Claim write, everyone reads
	mem *memory
}

// Open opens the store in o.Dir, making it if it is missing. It fails if another
// process has it open, if the file is damaged or if a newer version wrote it.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Dir == "" {
		return nil, errors.New("sqlite store: the data folder is missing")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Retention.Traces <= 0 {
		o.Retention.Traces = 7 * 24 * time.Hour
	}
	if o.Retention.Bytes <= 0 {
		o.Retention.Bytes = 2 << 30
	}
	if o.Retention.Dedupe <= 0 {
		o.Retention.Dedupe = 24 * time.Hour
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("sqlite store: data folder: %w", err)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("sqlite store: data folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sqlite store: data folder: %w", err)
	}
	if err := tryLock(lock); err != nil {
		lock.Close()
		return nil, fmt.Errorf("sqlite store: the data folder %s is in use by another process (%v); stop it or choose another folder", dir, err)
	}
	s := &Store{
		file:  filepath.Join(dir, fileName),
		opt:   o,
		log:   o.Log,
		lock:  lock,
		reads: make(chan *conn, readers),
		ops:   make(chan *op, maxBatch),
		done:  make(chan struct{}),
		convs: map[string]notify.Conversation{},
		mem:   newMemory(),
	}
	if err := s.start(ctx); err != nil {
		s.release()
		if damaged(err) {
			return nil, fmt.Errorf("sqlite store: %s is damaged: %w; restore a backup, or move the file away to start empty", s.file, err)
		}
		return nil, fmt.Errorf("sqlite store: %s: %w", s.file, err)
	}
	go s.write()
	return s, nil
}

// checkUpTo is the size up to which the whole file is checked at start; it costs
// about a second.
const checkUpTo = 256 << 20

func (s *Store) start(ctx context.Context) error {
	// SQLite gives its side files the permissions of this one.
	f, err := os.OpenFile(s.file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		err = f.Chmod(0o600)
	}
	err = errors.Join(err, f.Close())
	if err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(s.file)); err != nil {
		return err
	}
	if s.w, err = openConn(s.file, false); err != nil {
		return err
	}
	if err := migrate(s.w); err != nil {
		return err
	}
	if info.Size() <= checkUpTo {
		err := s.w.query(func(row []driverValue) error {
			if text(row[0]) != "ok" {
				return fmt.Errorf("the file is damaged (%s); restore a backup, or move the file away to start empty", text(row[0]))
			}
			return nil
		}, "PRAGMA quick_check(1)")
		if err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.load(); err != nil {
		return err
	}
	for range readers {
		c, err := openConn(s.file, true)
		if err != nil {
			return err
		}
		s.reads <- c
		s.opened++
	}
	return nil
}

// Close waits for what was queued and closes the files. Later calls of any
// method answer notify.ErrUnavailable.
func (s *Store) Close() error {
	s.gate.Lock()
	if s.closed {
		s.gate.Unlock()
		return nil
	}
	s.closed = true
	close(s.ops)
	s.gate.Unlock()
	<-s.done
	return s.release()
}

// release closes everything that is open; the writer must have ended.
func (s *Store) release() error {
	var errs []error
	for range s.opened {
		c := <-s.reads
		errs = append(errs, c.close())
	}
	if s.w != nil {
		errs = append(errs, s.w.close())
	}
	errs = append(errs, s.lock.Close())
	return errors.Join(errs...)
}

// read lends one of the reading connections to f.
func (s *Store) read(ctx context.Context, f func(c *conn) error) error {
	s.gate.RLock()
	closed := s.closed
	var c *conn
	if !closed {
		select {
		case c = <-s.reads:
		default:
		}
	}
	s.gate.RUnlock()
	if closed {
		return errClosed
	}
	if c == nil {
		select {
		case c = <-s.reads:
		case <-ctx.Done():
			return unavailable(ctx.Err())
		case <-s.done:
			return errClosed
		}
	}
	defer func() { s.reads <- c }()
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	err := f(c)
	if e := (*dbError)(nil); errors.As(err, &e) {
		return unavailable(err)
	}
	return err
}

var errClosed = fmt.Errorf("%w: it is closed", notify.ErrUnavailable)

// unavailable says that the store can't serve now, and why.
func unavailable(err error) error {
	return fmt.Errorf("%w: %w", notify.ErrUnavailable, err)
}

// Ready answers nil if the store can take a write now: it makes one.
func (s *Store) Ready(ctx context.Context) error {
	return s.do(ctx, func(t *tx) error {
		if s.failed {
			if err := t.c.probe(); err != nil {
				return err
			}
		}
		_, err := t.c.exec("INSERT INTO state (name, value) VALUES ('ready', ?1) ON CONFLICT (name) DO UPDATE SET value = ?1", t.micros())
		return err
	})
}

// probe writes more than may still fit into the room a full disk has left, and
// removes it.
func (c *conn) probe() error {
	if _, err := c.exec("INSERT OR REPLACE INTO meta (name, rev, value) VALUES ('', 0, zeroblob(65536))"); err != nil {
		return err
	}
	_, err := c.exec("DELETE FROM meta WHERE name = ''")
	return err
}
