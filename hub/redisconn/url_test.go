package redisconn

import (
	"strings"
	"testing"
)

func TestURLNamesHowRedisIsMadeAvailable(t *testing.T) {
	cases := []struct {
		url  string
		want target
		tls  bool
	}{
		{"redis://h", target{addrs: []string{"h:6379"}}, false},
		{"redis://:p%40ss@h:1/3", target{addrs: []string{"h:1"}, password: "p@ss", db: 3}, false},
		{"rediss://u:p@[::1]:7", target{addrs: []string{"[::1]:7"}, user: "u", password: "p"}, true},
		{"redis://su:sp@s1:26379/2?master_name=m&addr=s2:26379&username=u&password=p",
			target{mode: sentinel, addrs: []string{"s1:26379", "s2:26379"}, master: "m", sentinelUser: "su", sentinelPassword: "sp", user: "u", password: "p", db: 2}, false},
		{"rediss://:p@n1:7000?addr=n2:7001&addr=n3:7002&skip_verify=true",
			target{mode: cluster, addrs: []string{"n1:7000", "n2:7001", "n3:7002"}, password: "p"}, true},
	}
	for _, c := range cases {
		got, err := parseURL(c.url)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		if (got.tls != nil) != c.tls {
			t.Errorf("%s: TLS %v", c.url, got.tls)
		}
		if c.tls && got.tls.InsecureSkipVerify != strings.Contains(c.url, "skip_verify") {
			t.Errorf("%s: certificates are trusted blindly: %v", c.url, got.tls.InsecureSkipVerify)
		}
		got.tls = nil
		if g, w := *got, c.want; g.mode != w.mode || strings.Join(g.addrs, " ") != strings.Join(w.addrs, " ") || g.user != w.user || g.password != w.password ||
			g.sentinelUser != w.sentinelUser || g.sentinelPassword != w.sentinelPassword || g.master != w.master || g.db != w.db {
			t.Errorf("%s: %+v, want %+v", c.url, g, w)
		}
	}
}

func TestWrongURLsSayWhatIsAllowedAndNotThePassword(t *testing.T) {
	for url, says := range map[string]string{
		"":                                              "missing",
		"secret@h:1":                                    "allowed: redis://host:port/db",
		"http://:secret@h":                              `scheme "http"`,
		"redis://:sec%ret@h":                            "%XX",
		"redis://:secret@h:port":                        "can't be read",
		"redis://:secret@":                              "host is missing",
		"redis://:secret@h/one":                         `database "one"`,
		"redis://:secret@h/-1":                          "database",
		"redis://:secret@h?pool_size=3":                 `parameter "pool_size"; allowed: addr`,
		"redis://h?password=secret":                     "for Sentinel",
		"redis://:secret@h?addr=x":                      `addr "x"; allowed: host:port`,
		"redis://:secret@h/1?addr=x:1":                  "Cluster has only 0",
		"redis://:secret@h?master_name=":                "master_name is empty",
		"redis://:secret@h?skip_verify=true":            "with rediss://",
		"redis://:secret@h?master_name=a&master_name=b": "2 times",
	} {
		err := Check(Options{URL: url})
		if err == nil {
			t.Errorf("%s: no error", url)
			continue
		}
		if !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "sec%ret") {
			t.Errorf("%s: %v, want %q and no password", url, err, says)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for says, o := range map[string]Options{
		"prefix":            {URL: "redis://h", Prefix: "a{b}"},
		"replicas; allowed": {URL: "redis://h", Wait: -1},
		"not possible with": {URL: "redis://h?addr=h:2", Wait: 1},
		"timeout: 1h0m0s":   {URL: "redis://h", Wait: 1, WaitTimeout: 3600e9},
	} {
		if err := Check(o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", o, err, says)
		}
	}
	for in, want := range map[string]string{"": "caac:", "a": "a:", "a:": "a:", "a.b-c:d": "a.b-c:d:"} {
		if got, err := checkPrefix(in); err != nil || got != want {
			t.Errorf("prefix %q: %q, %v", in, got, err)
		}
	}
}
