//go:build linux && soak

package chaos

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// TestSoak is the long run. SEED replays one, KILLS sets how many kills there are.
func TestSoak(t *testing.T) {
	soak(t, number(t, "SEED", uint64(time.Now().UnixNano())), int(number(t, "KILLS", 50)))
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q: a number is allowed", name, text)
	}
	return n
}
