//go:build linux && e2e

package e2e

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"caac-hub/config"
	"caac-hub/http/serve"
	"caac-hub/test/browser"
	"caac-hub/test/world"
)

// deployment is a way to run the hub.
type deployment struct {
	name  string
	start func(s *story)
}

// deployments are the ways that stories are told of; the first is one node.
var deployments = []deployment{{"one node", (*story).startOne}}

// browsers are what a story may be told in.
var browsers = []struct {
	name  string
	start func(*world.World) *browser.Browser
}{
	{"firefox", (*world.World).Firefox},
	{"chromium", (*world.World).Chromium},
}

// inBothBrowsers tells a story of one node once in each browser.
func inBothBrowsers(t *testing.T, tell func(s *story, b *browser.Browser)) {
	eachBrowser(t, newStory, tell)
}

func eachBrowser(t *testing.T, begin func(t *testing.T) *story, tell func(s *story, b *browser.Browser)) {
	for _, b := range browsers {
		t.Run(b.name, func(t *testing.T) {
			s := begin(t)
			tell(s, b.start(s.World))
		})
	}
}

// everywhere tells a story of every deployment in each browser.
func everywhere(t *testing.T, tell func(s *story, b *browser.Browser)) {
	ofEach(t, func(t *testing.T, d deployment) { eachBrowser(t, d.newStory, tell) })
}

// ofEachInChromium tells a story of one node in each browser, and of every
// other deployment in Chromium: what differs there is not the browser.
func ofEachInChromium(t *testing.T, tell func(s *story, b *browser.Browser)) {
	ofEach(t, func(t *testing.T, d deployment) {
		if d.name == deployments[0].name {
			inBothBrowsers(t, tell)
			return
		}
		s := d.newStory(t)
		tell(s, s.Chromium())
	})
}

// ofEach runs a test for every deployment.
func ofEach(t *testing.T, test func(t *testing.T, d deployment)) {
	for _, d := range deployments {
		t.Run(d.name, func(t *testing.T) { test(t, d) })
	}
}

// config is a node's, with a data folder of its own.
func (s *story) config() config.Config {
	s.t.Helper()
	dir := s.t.TempDir()
	c := config.Default(config.Demo, dir)
	c.Listen = "localhost:0"
	c.DataDir = dir
	if s.caac != "" {
		c.Origins = []string{s.caac}
		c.ConversationURL = s.caac + "/agent/{agent}?conversation={conversation}"
		c.Auth.JWTSecret = secret
	}
	return c
}

// startOne starts a hub of one node.
func (s *story) startOne() {
	s.t.Helper()
	c := s.config()
	program, _ := s.run(c)
	s.hub, s.dataDir = program.URL(), c.DataDir
	s.nodes = []string{s.hub}
	key, err := os.ReadFile(filepath.Join(c.DataDir, serve.FirstKeyFile))
	if err != nil {
		s.t.Fatal(err)
	}
	s.key = strings.TrimSpace(string(key))
}

// run runs a node, which is ready, until stop, which drains it, or the end of the test.
func (s *story) run(c config.Config) (program *serve.Program, stop func()) {
	s.t.Helper()
	program, err := serve.New(s.t.Context(), serve.Options{
		Config:      c,
		Log:         slog.New(slog.NewTextHandler(s.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		PushDial:    s.Net.Dial,
		PushRootCAs: s.Net.Pool(),
		KeyGrace:    s.keyGrace,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := program.Run(ctx); err != nil {
			s.t.Errorf("the hub: %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	s.t.Cleanup(stop)
	s.wait(program.URL()+" to be ready", func() bool {
		response, err := http.Get(program.URL() + "/readyz")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return program, stop
}
