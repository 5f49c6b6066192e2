//go:build linux && soak

package chaos

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// TestSoak is the long run of one node. SEED replays one, KILLS sets how many
// kills there are.
func TestSoak(t *testing.T) {
	soak(t, number(t, "SEED", uint64(time.Now().UnixNano())), int(number(t, "KILLS", 50)))
}

// TestSoakCluster is the long run of three nodes on Redis. SEED replays one;
// MESSAGES sets how many are accepted at least, MINUTES how long that may take.
func TestSoakCluster(t *testing.T) {
	shake(t, stretch{
		seed: number(t, "SEED", uint64(time.Now().UnixNano())), messages: int(number(t, "MESSAGES", 100_000)),
		longest: time.Duration(number(t, "MINUTES", 40)) * time.Minute, faults: 12, copies: 2,
	})
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
