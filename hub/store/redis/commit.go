package redis

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"caac-hub/hub/notify"
)

// maxExact is the greatest whole number that Lua keeps exactly.
const maxExact = 1<<53 - 1

func exactly(n int64) int64 { return min(max(n, -maxExact), maxExact) }

// batch gathers the arguments of one commit.
type batch struct {
	args   []any
	agents map[string]int // place of the agent among the keys, from 1
	order  []string
}

func (b *batch) entry(agent, conversation string) {
	n := b.agents[agent]
	if n == 0 {
		b.order = append(b.order, agent)
		n = len(b.order)
		b.agents[agent] = n
	}
	b.args = append(b.args, n, escape(conversation))
}

// Commit implements hub.Ledger. Within a batch Adds come first, then reads, then
// withdrawals. The texts of messages that came to their end lie in the slots of
// their conversations and go after the rest is done; should that fail, they stay
// for as long as traces do.
func (s *Store) Commit(ctx context.Context, p int, b notify.Batch) (notify.Result, error) {
	var none notify.Result
	if err := checkPartition(p); err != nil {
		return none, err
	}
	if err := s.usable(ctx); err != nil {
		return none, err
	}
	upto, err := s.readable(ctx, b.Read)
	if err != nil {
		return none, err
	}
	args := []any{len(b.Revs)}
	for id, rev := range b.Revs {
		args = append(args, id, rev)
	}
	args = append(args, len(b.Fanouts))
	for i := range b.Fanouts {
		f := &b.Fanouts[i]
		for j := range i {
			if f.Ref == b.Fanouts[j].Ref {
				return none, fmt.Errorf("the batch names the record of message %q twice", f.Message)
			}
		}
		args = append(args, refKey(f.Ref), f.Rev, fanoutRow(f))
	}
	args = append(args, len(b.Due))
	for i := range b.Due {
		if args, err = dueArgs(args, &b.Due[i]); err != nil {
			return none, err
		}
	}
	args = append(args, len(b.Done))
	for _, d := range b.Done {
		args = append(args, d.Key, d.Rev)
	}
	changes := batch{agents: map[string]int{}}
	changes.args = append(changes.args, len(b.Add))
	for _, a := range b.Add {
		changes.entry(a.Agent, a.Conversation)
		changes.args = append(changes.args, exactly(a.From), exactly(a.To), exactly(a.Assignment))
	}
	reads := len(changes.args)
	changes.args = append(changes.args, 0)
	n := 0
	for i, r := range b.Read {
		if upto[i] > 0 {
			changes.entry(r.Agent, r.Conversation)
			changes.args = append(changes.args, upto[i])
			n++
		}
	}
	changes.args[reads] = n
	changes.args = append(changes.args, len(b.Withdraw))
	for _, w := range b.Withdraw {
		changes.entry(w.Agent, w.Conversation)
		changes.args = append(changes.args, exactly(w.Assignment))
	}
	k := &s.keys[p]
	keys := []string{k.agents, k.fanouts, k.due, k.dueTimes, k.dueKinds, k.versions, k.holders}
	args = append(args, len(changes.order))
	for _, a := range changes.order {
		keys, args = append(keys, k.unread+escape(a)), append(args, escape(a))
	}
	values, err := s.write(ctx, commitScript, p, keys, append(args, changes.args...)...)
	if err != nil {
		return none, err
	}
	r := notify.Result{}
	for _, v := range list(values[0]) {
		r.Fanouts = append(r.Fanouts, number(v))
	}
	for _, v := range list(values[1]) {
		r.Due = append(r.Due, number(v))
	}
	for _, v := range list(values[2]) {
		r.Fenced = append(r.Fenced, b.Add[number(v)])
	}
	counts := list(values[3])
	for i := 0; i+7 < len(counts); i += 8 {
		c := counts[i:]
		r.Counts = append(r.Counts, notify.Count{
			Agent: unescape(str(c[0])), Conversation: unescape(str(c[1])), Unread: int(number(c[2])), Seq: number(c[3]),
			Cursor: number(c[4]), Prev: number(c[5]), Version: number(c[6]), Total: int(number(c[7])),
		})
	}
	r.Whole = s.settle(ctx, p, b.Settled)
	return r, nil
}

// readable returns how far each read may go: to the seq that its conversation,
// which lies elsewhere, has now. It only grows, and what was seen was accepted.
func (s *Store) readable(ctx context.Context, reads []notify.ReadUpto) ([]int64, error) {
	if len(reads) == 0 {
		return nil, nil
	}
	seqs := map[string]*redis.StringCmd{}
	var cmds []redis.Cmder
	for _, r := range reads {
		if seqs[r.Conversation] == nil {
			cmd := redis.NewStringCmd(ctx, "hget", s.keys[part(r.Conversation)].conversations, escape(r.Conversation))
			seqs[r.Conversation] = cmd
			cmds = append(cmds, cmd)
		}
	}
	if err := s.each(ctx, cmds...); err != nil {
		return nil, err
	}
	upto := make([]int64, len(reads))
	for i, r := range reads {
		if row := seqs[r.Conversation].Val(); row != "" {
			c, err := parseConversation(r.Conversation, row)
			if err != nil {
				return nil, err
			}
			upto[i] = min(r.Upto, c.Seq)
		}
	}
	return upto, nil
}

// settle notes where messages have come to their end, and returns those that have
// everywhere, whose text is erased then.
func (s *Store) settle(ctx context.Context, p int, settled []notify.Settled) (whole []notify.Ref) {
	if len(settled) == 0 {
		return nil
	}
	of := map[int][]notify.Ref{}
	args := map[int][]any{}
	for _, x := range settled {
		home := part(x.Ref.Conversation)
		of[home] = append(of[home], x.Ref)
		args[home] = append(args[home], settledArgs(p, x)...)
	}
	var runs []run
	for home, refs := range of {
		k := &s.keys[home]
		runs = append(runs, run{home, []string{k.messages, k.ends}, append([]any{len(refs)}, args[home]...)})
	}
	answers, err := s.writeEach(ctx, eraseScript, runs)
	for i, a := range answers {
		if a.err != nil {
			err = a.err
			continue
		}
		for _, n := range list(a.values[0]) {
			whole = append(whole, of[runs[i].partition][number(n)])
		}
	}
	if err != nil {
		s.log.Warn("store: texts of ended messages were not erased", "messages", len(settled), "error", err)
	}
	return whole
}

func settledArgs(p int, x notify.Settled) []any {
	args := []any{refKey(x.Ref), p, len(x.Parts)}
	for _, n := range x.Parts {
		args = append(args, n)
	}
	return args
}

// A record's row is "rev ended" (1 or 0), a line end, and the packed record.

func fanoutRow(f *notify.Fanout) string {
	ended := "0\n"
	if f.Ended() {
		ended = "1\n"
	}
	return ended + string(notify.PackFanout(f))
}

func parseFanout(p int, ref notify.Ref, row string) (notify.Fanout, error) {
	head, doc, _ := strings.Cut(row, "\n")
	rev, _, _ := strings.Cut(head, " ")
	f, err := notify.UnpackFanout([]byte(doc))
	if err != nil {
		return f, damaged("record of message", ref.Message, err)
	}
	f.Ref, f.Partition, f.Rev = ref, p, number(rev)
	return f, nil
}

// Fanouts implements hub.Ledger.
func (s *Store) Fanouts(ctx context.Context, ref notify.Ref) ([]notify.Fanout, error) {
	all := make([]int, partitions)
	for p := range all {
		all[p] = p
	}
	return s.fanouts(ctx, ref, all)
}

// Fanout implements hub.Ledger.
func (s *Store) Fanout(ctx context.Context, p int, ref notify.Ref) (notify.Fanout, error) {
	if checkPartition(p) != nil {
		return notify.Fanout{}, notify.ErrNotFound
	}
	return one(s.fanouts(ctx, ref, []int{p}))
}

func (s *Store) fanouts(ctx context.Context, ref notify.Ref, parts []int) ([]notify.Fanout, error) {
	cmds := make([]redis.Cmder, len(parts))
	for i, p := range parts {
		cmds[i] = redis.NewStringCmd(ctx, "hget", s.keys[p].fanouts, refKey(ref))
	}
	if err := s.each(ctx, cmds...); err != nil {
		return nil, err
	}
	var found []notify.Fanout
	for i, cmd := range cmds {
		if cmd.Err() == redis.Nil {
			continue
		}
		f, err := parseFanout(parts[i], ref, cmd.(*redis.StringCmd).Val())
		if err != nil {
			return nil, err
		}
		found = append(found, f)
	}
	return found, nil
}
