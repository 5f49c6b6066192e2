package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"caac-hub/hub/redisconn"
	"caac-hub/push"
)

// check reports every value that is not allowed, save those that could not
// even be read, and fills in the defaults that follow from other values.
func (l *Loaded) check(failed map[string]bool) (wrong []Mistake) {
	c := &l.Config
	bad := func(name, format string, a ...any) {
		if k, _ := keyNamed(name); !failed[name] {
			wrong = append(wrong, Mistake{Key: name, Source: l.from[name], Wrong: fmt.Sprintf(format, a...), Allowed: k.allowed})
		}
	}
	oneOf := func(name, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			bad(name, "%q is none of these", value)
		}
	}
	between := func(name string, value, least, most float64) {
		if !(value >= least && value <= most) {
			bad(name, "%v is out of range", value)
		}
	}
	lasting := func(name string, value, least, most time.Duration) {
		if value < least {
			bad(name, "%s is too short", showDuration(value))
		} else if value > most {
			bad(name, "%s is too long", showDuration(value))
		}
	}
	const always = 100 * 365 * 24 * time.Hour

	oneOf("mode", string(c.Mode), string(Demo), string(Production))
	host, port, err := splitListen(c.Listen)
	if err != nil {
		bad("listen", "%v", err)
	} else if c.Mode == Demo && !IsLoopback(host) {
		bad("listen", "%q is reachable from other machines, and demo mode has no passwords", c.Listen)
	}
	if c.DataDir == "" && c.Redis.URL == "" {
		bad("data_dir", "is empty")
	}
	if c.Node != "" && !nodeName.MatchString(c.Node) {
		bad("node", "%.100q is no such name", c.Node)
	}
	if c.Redis.URL != "" {
		name := "redis.url"
		if c.Redis.URLFile != "" {
			name += "_file"
		}
		if err := redisconn.Check(redisconn.Options{URL: c.Redis.URL}); err != nil {
			text, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "redis URL: "), "; allowed")
			bad(name, "%s", text)
		} else if err := redisconn.Check(redisconn.Options{URL: c.Redis.URL, Wait: max(0, min(c.Redis.Wait, 1))}); err != nil {
			bad("redis.wait", "%s", strings.TrimPrefix(err.Error(), "redis wait: "))
		}
	} else if c.Redis.Wait != 0 && !failed["redis.url"] {
		bad("redis.wait", "%d replicas of what? redis.url is empty", c.Redis.Wait)
	}
	if !redisPrefix.MatchString(c.Redis.Prefix) {
		bad("redis.prefix", "%.100q is no such prefix", c.Redis.Prefix)
	}
	between("redis.wait", float64(c.Redis.Wait), 0, 16)
	lasting("redis.wait_timeout", c.Redis.WaitTimeout, 50*time.Millisecond, 10*time.Second)
	oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf("log.format", c.Log.Format, "auto", "text", "json")

	if c.Auth.JWTSecret != "" && len(c.Auth.JWTSecret) < 32 {
		name := "auth.jwt_secret"
		if c.Auth.JWTSecretFile != "" {
			name += "_file"
		}
		bad(name, "the secret has %d bytes (RFC 7518 section 3.2 asks for 32)", len(c.Auth.JWTSecret))
	}
	judges := 0
	for _, v := range []string{c.Auth.JWTSecret, c.Auth.JWKSURL, c.Auth.JWKSFile} {
		if v != "" {
			judges++
		}
	}
	if judges > 1 {
		wrong = append(wrong, Mistake{Key: "auth", Wrong: "more than one judge of agent tokens is set", Allowed: "one of auth.jwt_secret, auth.jwt_secret_file, auth.jwks_url and auth.jwks_file"})
	}
	for name, value := range map[string]string{"auth.jwks_url": c.Auth.JWKSURL, "auth.jwks_file": c.Auth.JWKSFile} {
		if c.Mode == Demo && value != "" {
			bad(name, "demo mode signs its agents' tokens itself")
		}
	}
	if c.Auth.JWKSFile != "" {
		if f, err := os.Open(c.Auth.JWKSFile); err != nil {
			bad("auth.jwks_file", "%v", err)
		} else {
			f.Close()
		}
	}
	if strings.ContainsFunc(c.Auth.SupportRole, unicode.IsSpace) {
		bad("auth.support_role", "%.100q has spaces", c.Auth.SupportRole)
	}
	if c.Auth.SupportClaim == "" && c.Auth.SupportRole != "" {
		bad("auth.support_claim", "is empty, and auth.support_role is not")
	}
	lasting("auth.leeway", c.Auth.Leeway, 0, time.Minute)
	if c.Auth.JWKSURL != "" {
		if _, err := webURL(c.Auth.JWKSURL); err != nil {
			bad("auth.jwks_url", "%v", err)
		}
	}
	for i, o := range c.Origins {
		if c.Origins[i], err = origin(o); err != nil {
			bad("origins", "%v", err)
		}
	}
	for _, p := range c.Proxies {
		if _, err := network(p); err != nil {
			bad("proxies", "%v", err)
		}
	}
	if c.ConversationURL != "" {
		if err := conversationURL(c.ConversationURL); err != nil {
			bad("conversation_url", "%v", err)
		}
	}
	if c.PublicURL != "" {
		if c.PublicURL, err = origin(c.PublicURL); err != nil {
			bad("public_url", "%v", err)
		}
	}
	if _, err := webURL(c.MIUIGuide); err != nil {
		bad("miui_guide", "%v", err)
	}
	oneOf("preview_ceiling", c.PreviewCeiling, "full", "sender", "none")

	if c.Mode == Production {
		need := func(name, example string) {
			if !failed[name] {
				wrong = append(wrong, Mistake{Key: name, Wrong: "production mode needs it", Allowed: example, Missing: true})
			}
		}
		if c.Auth.JWTSecret == "" && c.Auth.JWTSecretFile == "" && c.Auth.JWKSURL == "" && c.Auth.JWKSFile == "" {
			need("auth", "one of auth.jwt_secret_file, e.g. CAAC_AUTH_JWT_SECRET_FILE=/run/secrets/caac-jwt, and auth.jwks_url, e.g. CAAC_AUTH_JWKS_URL=https://login.example.com/.well-known/jwks.json")
		}
		if len(c.Origins) == 0 {
			need("origins", "to the origins of the pages that may connect, e.g. CAAC_ORIGINS=https://caac.example.com")
		}
		if c.ConversationURL == "" {
			need("conversation_url", "to where a click on a notification leads, e.g. CAAC_CONVERSATION_URL=https://caac.example.com/chats/{conversation}")
		}
	}
	if c.PublicURL == "" {
		if c.Mode == Production && len(c.Origins) > 0 {
			c.PublicURL = c.Origins[0]
		} else if c.Mode == Demo && port != "0" {
			c.PublicURL = "http://localhost:" + port
		}
	}
	if l.from["vapid.subject"] == "" && strings.HasPrefix(c.PublicURL, "https://") {
		c.VAPID.Subject = c.PublicURL
	}
	if err := push.CheckSubject(c.VAPID.Subject); err != nil {
		bad("vapid.subject", "%v", err)
	}
	if c.Push.Proxy != "" {
		if u, err := url.Parse(c.Push.Proxy); err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme) {
			bad("push.proxy", "is not such a URL")
		}
	}
	for _, h := range c.Push.Hosts {
		if !hostName.MatchString(strings.TrimPrefix(h, ".")) {
			bad("push.hosts", "%q is not a host name", h)
		}
	}

	lasting("retention.traces", c.Retention.Traces, 24*time.Hour, always)
	if c.Retention.TraceBytes < 16<<20 {
		bad("retention.trace_bytes", "%s is too small", c.Retention.TraceBytes)
	}
	between("limits.sockets_per_agent", float64(c.Limits.SocketsPerAgent), 1, 10_000)
	between("limits.sockets_per_address", float64(c.Limits.SocketsPerAddress), 1, 1_000_000)
	between("limits.devices_per_agent", float64(c.Limits.DevicesPerAgent), 1, 1000)
	between("limits.logins_per_device", float64(c.Limits.LoginsPerDevice), 1, 8)
	between("limits.frames_per_second", c.Limits.FramesPerSecond, 1, 100_000)
	between("limits.queue", float64(c.Limits.Queue), 8, 10_000)
	between("limits.handshakes_per_second", c.Limits.HandshakesPerSecond, 1, 100_000)
	between("limits.requests_per_address", c.Limits.RequestsPerAddress, 1, 100_000)
	lasting("limits.write_timeout", c.Limits.WriteTimeout, time.Second, time.Minute)
	lasting("limits.login_idle", c.Limits.LoginIdle, 24*time.Hour, always)
	lasting("drain_delay", c.DrainDelay, 0, time.Minute)
	lasting("drain_timeout", c.DrainTimeout, time.Second, time.Minute)
	lasting("drain_spread", c.DrainSpread, 0, time.Minute)
	return wrong
}

var (
	nodeName    = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	redisPrefix = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)
)

var hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

func splitListen(listen string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(listen)
	if err != nil {
		return "", "", fmt.Errorf("%q is not host:port", listen)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "", "", fmt.Errorf("%q is not a port from 0 to 65535", port)
	}
	return host, port, nil
}

// IsLoopback reports whether only this machine reaches the host.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// network reads a network, or an address as the network of it alone.
func network(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is neither a network nor an address", text)
	}
	return p.Masked(), nil
}

// ProxyNetworks is Proxies, read.
func (c *Config) ProxyNetworks() []netip.Prefix {
	var out []netip.Prefix
	for _, text := range c.Proxies {
		if p, err := network(text); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// webURL is an absolute https URL, or http on this machine.
func webURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return nil, fmt.Errorf("%q is not an absolute URL", text)
	case u.User != nil:
		return nil, fmt.Errorf("%q carries a user name", u.Redacted())
	case u.Scheme == "https", u.Scheme == "http" && IsLoopback(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("%q is not https", text)
}

// origin is the URL's origin as browsers write it; the URL must hold nothing else.
func origin(text string) (string, error) {
	u, err := webURL(text)
	if err != nil {
		return text, err
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return text, fmt.Errorf("%q has more than an origin", text)
	}
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	return u.Scheme + "://" + host, nil
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

func conversationURL(text string) error {
	for _, p := range placeholder.FindAllString(text, -1) {
		if p != "{conversation}" && p != "{agent}" {
			return fmt.Errorf("%s is replaced by nothing", p)
		}
	}
	if !strings.Contains(text, "{conversation}") {
		return fmt.Errorf("%q has no {conversation}", text)
	}
	u, err := webURL(placeholder.ReplaceAllString(text, "x"))
	if err != nil {
		return err
	}
	// An id must not choose the host that a click leads to.
	origin := u.Scheme + "://" + u.Host
	if len(text) < len(origin) || !strings.EqualFold(text[:len(origin)], origin) {
		return fmt.Errorf("%q has a placeholder in its host", text)
	}
	return nil
}
