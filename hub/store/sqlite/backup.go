package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Backup writes a copy of the database, as it is at one moment, to a new file
// with permissions 0600, and returns after it is on disk. The store works on
// meanwhile. An existing file is not overwritten.
func (s *Store) Backup(ctx context.Context, file string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	return backup(ctx, s.file, file)
}

// Backup is Store.Backup for the store in a data folder, from any process,
// whether another one has the store open or not.
func Backup(ctx context.Context, dir, file string) error {
	from, err := filepath.Abs(filepath.Join(dir, fileName))
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return backup(ctx, from, file)
}

func backup(ctx context.Context, from, file string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("backup to %s: %w", file, err)
		}
	}()
	if _, err := os.Stat(from); err != nil {
		return err
	}
	file, err = filepath.Abs(file)
	if err != nil {
		return err
	}
	// VACUUM INTO fills an empty file and refuses any other.
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return errors.New("the file exists; choose another name")
	}
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			os.Remove(file)
		}
	}()
	c, err := openConn(from, true)
	if err != nil {
		return err
	}
	defer c.close()
	// The copy counts as a change; the file itself stays open for reading only.
	if err := c.script("PRAGMA query_only=0"); err != nil {
		return err
	}
	if err := c.scriptContext(ctx, "VACUUM INTO "+quote(file)); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}
