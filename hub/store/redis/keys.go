package redis

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"caac-hub/hub/notify"
)

// partitionKeys are the keys of one partition, all in one slot.
type partitionKeys struct {
	base     string
	identity string // string: the deployment's identity
	revision string // string: the last revision given out
	ready    string // string: written by Ready

	agents, agentIDs   string // hash: id -> row; zset by id
	teams, teamIDs     string
	devices, deviceIDs string
	meta, metaNames    string
	endpoints          string // hash: digest of an endpoint -> claim

	conversations string // hash: id -> row
	messages      string // hash: reference -> row
	messageTimes  string // zset: reference by time of acceptance, µs
	messageIDs    string // zset: reference, by itself
	ends          string // hash: reference -> where the message has come to its end, until it has everywhere

	fanouts  string // hash: reference -> row
	due      string // hash: key -> row
	dueTimes string // zset: key by the time it may be claimed, µs
	dueKinds string // zset: key by class and At; see kindScore
	versions string // hash: agent -> "version total"
	holders  string // zset: "conversation/agent", by itself
	unread   string // and an agent: hash: conversation -> entry
}

func newPartitionKeys(prefix string, p int) partitionKeys {
	base := fmt.Sprintf("%s{p%d}:", prefix, p)
	return partitionKeys{
		base:     base,
		identity: base + "identity", revision: base + "rev", ready: base + "ready",
		agents: base + "agents", agentIDs: base + "agents:ids",
		teams: base + "teams", teamIDs: base + "teams:ids",
		devices: base + "devices", deviceIDs: base + "devices:ids",
		meta: base + "meta", metaNames: base + "meta:names",
		endpoints:     base + "endpoints",
		conversations: base + "conversations",
		messages:      base + "messages", messageTimes: base + "messages:times", messageIDs: base + "messages:ids",
		ends:    base + "messages:ends",
		fanouts: base + "fanouts",
		due:     base + "due", dueTimes: base + "due:times", dueKinds: base + "due:kinds",
		versions: base + "versions", holders: base + "holders", unread: base + "unread:",
	}
}

// escape makes a text safe to stand between spaces, slashes and line ends.
func escape(s string) string {
	if !strings.ContainsFunc(s, reserved) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; reserved(rune(c)) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func reserved(r rune) bool { return r <= ' ' || r == '%' || r == '/' || r == 0x7f }

// unescape reads what escape wrote.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b = append(b, c...)
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// token is a text in a row; it is never empty.
func token(s string) string { return "=" + escape(s) }

func untoken(s string) string { return unescape(strings.TrimPrefix(s, "=")) }

// refKey is a message's name in hashes and indexes, the message first.
func refKey(r notify.Ref) string { return escape(r.Message) + "/" + escape(r.Conversation) }

func parseRef(s string) notify.Ref {
	m, c, _ := strings.Cut(s, "/")
	return notify.Ref{Conversation: unescape(c), Message: unescape(m)}
}

// micros is a time as a score: µs since 1970, rounded down.
func micros(t time.Time) int64 {
	n := notify.Nanos(t)
	if n < 0 {
		return (n+1)/1000 - 1
	}
	return n / 1000
}

// exact is a time as text that sorts like it.
func exact(t time.Time) string { return fmt.Sprintf("%020d", uint64(notify.Nanos(t))^(1<<63)) }

func parseExact(s string) time.Time {
	var n uint64
	for _, c := range []byte(s) {
		n = n*10 + uint64(c-'0')
	}
	return notify.FromNanos(int64(n ^ (1 << 63)))
}
