package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"github.com/google/go-cmp/cmp"

	"caac-hub/hub/notify"
)

var directoryTests = []test{
	{"DocumentsReadBackAsWritten", documentsReadBack},
	{"PutComparesRevisions", putComparesRevisions},
	{"ListsAreOrderedAndLimited", listsAreOrdered},
	{"DeviceIsFoundByItsEndpoint", deviceByEndpoint},
	{"DeletedDeviceIsGoneAndItsRevisionToo", deletedDevice},
	{"MetaIsKept", metaIsKept},
	{"RacingPutsLoseNothing", racingPuts},
}

func documentsReadBack(e *env) {
	ctx := e.Context()
	a := notify.Agent{ID: "mei", Name: "Mei", Locale: "zh-TW", OnDuty: true, Muted: true, Preview: notify.PreviewSender,
		Logins: []notify.Login{{Device: "d1", Place: "tab", Since: start, Seen: start.Add(1)}}, Version: 4, DutyVersion: 5}
	a.Rev = must(e.PutAgent(ctx, a))(e)
	if got := must(e.Agents(ctx, []string{"mei", "nobody"}))(e); !cmp.Equal(got, []notify.Agent{a}) {
		e.Fatal(cmp.Diff(got, []notify.Agent{a}))
	}
	team := notify.Team{ID: "t", Name: "Team", Members: []string{"ken", "mei"}, Version: 2}
	team.Rev = must(e.PutTeam(ctx, team))(e)
	if got := must(e.Team(ctx, "t"))(e); !cmp.Equal(got, team) {
		e.Fatal(cmp.Diff(got, team))
	}
	_, err := e.Team(ctx, "none")
	e.wantErr(err, notify.ErrNotFound)
	d := notify.Device{ID: "d1", KeyHash: "k", Label: "Phone", Platform: "ios", SwitchOff: true, Permission: notify.Granted,
		Subscription: &notify.Subscription{Endpoint: "https://push.example/1", P256dh: "p", Auth: "a", KeyID: "v", Generation: 3, Created: start},
		Generation:   3, Resubscribe: true, Agents: []string{"mei"}, Created: start, Seen: start}
	d.Rev = must(e.PutDevice(ctx, d))(e)
	if got := must(e.Devices(ctx, []string{"none", "d1"}))(e); !cmp.Equal(got, []notify.Device{d}) {
		e.Fatal(cmp.Diff(got, []notify.Device{d}))
	}
	e.eq("no ids", len(must(e.Agents(ctx, nil))(e))+len(must(e.Devices(ctx, nil))(e)), 0)
	c := notify.Conversation{ID: "c/1", Contact: "Ken", Assignment: notify.Assignment{Agent: "mei", Team: "t", Version: 7}, Seq: 2, Answered: 1, Newest: "m2"}
	c.Rev = must(e.PutConversation(ctx, c))(e)
	e.eq("conversation", must(e.Conversation(ctx, "c/1"))(e), c)
	_, err = e.Conversation(ctx, "c")
	e.wantErr(err, notify.ErrNotFound)
}

func putComparesRevisions(e *env) {
	ctx := e.Context()
	puts := map[string]func(rev int64) (int64, error){
		"agent":        func(rev int64) (int64, error) { return e.PutAgent(ctx, notify.Agent{ID: "x", Rev: rev}) },
		"team":         func(rev int64) (int64, error) { return e.PutTeam(ctx, notify.Team{ID: "x", Rev: rev}) },
		"device":       func(rev int64) (int64, error) { return e.PutDevice(ctx, notify.Device{ID: "x", Rev: rev}) },
		"conversation": func(rev int64) (int64, error) { return e.PutConversation(ctx, notify.Conversation{ID: "x", Rev: rev}) },
		"meta":         func(rev int64) (int64, error) { return e.PutMeta(ctx, "x", []byte("v"), rev) },
	}
	for what, put := range puts {
		if _, err := put(1 << 40); err == nil {
			e.Fatalf("%s: put at a revision although none exists", what)
		}
		first := must(put(0))(e)
		if first == 0 {
			e.Fatalf("%s: revision 0 means that it does not exist", what)
		}
		_, err := put(0)
		e.wantErr(err, notify.ErrConflict)
		second := must(put(first))(e)
		if second == first {
			e.Fatalf("%s: the revision did not move", what)
		}
		_, err = put(first)
		e.wantErr(err, notify.ErrConflict)
		must(put(second))(e)
	}
}

func listsAreOrdered(e *env) {
	ctx := e.Context()
	for _, id := range []string{"b", "a", "ä", "c", "B"} {
		must(e.PutAgent(ctx, notify.Agent{ID: id}))(e)
		must(e.PutTeam(ctx, notify.Team{ID: id}))(e)
		must(e.PutDevice(ctx, notify.Device{ID: id}))(e)
	}
	lists := map[string]func(after string, limit int) []string{
		"agents": func(after string, limit int) (ids []string) {
			for _, a := range must(e.ListAgents(ctx, after, limit))(e) {
				ids = append(ids, a.ID)
			}
			return ids
		},
		"teams": func(after string, limit int) (ids []string) {
			for _, a := range must(e.ListTeams(ctx, after, limit))(e) {
				ids = append(ids, a.ID)
			}
			return ids
		},
		"devices": func(after string, limit int) (ids []string) {
			for _, a := range must(e.ListDevices(ctx, after, limit))(e) {
				ids = append(ids, a.ID)
			}
			return ids
		},
	}
	for what, list := range lists {
		e.eq(what, list("", 10), []string{"B", "a", "b", "c", "ä"})
		e.eq(what+" limited", list("", 2), []string{"B", "a"})
		e.eq(what+" after", list("a", 2), []string{"b", "c"})
		e.eq(what+" after an absent id", list("aa", 1), []string{"b"})
		e.eq(what+" after all", list("ä", 5), []string(nil))
	}
}

func deviceByEndpoint(e *env) {
	ctx := e.Context()
	const first, second = "https://push.example/1", "https://push.example/2"
	d := notify.Device{ID: "d", Subscription: &notify.Subscription{Endpoint: first}}
	d.Rev = must(e.PutDevice(ctx, d))(e)
	e.eq("device", must(e.DeviceByEndpoint(ctx, first))(e).ID, "d")
	d.Subscription = &notify.Subscription{Endpoint: second}
	d.Rev = must(e.PutDevice(ctx, d))(e)
	_, err := e.DeviceByEndpoint(ctx, first)
	e.wantErr(err, notify.ErrNotFound)
	e.eq("device", must(e.DeviceByEndpoint(ctx, second))(e).ID, "d")
	d.Subscription = nil
	d.Rev = must(e.PutDevice(ctx, d))(e)
	_, err = e.DeviceByEndpoint(ctx, second)
	e.wantErr(err, notify.ErrNotFound)
	_, err = e.DeviceByEndpoint(ctx, "")
	e.wantErr(err, notify.ErrNotFound)
}

func deletedDevice(e *env) {
	ctx := e.Context()
	endpoint := "https://push.example/1"
	d := notify.Device{ID: "d", Subscription: &notify.Subscription{Endpoint: endpoint}}
	d.Rev = must(e.PutDevice(ctx, d))(e)
	e.wantErr(e.DeleteDevice(ctx, "d", d.Rev+1), notify.ErrConflict)
	e.ok(e.DeleteDevice(ctx, "d", d.Rev))
	e.eq("devices", len(must(e.Devices(ctx, []string{"d"}))(e)), 0)
	_, err := e.DeviceByEndpoint(ctx, endpoint)
	e.wantErr(err, notify.ErrNotFound)
	if err := e.DeleteDevice(ctx, "d", d.Rev); err == nil {
		e.Fatal("deleted what is not there")
	}
	_, err = e.PutDevice(ctx, d)
	e.wantErr(err, notify.ErrConflict)
	d.Rev = 0
	must(e.PutDevice(ctx, d))(e)
}

func metaIsKept(e *env) {
	ctx := e.Context()
	_, _, err := e.Meta(ctx, "vapid")
	e.wantErr(err, notify.ErrNotFound)
	value := []byte{0, 1, 255}
	rev := must(e.PutMeta(ctx, "vapid", value, 0))(e)
	got, at, err := e.Meta(ctx, "vapid")
	e.ok(err)
	if !bytes.Equal(got, value) || at != rev {
		e.Fatalf("got %v at %d, want %v at %d", got, at, value, rev)
	}
	must(e.PutMeta(ctx, "vapid", nil, rev))(e)
	got, _, err = e.Meta(ctx, "vapid")
	e.ok(err)
	e.eq("empty value", len(got), 0)
}

// racingPuts counts up one number in many documents from many goroutines.
func racingPuts(e *env) {
	ctx := e.Context()
	const writers, each = 8, 10
	must(e.PutTeam(ctx, notify.Team{ID: "t"}))(e)
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				for {
					team, err := e.Team(ctx, "t")
					if err != nil {
						errs <- err
						return
					}
					team.Version++
					team.Members = append(team.Members, fmt.Sprintf("%d-%d", w, i))
					_, err = e.PutTeam(ctx, team)
					if err == nil {
						break
					}
					if err != notify.ErrConflict {
						errs <- err
						return
					}
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		e.Fatal(err)
	}
	team := must(e.Team(ctx, "t"))(e)
	slices.Sort(team.Members)
	e.eq("version", team.Version, writers*each)
	e.eq("members", len(slices.Compact(team.Members)), writers*each)
}
