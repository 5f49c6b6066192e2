package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// Sources are what a configuration is made of, weak to strong.
type Sources struct {
	File    string            // YAML; empty: CAAC_CONFIG, and none if that is empty too
	Environ []string          // os.Environ()
	Flags   map[string]string // key to value
}

// Loaded is a configuration with where its values came from.
type Loaded struct {
	Config
	from map[string]string // key to "a file", "CAAC_…" or "flag"
}

// Load reads the sources and checks the outcome. The error is of type Mistakes
// and holds every one; the configuration is returned as far as it could be read.
func Load(s Sources) (*Loaded, error) {
	getenv := func(name string) string {
		for _, e := range slices.Backward(s.Environ) {
			if v, ok := strings.CutPrefix(e, name+"="); ok {
				return v
			}
		}
		return ""
	}
	var wrong Mistakes
	merged := koanf.New(".")
	from := map[string]string{}

	add := func(p koanf.Provider, parser koanf.Parser, source func(name string) string) error {
		layer := koanf.New(".")
		if err := layer.Load(p, parser); err != nil {
			return err
		}
		known := map[string]any{}
		for name, value := range layer.All() {
			if _, ok := keyNamed(name); !ok {
				section, isMap := value.(map[string]any)
				if isSection(name) && (value == nil || isMap && len(section) == 0) {
					continue
				}
				wrong = append(wrong, unknown(name, source(name)))
				continue
			}
			if value == nil {
				continue
			}
			known[name] = value
			from[name] = source(name)
		}
		return merged.Load(confmap.Provider(known, "."), nil)
	}

	path := s.File
	if path == "" {
		path = getenv(envPrefix + "CONFIG")
	}
	if path != "" {
		if err := add(file.Provider(path), yaml.Parser(), func(string) string { return path }); err != nil {
			wrong = append(wrong, unreadable(path, err))
		}
	}
	byEnv := map[string]string{}
	for _, k := range keys {
		byEnv[k.env] = k.name
	}
	environment := env.Provider("", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return s.Environ },
		TransformFunc: func(name, value string) (string, any) {
			if name == envPrefix+"CONFIG" {
				return "", nil
			}
			if k, ok := byEnv[name]; ok {
				return k, value
			}
			wrong = append(wrong, unknown(name, "environment"))
			return "", nil
		},
	})
	if err := add(environment, nil, envName); err != nil {
		return nil, err
	}
	flags := map[string]any{}
	for name, value := range s.Flags {
		flags[name] = value
	}
	if err := add(confmap.Provider(flags, ""), nil, func(string) string { return "flag" }); err != nil {
		return nil, err
	}

	mode := Demo
	if text := strings.TrimSpace(fmt.Sprint(merged.Get("mode"))); text == string(Production) {
		mode = Production
	}
	out := &Loaded{Config: Default(mode, stateDir(getenv)), from: from}
	failed := map[string]bool{}
	for _, k := range keys {
		value := merged.Get(k.name)
		if value == nil {
			continue
		}
		if err := k.set(&out.Config, value); err != nil {
			failed[k.name] = true
			wrong = append(wrong, Mistake{Key: k.name, Source: from[k.name], Wrong: err.Error(), Allowed: k.allowed})
		}
	}
	wrong = append(wrong, out.finish(failed)...)
	wrong = append(wrong, out.check(failed)...)
	if len(wrong) > 0 {
		slices.SortStableFunc(wrong, func(a, b Mistake) int { return strings.Compare(a.Key, b.Key) })
		return out, wrong
	}
	return out, nil
}

// finish reads secrets from their files.
func (l *Loaded) finish(failed map[string]bool) (wrong []Mistake) {
	for _, s := range []struct {
		name  string
		value *string
		path  string
	}{
		{"auth.jwt_secret", &l.Auth.JWTSecret, l.Auth.JWTSecretFile},
		{"api_key", &l.APIKey, l.APIKeyFile},
		{"redis.url", &l.Redis.URL, l.Redis.URLFile},
	} {
		fileKey, _ := keyNamed(s.name + "_file")
		if s.path == "" {
			continue
		}
		bad := func(format string, a ...any) {
			failed[s.name] = true
			wrong = append(wrong, Mistake{Key: fileKey.name, Source: l.from[fileKey.name], Wrong: fmt.Sprintf(format, a...), Allowed: fileKey.allowed})
		}
		if *s.value != "" {
			bad("%s is set too", s.name)
			continue
		}
		b, err := os.ReadFile(s.path)
		if err != nil {
			bad("%v", err)
			continue
		}
		*s.value = strings.TrimRight(string(b), "\r\n")
		l.from[s.name] = s.path
		if *s.value == "" {
			bad("%s is empty", s.path)
		}
	}
	return wrong
}

// Mistake is one thing wrong with a configuration.
type Mistake struct {
	Key     string // or the name of an unknown variable
	Source  string // file, variable or "flag"; empty where nothing was set
	Wrong   string
	Allowed string
	Missing bool // nothing is set, and something must be
}

func (m Mistake) String() string {
	s := m.Key
	if m.Source != "" && m.Source != m.Key {
		s += " (" + m.Source + ")"
	}
	if m.Missing {
		return s + ": " + m.Wrong + "; set " + m.Allowed
	}
	return s + ": " + m.Wrong + "; allowed: " + m.Allowed
}

// Mistakes is everything wrong with a configuration.
type Mistakes []Mistake

func (m Mistakes) Error() string {
	head := fmt.Sprintf("the configuration has %d mistakes:", len(m))
	if len(m) == 1 {
		head = "the configuration has a mistake:"
	}
	lines := []string{head}
	for _, one := range m {
		lines = append(lines, "  "+one.String())
	}
	return strings.Join(lines, "\n")
}

func unreadable(path string, err error) Mistake {
	m := Mistake{Key: "config", Source: path, Wrong: err.Error(), Allowed: "a readable YAML file of the keys that check-config lists"}
	if errors.Is(err, fs.ErrNotExist) {
		m.Wrong = "there is no such file"
	}
	return m
}

func unknown(name, source string) Mistake {
	names := make([]string, len(keys))
	for i, k := range keys {
		if names[i] = k.name; source == "environment" {
			names[i] = k.env
		}
	}
	m := Mistake{Key: name, Source: source, Wrong: "there is no such key", Allowed: "the keys that check-config lists"}
	if near := nearest(name, names); near != "" {
		m.Allowed = near + "?"
	}
	return m
}

// nearest is the name that differs in the fewest letters, if they are few.
func nearest(name string, names []string) string {
	best, distance := "", len(name)/3+1
	for _, n := range slices.Sorted(slices.Values(names)) {
		if d := editDistance(name, n); d < distance {
			best, distance = n, d
		}
	}
	return best
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost = 1 + min(last, row[j], row[j+1])
			}
			last, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// Print writes the configuration as YAML, secrets hidden, saying of each value
// that was set where it came from.
func (l *Loaded) Print() string {
	var b strings.Builder
	section := ""
	for _, k := range keys {
		name, indent := k.name, ""
		if s, rest, ok := strings.Cut(k.name, "."); ok {
			if s != section {
				fmt.Fprintf(&b, "%s:\n", s)
			}
			section, name, indent = s, rest, "  "
		} else {
			section = ""
		}
		line := indent + name + ": " + k.show(&l.Config)
		if source := l.from[k.name]; source != "" {
			line = fmt.Sprintf("%-50s # %s", line, source)
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// Names lists every key.
func Names() []string {
	names := map[string]bool{}
	for _, k := range keys {
		names[k.name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Table is every key as rows of Markdown, for the documentation.
func Table() string {
	demo, production := Default(Demo, "…"), Default(Production, "…")
	var b strings.Builder
	b.WriteString("| key | environment | default | what for | allowed |\n|---|---|---|---|---|\n")
	for _, k := range keys {
		value := strings.Trim(k.show(&demo), `"`)
		if p := strings.Trim(k.show(&production), `"`); p != value && k.name != "mode" {
			value += " (demo), " + p
		}
		if value == "[]" {
			value = ""
		}
		if value != "" {
			value = "`" + value + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", k.name, k.env, value, k.help, k.allowed)
	}
	return b.String()
}
