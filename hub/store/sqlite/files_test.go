package sqlite_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"caac-hub/hub/notify"
	"caac-hub/hub/store/sqlite"
)

// refused opens the folder and wants an error that says all the words.
func refused(t *testing.T, dir string, words ...string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err == nil {
		s.Close()
		t.Fatal("it opened")
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func TestSecondOpenerIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, sqlite.Options{Dir: dir})
	refused(t, dir, dir, "in use by another process")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, sqlite.Options{Dir: dir})
}

func TestFilesAreTheOwnersOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "data")
	s := open(t, sqlite.Options{Dir: dir})
	if _, err := s.PutAgent(t.Context(), notify.Agent{ID: "mei"}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v", info.Mode())
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 4 {
		t.Errorf("files: %v", files)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", f.Name(), info.Mode())
		}
	}
}

func TestStrangeFilesAreRefused(t *testing.T) {
	write := func(t *testing.T, b []byte) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "hub.db"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	script := func(t *testing.T, dir, statements string) {
		db, err := sql.Open("sqlite", filepath.Join(dir, "hub.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(statements); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("no database", func(t *testing.T) {
		refused(t, write(t, bytes.Repeat([]byte("this is not a database "), 1000)), "hub.db", "damaged", "backup")
	})
	t.Run("another program's", func(t *testing.T) {
		dir := t.TempDir()
		script(t, dir, "CREATE TABLE theirs (x)")
		refused(t, dir, "another program")
	})
	t.Run("a newer version's", func(t *testing.T) {
		dir := t.TempDir()
		if err := open(t, sqlite.Options{Dir: dir}).Close(); err != nil {
			t.Fatal(err)
		}
		script(t, dir, "PRAGMA user_version=99")
		refused(t, dir, "newer version", "99")
	})
	t.Run("damaged", func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, sqlite.Options{Dir: dir})
		for _, id := range []string{"mei", "ken"} {
			if _, err := s.PutAgent(t.Context(), notify.Agent{ID: id, Name: strings.Repeat(id, 5000)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "hub.db"))
		if err != nil {
			t.Fatal(err)
		}
		for i := 8192; i < len(b); i++ {
			b[i] ^= 0x55
		}
		refused(t, write(t, b), "damaged", "backup")
	})
	t.Run("truncated", func(t *testing.T) {
		dir := t.TempDir()
		if err := open(t, sqlite.Options{Dir: dir}).Close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "hub.db"))
		if err != nil {
			t.Fatal(err)
		}
		refused(t, write(t, b[:len(b)/2]), "damaged", "backup")
	})
	t.Run("no folder", func(t *testing.T) { refused(t, "", "data folder") })
	t.Run("a file for a folder", func(t *testing.T) { refused(t, filepath.Join(write(t, nil), "hub.db"), "data folder") })
}

func TestBackupIsAStoreAndOverwritesNothing(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	s := open(t, sqlite.Options{Dir: from})
	if _, err := s.PutAgent(t.Context(), notify.Agent{ID: "mei"}); err != nil {
		t.Fatal(err)
	}
	// As another process does it, and as the store itself.
	for name, backup := range map[string]func(file string) error{
		"hub.db": func(file string) error { return s.Backup(t.Context(), file) },
		"it's":   func(file string) error { return sqlite.Backup(t.Context(), from, file) },
	} {
		file := filepath.Join(to, name)
		if err := backup(file); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 || info.Size() == 0 {
			t.Errorf("%s: %v, %d bytes", name, info.Mode(), info.Size())
		}
		before, _ := os.ReadFile(file)
		if err := backup(file); err == nil || !strings.Contains(err.Error(), "exists") {
			t.Errorf("overwriting: %v", err)
		}
		if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
			t.Error("the first backup was changed")
		}
	}
	if err := sqlite.Backup(t.Context(), t.TempDir(), filepath.Join(to, "none")); err == nil {
		t.Error("a backup of nothing succeeded")
	}
	if _, err := os.Stat(filepath.Join(to, "none")); err == nil {
		t.Error("a failed backup left its file")
	}
	copied := open(t, sqlite.Options{Dir: to})
	if agents, err := copied.ListAgents(t.Context(), "", 9); err != nil || len(agents) != 1 || agents[0].ID != "mei" {
		t.Errorf("the backup holds %v, %v", agents, err)
	}
}
