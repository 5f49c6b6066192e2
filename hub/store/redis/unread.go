package redis

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"caac-hub/hub/notify"
	"caac-hub/hub/redisconn"
)

// parseEntry reads what commit.lua writes of an agent and conversation.
func parseEntry(agent, conversation, row string) (notify.UnreadEntry, error) {
	f := strings.Split(row, " ")
	if len(f) < 4 || len(f)%2 != 0 {
		return notify.UnreadEntry{}, damaged("unread of conversation", conversation, fmt.Errorf("%d fields", len(f)))
	}
	e := notify.UnreadEntry{
		Agent: agent, Conversation: conversation,
		Cursor: number(f[0]), Fence: number(f[1]), Assigned: number(f[2]), Stamp: number(f[3]),
	}
	for i := 4; i < len(f); i += 2 {
		e.Unread = append(e.Unread, notify.Span{From: number(f[i]), To: number(f[i+1])})
	}
	return e, nil
}

func entryRow(e *notify.UnreadEntry) string {
	row := fmt.Sprintf("%d %d %d %d", e.Cursor, e.Fence, e.Assigned, e.Stamp)
	for _, s := range e.Unread {
		row += fmt.Sprintf(" %d %d", s.From, s.To)
	}
	return row
}

// count returns how many messages are unread and the newest one's seq.
func count(e *notify.UnreadEntry) (n int, newest int64) {
	for _, s := range e.Unread {
		n, newest = n+int(s.To-s.From+1), s.To
	}
	return n, newest
}

// Unread implements hub.Ledger.
func (s *Store) Unread(ctx context.Context, agent string, limit int) (notify.Unread, error) {
	u := notify.Unread{Agent: agent}
	if err := s.usable(ctx); err != nil {
		return u, err
	}
	k := &s.keys[part(agent)]
	values, err := s.conn.Run(ctx, unreadScript, []string{k.versions, k.unread + escape(agent)}, escape(agent)).Slice()
	if err != nil {
		return u, redisconn.Unavailable(err)
	}
	u.Version, u.Total = parseVersion(str(values[0]))
	type held struct {
		stamp int64
		notify.ConversationUnread
	}
	var all []held
	rows := list(values[1])
	for i := 0; i+1 < len(rows); i += 2 {
		e, err := parseEntry(agent, unescape(str(rows[i])), str(rows[i+1]))
		if err != nil {
			return notify.Unread{}, err
		}
		if n, newest := count(&e); n > 0 {
			all = append(all, held{e.Stamp, notify.ConversationUnread{Conversation: e.Conversation, Unread: n, Seq: newest, Cursor: e.Cursor}})
		}
	}
	slices.SortFunc(all, func(a, b held) int {
		return cmp.Or(cmp.Compare(b.stamp, a.stamp), strings.Compare(a.Conversation, b.Conversation))
	})
	for _, h := range all[:min(max(limit, 0), len(all))] {
		u.Conversations = append(u.Conversations, h.ConversationUnread)
	}
	return u, nil
}

func parseVersion(row string) (version int64, total int) {
	v, t, _ := strings.Cut(row, " ")
	return number(v), int(number(t))
}

// Versions implements hub.Ledger. An agent that never had unread has version 0.
func (s *Store) Versions(ctx context.Context, agents []string) ([]int64, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	places := map[int][]int{}
	for i, id := range agents {
		places[part(id)] = append(places[part(id)], i)
	}
	var cmds []redis.Cmder
	var of [][]int
	for p, at := range places {
		args := []any{"hmget", s.keys[p].versions}
		for _, i := range at {
			args = append(args, escape(agents[i]))
		}
		cmds, of = append(cmds, redis.NewSliceCmd(ctx, args...)), append(of, at)
	}
	versions := make([]int64, len(agents))
	if len(cmds) == 0 {
		return versions, nil
	}
	if err := s.each(ctx, cmds...); err != nil {
		return nil, err
	}
	for i, cmd := range cmds {
		for j, v := range cmd.(*redis.SliceCmd).Val() {
			versions[of[i][j]], _ = parseVersion(str(v))
		}
	}
	return versions, nil
}

// Holders implements hub.Ledger; the agents are sorted.
func (s *Store) Holders(ctx context.Context, conversation string) ([]string, error) {
	cmds := make([]redis.Cmder, partitions)
	from := escape(conversation) + "/"
	for p := range cmds {
		cmds[p] = redis.NewStringSliceCmd(ctx, "zrangebylex", s.keys[p].holders, "["+from, "("+escape(conversation)+"0")
	}
	if err := s.each(ctx, cmds...); err != nil {
		return nil, err
	}
	var holders []string
	for _, cmd := range cmds {
		for _, member := range cmd.(*redis.StringSliceCmd).Val() {
			holders = append(holders, unescape(strings.TrimPrefix(member, from)))
		}
	}
	slices.Sort(holders)
	return holders, nil
}
