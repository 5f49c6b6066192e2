package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// conn is one connection with its prepared statements. It goes below
// database/sql because the writer runs thousands of tiny statements a second.
// One goroutine at a time may use it.
type conn struct {
	c     driver.Conn
	stmts map[string]driver.Stmt
	args  []driver.NamedValue
	pack  []byte // for the row being packed
}

// dbError is an error of the database, as opposed to an answer to the caller.
type dbError struct{ err error }

func (e *dbError) Error() string { return e.err.Error() }
func (e *dbError) Unwrap() error { return e.err }

// damaged reports whether the error says that the file is no sound database.
func damaged(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	code := e.Code() & 0xff
	return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}

func openConn(file string, readOnly bool) (*conn, error) {
	u := url.URL{Scheme: "file", OmitHost: true, Path: file}
	if readOnly {
		u.RawQuery = "mode=ro"
	} else {
		u.RawQuery = "mode=rw"
	}
	dc, err := (&sqlite.Driver{}).Open(u.String())
	if err != nil {
		return nil, &dbError{err}
	}
	c := &conn{c: dc, stmts: map[string]driver.Stmt{}}
	pragmas := []string{"PRAGMA busy_timeout=5000", "PRAGMA temp_store=MEMORY"}
	if readOnly {
		pragmas = append(pragmas, "PRAGMA query_only=1")
	} else {
		pragmas = append(pragmas, "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL",
			"PRAGMA journal_size_limit=67108864", "PRAGMA wal_autocheckpoint=4000", "PRAGMA cache_size=-32000")
	}
	for _, p := range pragmas {
		if err := c.script(p); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func (c *conn) close() error {
	for _, s := range c.stmts {
		s.Close()
	}
	return c.c.Close()
}

// script runs statements that are not worth preparing.
func (c *conn) script(sql string) error {
	return c.scriptContext(context.Background(), sql)
}

func (c *conn) scriptContext(ctx context.Context, sql string) error {
	if _, err := c.c.(driver.ExecerContext).ExecContext(ctx, sql, nil); err != nil {
		return &dbError{err}
	}
	return nil
}

// quote makes a string literal.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func (c *conn) stmt(sql string, args []driver.Value) (driver.Stmt, []driver.NamedValue, error) {
	s, ok := c.stmts[sql]
	if !ok {
		var err error
		if s, err = c.c.Prepare(sql); err != nil {
			return nil, nil, &dbError{fmt.Errorf("%w (in %q)", err, sql)}
		}
		c.stmts[sql] = s
	}
	c.args = c.args[:0]
	for i, v := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return s, c.args, nil
}

// exec runs a prepared statement and returns how many rows it changed.
func (c *conn) exec(sql string, args ...driver.Value) (int64, error) {
	s, named, err := c.stmt(sql, args)
	if err != nil {
		return 0, err
	}
	r, err := s.(driver.StmtExecContext).ExecContext(context.Background(), named)
	if err != nil {
		return 0, &dbError{err}
	}
	n, err := r.RowsAffected()
	if err != nil {
		return 0, &dbError{err}
	}
	return n, nil
}

// query calls row with every row; the slice is used again, strings and blobs
// in it are not.
func (c *conn) query(row func([]driver.Value) error, sql string, args ...driver.Value) (err error) {
	s, named, err := c.stmt(sql, args)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), named)
	if err != nil {
		return &dbError{err}
	}
	defer func() {
		if e := rows.Close(); e != nil && err == nil {
			err = &dbError{e}
		}
	}()
	dest := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(dest); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return &dbError{err}
		}
		if err := row(dest); err != nil {
			return err
		}
	}
}

// int returns the one number a statement yields, 0 if it yields no row.
func (c *conn) int(sql string, args ...driver.Value) (n int64, err error) {
	err = c.query(func(row []driver.Value) error { n = row[0].(int64); return nil }, sql, args...)
	return n, err
}

func text(v driver.Value) string {
	s, _ := v.(string)
	return s
}

func blob(v driver.Value) []byte {
	b, _ := v.([]byte)
	return b
}
