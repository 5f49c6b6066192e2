package sqlite_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"caac-hub/hub"
	"caac-hub/hub/store/sqlite"
	"caac-hub/hub/store/storetest"
)

var _ hub.Store = (*sqlite.Store)(nil)

func open(t testing.TB, o sqlite.Options) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStoreKeepsTheContract(t *testing.T) {
	defer goleak.VerifyNone(t)
	dirs := map[hub.Store]string{}
	storetest.Run(t, storetest.Subject{
		Open: func(t *testing.T, now func() time.Time) hub.Store {
			dir := t.TempDir()
			s := open(t, sqlite.Options{Dir: dir, Now: now})
			dirs[s] = dir
			return s
		},
		Reopen: func(t *testing.T, old hub.Store, now func() time.Time) hub.Store {
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			s := open(t, sqlite.Options{Dir: dirs[old], Now: now})
			dirs[s] = dirs[old]
			return s
		},
	})
}
