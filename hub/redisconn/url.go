package redisconn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// mode is how a Redis is made available.
type mode int

const (
	standalone mode = iota
	sentinel
	cluster
)

// target is what a URL names. There are three forms, each with redis:// or, for
// TLS, rediss://; a port that is left out is 6379.
//
//	redis://[user:password@]host:port[/db]
//	    one server
//	redis://[user:password@]sentinel:port[/db]?master_name=NAME[&addr=sentinel:port …][&username=U&password=P]
//	    the master that the Sentinels know as NAME. The credentials in front of
//	    the @ are the Sentinels', username and password the server's.
//	redis://[user:password@]node:port?addr=node:port[&addr=node:port …]
//	    a Redis Cluster; two nodes or more are named, one of which must answer
//
// With rediss://, skip_verify=true trusts any certificate.
type target struct {
	mode                           mode
	addrs                          []string
	user, password                 string
	sentinelUser, sentinelPassword string
	master                         string
	db                             int
	tls                            *tls.Config
}

const urlForms = "allowed: redis://host:port/db, redis://sentinel:port/db?master_name=NAME&addr=sentinel:port for Sentinel, redis://node:port?addr=node:port for Cluster; rediss:// for TLS"

// parseURL never repeats the URL in its errors: it may hold a password.
func parseURL(raw string) (*target, error) {
	if raw == "" {
		return nil, errors.New("redis URL: it is missing; " + urlForms)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("redis URL: it can't be read (special characters in a password are written as %XX); " + urlForms)
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" {
		return nil, fmt.Errorf("redis URL: scheme %q; %s", u.Scheme, urlForms)
	}
	if u.Host == "" || u.Hostname() == "" {
		return nil, errors.New("redis URL: the host is missing; " + urlForms)
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("redis URL: what follows the ? can't be read; " + urlForms)
	}
	t := &target{}
	for name, values := range q {
		if !slices.Contains([]string{"addr", "master_name", "username", "password", "skip_verify"}, name) {
			return nil, fmt.Errorf("redis URL: parameter %q; allowed: addr, master_name, username, password, skip_verify", name)
		}
		if name != "addr" && len(values) != 1 {
			return nil, fmt.Errorf("redis URL: parameter %q stands there %d times; once is allowed", name, len(values))
		}
	}
	port := u.Port()
	if port == "" {
		port = "6379"
	}
	t.addrs = []string{net.JoinHostPort(u.Hostname(), port)}
	for _, addr := range q["addr"] {
		host, port, err := net.SplitHostPort(addr)
		if n, e := strconv.Atoi(port); err != nil || host == "" || e != nil || n < 1 || n > 65535 {
			return nil, fmt.Errorf("redis URL: addr %q; allowed: host:port", addr)
		}
		t.addrs = append(t.addrs, net.JoinHostPort(host, port))
	}
	if path := strings.Trim(u.Path, "/"); path != "" {
		if t.db, err = strconv.Atoi(path); err != nil || t.db < 0 {
			return nil, fmt.Errorf("redis URL: database %q; allowed: a number", path)
		}
	}
	user := u.User.Username()
	password, _ := u.User.Password()
	switch {
	case q.Has("master_name"):
		if t.master = q.Get("master_name"); t.master == "" {
			return nil, errors.New("redis URL: master_name is empty; allowed: the name that the Sentinels know the master by")
		}
		t.mode, t.sentinelUser, t.sentinelPassword = sentinel, user, password
		t.user, t.password = q.Get("username"), q.Get("password")
	case q.Has("username") || q.Has("password"):
		return nil, errors.New("redis URL: username and password are parameters for Sentinel (with master_name) only; otherwise they stand in front of the @")
	case len(t.addrs) > 1:
		if t.db != 0 {
			return nil, fmt.Errorf("redis URL: database %d; a Redis Cluster has only 0", t.db)
		}
		t.mode, t.user, t.password = cluster, user, password
	default:
		t.user, t.password = user, password
	}
	if u.Scheme == "rediss" {
		t.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if v := q.Get("skip_verify"); q.Has("skip_verify") {
		skip, err := strconv.ParseBool(v)
		if err != nil || t.tls == nil {
			return nil, fmt.Errorf("redis URL: skip_verify %q; allowed: true or false, with rediss://", v)
		}
		t.tls.InsecureSkipVerify = skip
	}
	return t, nil
}
