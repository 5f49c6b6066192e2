//go:build redis

package serve_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"caac-hub/hub"
	"caac-hub/hub/bus/bustest"
	redisbus "caac-hub/hub/bus/redis"
	"caac-hub/hub/redisconn"
	redisstore "caac-hub/hub/store/redis"
	"caac-hub/hub/store/storetest"
	redistest "caac-hub/test/redis"
)

// limited gives a server the user that docs/operations.md describes, and returns
// the URL to use it.
func limited(t *testing.T, r *redistest.Server) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^    (ACL SETUSER (?:[^\n]*\\\n)*[^\n]*)$`).FindSubmatch(b)
	if m == nil {
		t.Fatal("operations.md shows no ACL SETUSER")
	}
	var args []any
	for _, word := range strings.Fields(strings.ReplaceAll(string(m[1]), "\\\n", " ")) {
		args = append(args, strings.ReplaceAll(word, ">PASSWORD", ">pw"))
	}
	if err := r.Client().Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Replace(r.URL(), "redis://", "redis://caac-hub:pw@", 1)
}

// refused lists what the user asked for and may not, other than what the client
// library tries for courtesy.
func refused(t *testing.T, c *redis.Client) (out []string) {
	t.Helper()
	entries, err := c.ACLLog(context.Background(), 100).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Object, "client|") {
			continue
		}
		out = append(out, fmt.Sprintf("%s %s (%s)", e.Reason, e.Object, e.Context))
	}
	return out
}

func TestUserOfTheDocumentationSuffices(t *testing.T) {
	r := redistest.Start(t, redistest.Options{AppendFsync: "off"})
	url := limited(t, r)
	connect := func(t *testing.T, prefix string) *redisconn.Conn {
		c, err := redisconn.Open(t.Context(), redisconn.Options{URL: url, Prefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	t.Run("store", func(t *testing.T) {
		storetest.Run(t, storetest.Subject{Open: func(t *testing.T, now func() time.Time) hub.Store {
			r.Empty()
			s, err := redisstore.Open(t.Context(), redisstore.Options{Conn: connect(t, "caac"), Now: now})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Init(t.Context()); err != nil {
				t.Fatal(err)
			}
			return s
		}})
	})
	t.Run("bus", func(t *testing.T) {
		deployments := 0
		bustest.Run(t, func(t *testing.T) func() hub.Bus {
			deployments++
			prefix := fmt.Sprintf("caac:%d", deployments)
			return func() hub.Bus { return redisbus.New(connect(t, prefix), nil) }
		})
	})
	t.Run("node", func(t *testing.T) {
		r.Empty()
		c := onRedis(t, url, nil)
		initialise(t, c)
		key := apiKey(t, c)
		p, _ := start(t, c)
		ready(t, p)
		if status, _ := ask(t, p, key, "m1"); status != http.StatusAccepted {
			t.Errorf("a message is answered %d", status)
		}
	})
	if got := refused(t, r.Client()); len(got) > 0 {
		t.Errorf("the user may not do what the hub needs: %q", got)
	}
	other := redis.NewClient(&redis.Options{Addr: r.Addr(), Username: "caac-hub", Password: "pw", MaxRetries: -1})
	defer other.Close()
	for _, forbidden := range [][]any{{"flushall"}, {"config", "get", "*"}, {"keys", "*"}, {"get", "other:key"}, {"publish", "other", "x"}, {"del", "caac:x"}} {
		if err := other.Do(t.Context(), forbidden...).Err(); !redis.HasErrorPrefix(err, "NOPERM") {
			t.Errorf("%v: %v", forbidden, err)
		}
	}
}
