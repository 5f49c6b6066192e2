package sqlite

import "context"

// Rows returns how many rows the store has written since it was opened.
func (s *Store) Rows() (n int64, err error) {
	err = s.do(context.Background(), func(t *tx) (err error) {
		n, err = t.c.int("SELECT total_changes()")
		return err
	})
	return n, err
}
