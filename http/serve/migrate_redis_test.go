//go:build redis

package serve_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"caac-hub/config"
	"caac-hub/http/serve"
	redistest "caac-hub/test/redis"
)

func call(t *testing.T, p *serve.Program, key, method, path, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
}

// lived is a stopped embedded hub that has seen some messages.
func lived(t *testing.T) (c config.Config, key string) {
	t.Helper()
	c = configure(t, t.TempDir(), nil)
	p, stop := start(t, c)
	key = firstKey(t, c.DataDir)
	for _, id := range []string{"ann", "bo"} {
		call(t, p, key, "PUT", "/v1/agents/"+id, `{"name":"An agent","on_duty":true}`)
	}
	call(t, p, key, "PUT", "/v1/teams/night", `{"name":"Night","members":["ann","bo"]}`)
	for _, id := range []string{"m1", "m2", "m3"} {
		call(t, p, key, "POST", "/v1/messages", `{"id":"`+id+`","kind":"text","text":"hello","conversation":{"id":"c1","assignment":{"team":"night","version":1}}}`)
	}
	within(t, "the messages are counted", func() bool {
		_, body := get(t, p.URL()+"/v1/agents/ann/unread", key)
		return strings.Contains(body, `"total":3`)
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	return c, key
}

func moveTo(c config.Config, url string) config.Config {
	c.Redis.URL, c.Redis.Prefix = url, "caac"
	return c
}

func TestStoppedHubGoesOnAsNodesOnRedis(t *testing.T) {
	c, key := lived(t)
	r := redistest.Start(t, redistest.Options{})
	moved, err := serve.Migrate(t.Context(), moveTo(c, r.URL()))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, m := range moved {
		counts[m.Class] = m.Count
		if len(m.Digest) != 12 {
			t.Errorf("%+v", m)
		}
	}
	if counts["agents"] != 4 || counts["teams"] != 2 || counts["conversations"] != 1 || counts["messages"] != 3 || counts["unread counts"] < 2 || counts["keys and secrets"] < 4 {
		t.Errorf("moved %v", moved)
	}
	again, err := serve.Migrate(t.Context(), moveTo(c, r.URL()))
	if err != nil || len(again) != len(moved) {
		t.Fatalf("again: %v", err)
	}
	for i := range moved {
		if again[i] != moved[i] {
			t.Errorf("at first %v, again %v", moved[i], again[i])
		}
	}

	p, _ := start(t, moveTo(c, r.URL()))
	ready(t, p)
	if _, body := get(t, p.URL()+"/v1/agents/bo/unread", key); !strings.Contains(body, `"total":3`) {
		t.Errorf("unread: %s", body)
	}
	// An id that the old hub accepted does nothing twice; the next one counts.
	for _, id := range []string{"m3", "m4"} {
		call(t, p, key, "POST", "/v1/messages", `{"id":"`+id+`","kind":"text","text":"hello","conversation":{"id":"c1","assignment":{"team":"night","version":1}}}`)
	}
	within(t, "one message more is counted", func() bool {
		_, body := get(t, p.URL()+"/v1/agents/ann/unread", key)
		return strings.Contains(body, `"total":4`)
	})
}

func TestRunningHubIsNotMoved(t *testing.T) {
	c := configure(t, t.TempDir(), nil)
	start(t, c)
	r := redistest.Start(t, redistest.Options{})
	_, err := serve.Migrate(t.Context(), moveTo(c, r.URL()))
	if err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("err = %v", err)
	}
}

func TestRedisOfAnotherDeploymentIsNotMovedInto(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	other, _ := lived(t)
	if _, err := serve.Migrate(t.Context(), moveTo(other, r.URL())); err != nil {
		t.Fatal(err)
	}
	c, _ := lived(t)
	_, err := serve.Migrate(t.Context(), moveTo(c, r.URL()))
	if err == nil || !strings.Contains(err.Error(), "another deployment") {
		t.Errorf("err = %v", err)
	}
	beside := moveTo(c, r.URL())
	beside.Redis.Prefix = "second"
	if _, err := serve.Migrate(t.Context(), beside); err != nil {
		t.Errorf("under a prefix of its own: %v", err)
	}
}

func TestEmptyDataFolderIsNotMoved(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	c := configure(t, t.TempDir(), nil)
	_, err := serve.Migrate(t.Context(), moveTo(c, r.URL()))
	if err == nil || !strings.Contains(err.Error(), "no deployment's state") {
		t.Errorf("err = %v", err)
	}
	if n := r.Client().DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys were written", n)
	}
}

func TestWhatDiffersAfterAMoveIsFound(t *testing.T) {
	c, key := lived(t)
	r := redistest.Start(t, redistest.Options{})
	if _, err := serve.Migrate(t.Context(), moveTo(c, r.URL())); err != nil {
		t.Fatal(err)
	}
	p, stop := start(t, moveTo(c, r.URL()))
	ready(t, p)
	call(t, p, key, "POST", "/v1/agents/ann/read", `{"conversation":"c1","upto":2}`)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	_, err := serve.Migrate(t.Context(), moveTo(c, r.URL()))
	if err == nil || !strings.Contains(err.Error(), `unread counts differ, such as "ann"`) {
		t.Errorf("err = %v", err)
	}
	if _, err := os.Stat(c.DataDir + "/hub.db"); err != nil {
		t.Error(err)
	}
}
