// Package docs_test holds what the documentation says against what is there.
package docs_test

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"caac-hub/config"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestProtocolShowsTheGoldenFrames(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```json (\\S+)\n(.*?)\n```").FindAllStringSubmatch(read(t, "protocol.md"), -1)
	if len(blocks) < 15 {
		t.Fatalf("found %d examples", len(blocks))
	}
	for _, b := range blocks {
		want := strings.TrimSpace(read(t, "../hub/wire/testdata/"+b[1]))
		if diff := cmp.Diff(want, b[2]); diff != "" {
			t.Errorf("%s:\n%s", b[1], diff)
		}
	}
}

func TestReadmeListsEveryConfigurationKey(t *testing.T) {
	_, rest, _ := strings.Cut(read(t, "../README.md"), "<!-- keys -->\n")
	got, _, ok := strings.Cut(rest, "<!-- end of keys -->")
	if !ok {
		t.Fatal("README.md has no table between <!-- keys --> and <!-- end of keys -->")
	}
	if diff := cmp.Diff(config.Table(), got); diff != "" {
		t.Errorf("the table differs; it should be:\n%s", config.Table())
	}
}

func TestOperationsExplainsEveryMetric(t *testing.T) {
	metric := regexp.MustCompile(`(?:Name: +|NewDesc\(|counter\()"(caac_\w+)"`)
	operations := read(t, "operations.md")
	found := 0
	for _, pattern := range []string{"../hub/*.go", "../push/*.go", "../http/*.go", "../http/serve/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			for _, m := range metric.FindAllStringSubmatch(read(t, file), -1) {
				found++
				if !regexp.MustCompile("`" + m[1] + "[`{]").MatchString(operations) {
					t.Errorf("operations.md does not explain %s", m[1])
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("found %d metrics", found)
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	decisions, _ := filepath.Glob("decisions/*.md")
	for _, file := range append(append(files, decisions...), "../README.md") {
		text := read(t, file)
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
			u, err := url.Parse(m[1])
			if err != nil || u.Scheme != "" {
				continue
			}
			target := filepath.Join(filepath.Dir(file), u.Path)
			if u.Path == "" {
				target = file
			}
			info, err := os.Stat(target)
			if err != nil {
				t.Errorf("%s: %s leads nowhere", file, m[1])
			}
			if u.Fragment != "" && err == nil && !info.IsDir() && !hasHeading(read(t, target), u.Fragment) {
				t.Errorf("%s: %s has no heading #%s", file, u.Path, u.Fragment)
			}
		}
	}
}

func hasHeading(text, anchor string) bool {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		slug := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		if strings.ReplaceAll(slug, " ", "-") == anchor {
			return true
		}
	}
	return false
}
