package static_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"caac-hub/hub/notify"
	"caac-hub/hub/wire"
	"caac-hub/static"
)

func source(t *testing.T, name string) string {
	t.Helper()
	b, err := fs.ReadFile(static.FS, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// all are the first groups of a pattern's matches.
func all(pattern, text string) (found []string) {
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// words are the app's in one language, by key.
func words(t *testing.T, file string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^  '([\w.]+)': '(.*)',$`).FindAllStringSubmatch(source(t, file), -1) {
		if _, twice := found[m[1]]; twice {
			t.Errorf("%s has %q twice", file, m[1])
		}
		found[m[1]] = m[2]
	}
	if lines := strings.Count(source(t, file), "\n  '"); len(found) < 100 || len(found) != lines {
		t.Fatalf("%s: read %d words of %d", file, len(found), lines)
	}
	return found
}

// appSources is all of the app that speaks.
func appSources(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for _, pattern := range []string{"demo/*.js", "demo/*.html"} {
		names, err := fs.Glob(static.FS, pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if !strings.HasPrefix(name, "demo/strings-") {
				text.WriteString(source(t, name))
			}
		}
	}
	return text.String()
}

func TestAppHasEveryWordInBothLanguagesAndNoneTooMany(t *testing.T) {
	en, zh := words(t, "demo/strings-en.js"), words(t, "demo/strings-zh-tw.js")
	values := func(text string) []string {
		found := regexp.MustCompile(`\{\w+\}`).FindAllString(text, -1)
		slices.Sort(found)
		return found
	}
	sources := appSources(t)
	// A key is written out, or made of a template like `state.${is}`.
	used := map[string]bool{}
	for _, key := range all(`['"]([a-z]\w*(?:\.\w+)*)['"]`, sources) {
		used[key] = true
	}
	var templates []*regexp.Regexp
	for _, made := range all("`([a-z]\\w*\\.(?:[\\w.]|\\$\\{[^}]*\\})*)`", sources) {
		literal := regexp.MustCompile(`\$\{[^}]*\}`).Split(made, -1)
		for i := range literal {
			literal[i] = regexp.QuoteMeta(literal[i])
		}
		templates = append(templates, regexp.MustCompile("^"+strings.Join(literal, `\w+`)+"$"))
	}
	for key, text := range en {
		chinese, ok := zh[key]
		switch {
		case !ok || strings.TrimSpace(chinese) == "":
			t.Errorf("%q has no Chinese", key)
		case !slices.Equal(values(text), values(chinese)):
			t.Errorf("%q has other values in Chinese: %q, %q", key, text, chinese)
		case text == chinese && key != "app.nav" && key != "c.miui":
			t.Errorf("%q is not Chinese: %q", key, chinese)
		}
		if !used[key] && !slices.ContainsFunc(templates, func(r *regexp.Regexp) bool { return r.MatchString(key) }) {
			t.Errorf("nothing says %q", key)
		}
	}
	for key := range zh {
		if _, ok := en[key]; !ok {
			t.Errorf("%q is Chinese alone", key)
		}
	}
	for _, key := range all(`data-t(?:-label|-placeholder)?="([^"]+)"`, sources) {
		if en[key] == "" {
			t.Errorf("a page says %q, which has no words", key)
		}
	}
}

func TestAppHasWordsForWhatTheHubAndTheSDKSay(t *testing.T) {
	en := words(t, "demo/strings-en.js")
	need := func(key string) {
		t.Helper()
		if en[key] == "" {
			t.Errorf("%q has no words", key)
		}
	}
	for _, permission := range []string{"granted", "denied", "default", "unsupported"} {
		need("state." + permission)
	}
	for _, p := range []notify.Presence{notify.Hidden, notify.Visible, notify.Active} {
		need("presence." + p.String())
	}
	silent := notify.AgentView{Muted: true}
	for _, l := range []notify.LoginView{{SwitchOff: true, Permission: notify.Denied}, {Permission: notify.NotAsked}} {
		for _, reason := range notify.Silences(silent, l) {
			need("silenced." + string(reason))
		}
	}
	for _, reason := range all(`(?m)^  (\w+): ["']`, regexp.MustCompile(`(?s)SAY = \{.*?\n\};`).FindString(source(t, "sdk/profile.js"))) {
		if reason != "not_kept" { // the hub's refusal, told by its code
			need("enable." + reason)
		}
	}
	for _, code := range []int{wire.CloseBadFrame, wire.CloseBadToken, wire.CloseTooManyTabs, wire.CloseForeign} {
		need("gone." + strconv.Itoa(code))
	}
}

// notForAgents are the codes of problems that only CAAC's backend, support, a
// worker or whoever calls without the SDK can meet.
var notForAgents = []string{
	"already_scheduled", "bad_api_key", "bad_receipt", "batch_too_large", "malformed_json", "message_conflict", "method_not_allowed", "no_api_key",
	"no_subprotocol", "no_such_route", "no_text", "not_support", "nothing_to_replace", "unknown_dead_work",
	"unknown_message", "unknown_parameter", "unknown_team", "unsupported_media_type", "upgrade_required", "wrong_type",
}

func TestAppHasWordsForEveryProblemAnAgentCanMeet(t *testing.T) {
	table := regexp.MustCompile(`(?s)PROBLEMS = \{.*?\n\};`).FindString(source(t, "demo/results.js"))
	en := words(t, "demo/strings-en.js")
	var told []string
	for _, m := range regexp.MustCompile(`(\w+): '(problem\.\w+)'`).FindAllStringSubmatch(table, -1) {
		told = append(told, m[1])
		if en[m[2]] == "" {
			t.Errorf("%s: %q has no words", m[1], m[2])
		}
	}
	var answered []string
	for _, folder := range []string{"../hub", "../http"} {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "storetest") {
				return err
			}
			b, err := os.ReadFile(path)
			answered = append(answered, all(`Code: +"(\w+)"`, string(b))...)
			answered = append(answered, all(`Token\w+ += "(\w+)"`, string(b))...)
			answered = append(answered, all(`(?:refuse\(|[^\w]bad\(|code, why :?= )"(\w+)"`, string(b))...)
			for _, what := range all(`missing\("(\w+)"`, string(b)) {
				answered = append(answered, "unknown_"+what)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(answered)
	answered = slices.Compact(answered)
	if len(answered) < 40 {
		t.Fatalf("found %d codes: %q", len(answered), answered)
	}
	for _, code := range answered {
		forAgents, others := slices.Contains(told, code), slices.Contains(notForAgents, code)
		if forAgents == others && code != "unknown_" {
			t.Errorf("the code %q: words for agents %v, met by others alone %v", code, forAgents, others)
		}
	}
	for _, code := range notForAgents {
		if !slices.Contains(answered, code) {
			t.Errorf("the hub answers no %q", code)
		}
	}
	for _, code := range told {
		if code != "unreachable" && !slices.Contains(answered, code) {
			t.Errorf("there are words for %q, which the hub never answers", code)
		}
	}
}
