package hub_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "caac-hub"
	wiring = "http/serve" // stands with main: it joins hub and adapters
)

// under reports whether a package is one of the trees, or inside one.
func under(pkg string, trees ...string) bool {
	return slices.ContainsFunc(trees, func(t string) bool { return pkg == t || strings.HasPrefix(pkg, t+"/") })
}

func adapter(pkg string) bool {
	return under(pkg, "hub/store", "hub/bus", "push") && pkg != "hub/store" && pkg != "hub/bus"
}

// wrongArrow says why a package (its folder in the module) may not import a
// path; it is empty where it may. Arrows point down only:
// notify, wire, hub, http, main; adapters know notify and not each other.
func wrongArrow(pkg, imp string) string {
	ours := ""
	if imp == module || strings.HasPrefix(imp, module+"/") {
		ours = "." + strings.TrimPrefix(imp, module)
		ours = strings.TrimPrefix(ours, "./")
	}
	std := ours == "" && !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".")
	text := imp == "github.com/rivo/uniseg"
	switch {
	case ours == "." || under(ours, wiring) && pkg != "." && !under(pkg, wiring, "test"):
		return "nothing imports the program, nor what wires it"
	case under(pkg, "hub/notify"):
		if !std && !text || under(imp, "net/http", "database/sql", "os") {
			return "notify imports the standard library, without I/O, and uniseg"
		}
	case under(pkg, "hub/wire"):
		if !std && !text && ours != "hub/notify" {
			return "wire imports the standard library, uniseg and notify"
		}
	case pkg == "hub/store/storetest" || pkg == "hub/bus/bustest":
		if ours != "" && !under(ours, "hub", "hub/notify", pkg) || adapter(ours) && ours != pkg {
			return "a conformance suite knows hub and notify, no adapter"
		}
	case pkg == "hub/redisconn":
		if ours != "" && ours != "hub/notify" {
			return "redisconn knows notify alone"
		}
	case pkg == "hub/bus":
		if !std {
			return "what all buses share imports the standard library"
		}
	case adapter(pkg):
		shared := ours == "hub/bus" && under(pkg, "hub/bus")
		if ours != "" && ours != "hub/notify" && ours != "hub/redisconn" && !under(ours, pkg) && !shared {
			return "adapters know notify, redisconn and what all buses share, not hub and not each other"
		}
	case pkg == "hub":
		if ours != "" && ours != "hub/notify" && ours != "hub/wire" {
			return "hub imports notify and wire of this module"
		}
		for _, tech := range []string{"echo", "redis", "sql"} {
			if !std && ours == "" && strings.Contains(imp, tech) || std && under(imp, "database/sql") {
				return "hub imports no echo, no redis, no SQL"
			}
		}
	case under(pkg, "hub"):
		return "this package under hub has no rule yet: give it one here"
	case under(pkg, "http") && !under(pkg, wiring):
		if adapter(ours) {
			return "http knows hub's interfaces, no adapter"
		}
	}
	return ""
}

// importsOf lists what the non-test files of a module import, by folder.
func importsOf(root string) (map[string][]string, error) {
	all := map[string][]string{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); file != root && (strings.HasPrefix(n, ".") || n == "testdata" || n == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := path.Dir(filepath.ToSlash(rel))
		for _, spec := range parsed.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !slices.Contains(all[pkg], imp) {
				all[pkg] = append(all[pkg], imp)
			}
		}
		return nil
	})
	return all, err
}

func TestArrowsPointDownOnly(t *testing.T) {
	all, err := importsOf("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range []string{"hub", "hub/notify", "hub/wire"} {
		if len(all[pkg]) == 0 {
			t.Errorf("%s was not found", pkg)
		}
	}
	for pkg, imports := range all {
		for _, imp := range imports {
			if why := wrongArrow(pkg, imp); why != "" {
				t.Errorf("%s imports %s: %s", pkg, imp, why)
			}
		}
	}
}

func TestWrongArrowsAreFound(t *testing.T) {
	cases := []struct {
		pkg, imp string
		wrong    bool
	}{
		{"hub/notify", "strings", false},
		{"hub/notify", "github.com/rivo/uniseg", false},
		{"hub/notify", "os", true},
		{"hub/notify", "net/url", false},
		{"hub/notify", "net/http", true},
		{"hub/notify", "caac-hub/hub/wire", true},
		{"hub/notify", "github.com/google/uuid", true},
		{"hub/wire", "caac-hub/hub/notify", false},
		{"hub/wire", "caac-hub/hub", true},
		{"hub", "caac-hub/hub/wire", false},
		{"hub", "github.com/coder/websocket", false},
		{"hub", "caac-hub/hub/store/sqlite", true},
		{"hub", "caac-hub/push", true},
		{"hub", "caac-hub/http", true},
		{"hub", "caac-hub/config", true},
		{"hub", "database/sql/driver", true},
		{"hub", "modernc.org/sqlite", true},
		{"hub", "github.com/redis/go-redis/v9", true},
		{"hub", "github.com/labstack/echo/v4", true},
		{"hub/store/sqlite", "caac-hub/hub/notify", false},
		{"hub/store/sqlite", "caac-hub/hub", true},
		{"hub/store/redis", "caac-hub/hub/bus/redis", true},
		{"hub/store/redis", "caac-hub/hub/redisconn", false},
		{"hub/redisconn", "caac-hub/hub/store/redis", true},
		{"hub/redisconn", "github.com/redis/go-redis/v9", false},
		{"hub/store/redis", "caac-hub/hub/store/redis/scripts", false},
		{"hub/bus/redis", "caac-hub/hub/store/redis", true},
		{"hub/bus/redis", "caac-hub/hub/bus", false},
		{"hub/bus/redis", "caac-hub/hub/bus/local", true},
		{"hub/store/redis", "caac-hub/hub/bus", true},
		{"hub/bus", "caac-hub/hub/notify", true},
		{"hub/store/storetest", "caac-hub/hub", false},
		{"hub/store/storetest", "caac-hub/hub/store/sqlite", true},
		{"hub/bus/bustest", "caac-hub/hub", false},
		{"hub/bus/bustest", "caac-hub/hub/bus/redis", true},
		{"push", "caac-hub/hub/notify", false},
		{"push", "caac-hub/hub", true},
		{"push", "caac-hub/config", true},
		{"hub/other", "strings", true},
		{"http", "caac-hub/hub", false},
		{"http", "caac-hub/hub/store/sqlite", true},
		{"http/demo", "caac-hub/push", true},
		{"http", "caac-hub", true},
		{"http", "caac-hub/http/serve", true},
		{"http/serve", "caac-hub/hub/store/sqlite", false},
		{".", "caac-hub/http/serve", false},
		{"test/load", "caac-hub/http/serve", false},
	}
	for _, c := range cases {
		if why := wrongArrow(c.pkg, c.imp); (why != "") != c.wrong {
			t.Errorf("%s importing %s: %q", c.pkg, c.imp, why)
		}
	}
}

func TestTestFilesAreNotHeldToTheArrows(t *testing.T) {
	root := t.TempDir()
	for name, imp := range map[string]string{"hub/a.go": "caac-hub/push", "hub/a_test.go": "testing", ".cache/b.go": "os"} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, fmt.Appendf(nil, "package x\nimport _ %q\n", imp), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	all, err := importsOf(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || !slices.Equal(all["hub"], []string{"caac-hub/push"}) {
		t.Errorf("got %v", all)
	}
}
