package config

import (
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// key is one configurable value of a Config.
type key struct {
	name    string
	env     string
	help    string
	allowed string
	secret  string // "", "all" or "userinfo"
	index   []int
}

func (k key) field(c *Config) reflect.Value { return reflect.ValueOf(c).Elem().FieldByIndex(k.index) }

// keys lists every key in the order of the struct.
var keys = collect(reflect.TypeFor[Config](), nil)

func collect(t reflect.Type, index []int) []key {
	var out []key
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(append([]int{}, index...), i)
		name := f.Tag.Get("key")
		if name == "" {
			out = append(out, collect(f.Type, at)...)
			continue
		}
		out = append(out, key{
			name:    name,
			env:     envName(name),
			help:    f.Tag.Get("help"),
			allowed: f.Tag.Get("allowed"),
			secret:  f.Tag.Get("secret"),
			index:   at,
		})
	}
	return out
}

const envPrefix = "CAAC_"

func envName(name string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(name, ".", "_"))
}

func keyNamed(name string) (key, bool) {
	for _, k := range keys {
		if k.name == name {
			return k, true
		}
	}
	return key{}, false
}

func isSection(name string) bool {
	for _, k := range keys {
		if strings.HasPrefix(k.name, name+".") {
			return true
		}
	}
	return false
}

// set gives the field a value as YAML or as text has it.
func (k key) set(c *Config, value any) error {
	f := k.field(c)
	switch f.Interface().(type) {
	case []string:
		list, err := toList(value)
		if err != nil {
			return err
		}
		f.Set(reflect.ValueOf(list))
		return nil
	}
	if _, isList := value.([]any); isList {
		return fmt.Errorf("is a list")
	}
	text := strings.TrimSpace(fmt.Sprint(value))
	switch f.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration", text)
		}
		f.SetInt(int64(d))
	case Bytes:
		n, err := parseBytes(text)
		if err != nil {
			return err
		}
		f.SetInt(int64(n))
	case bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		f.SetBool(b)
	case int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		f.SetInt(int64(n))
	case float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
		f.SetFloat(n)
	default:
		f.SetString(text)
	}
	return nil
}

// show is the field's value as it may be printed.
func (k key) show(c *Config) string {
	switch v := k.field(c).Interface().(type) {
	case []string:
		quoted := make([]string, len(v))
		for i, s := range v {
			quoted[i] = strconv.Quote(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case time.Duration:
		return showDuration(v)
	case Bytes:
		return v.String()
	case bool, int, float64:
		return fmt.Sprint(v)
	default:
		s := fmt.Sprint(v)
		switch {
		case s == "":
		case k.secret == "all":
			return fmt.Sprintf(`"(hidden, %d bytes)"`, len(s))
		case k.secret == "userinfo":
			s = withoutSecrets(s)
		case !strings.ContainsAny(s, " \t\n:#{}[]\"'&*!|>%@`,") || strings.HasPrefix(s, "/"):
			return s
		}
		return strconv.Quote(s)
	}
}

// withoutSecrets is the URL with user, password and query values that are
// passwords hidden; all of it is where it can't be read.
func withoutSecrets(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" {
		return fmt.Sprintf("(hidden, %d bytes)", len(text))
	}
	if u.User != nil {
		u.User = url.User("hidden")
	}
	if q := u.Query(); len(q) > 0 {
		for name := range q {
			if strings.Contains(strings.ToLower(name), "password") {
				q.Set(name, "hidden")
			}
		}
		u.RawQuery = q.Encode()
	}
	return u.String()
}

func showDuration(d time.Duration) string {
	s := d.String()
	s = strings.TrimSuffix(s, "m0s") + map[bool]string{true: "m"}[strings.HasSuffix(s, "m0s")]
	return strings.TrimSuffix(s, "h0m") + map[bool]string{true: "h"}[strings.HasSuffix(s, "h0m")]
}

func toList(value any) ([]string, error) {
	var out []string
	switch v := value.(type) {
	case []any:
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, fmt.Errorf("%v in the list is not text", e)
			}
			out = append(out, strings.TrimSpace(s))
		}
	case string:
		for s := range strings.SplitSeq(v, ",") {
			if s = strings.TrimSpace(s); s != "" {
				out = append(out, s)
			}
		}
	default:
		return nil, fmt.Errorf("%v is not a list", value)
	}
	return out, nil
}

var units = []struct {
	name string
	size Bytes
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

func parseBytes(text string) (Bytes, error) {
	number, size := text, Bytes(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			number, size = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n < 0 || n > 1e15 {
		return 0, fmt.Errorf("%q is not a size", text)
	}
	return Bytes(n * float64(size)), nil
}

func (b Bytes) String() string {
	for _, u := range units[:3] {
		if b >= u.size && b%u.size == 0 {
			return fmt.Sprintf("%d%s", b/u.size, u.name)
		}
	}
	return strconv.FormatInt(int64(b), 10)
}
