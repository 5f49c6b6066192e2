package push

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// MaxEndpoint is the longest endpoint, in bytes, that a subscription may have.
const MaxEndpoint = 2048

// guard knows which push services may be called: endpoints come from browsers,
// so that anyone logged in could name any address in the hub's network.
type guard struct {
	exact    []string
	suffixes []string // each with its leading dot
}

// newGuard adds the operator's hosts ("push.host" exactly, ".host" for all
// under it) to the known push services.
func newGuard(extra []string) (*guard, error) {
	g := &guard{
		exact: []string{
			"fcm.googleapis.com",
			"jmt17.google.com", // Chromium builds of Linux distributions
			"updates.push.services.mozilla.com",
		},
		suffixes: []string{appleSuffix, windowsSuffix},
	}
	for _, host := range extra {
		name, under := strings.CutPrefix(host, ".")
		if err := checkLabels(strings.Split(name, ".")); err != nil {
			return nil, fmt.Errorf("push host %q: %w; want a host such as push.your-domain, or .your-domain for all hosts under it", host, err)
		}
		if under {
			g.suffixes = append(g.suffixes, host)
		} else {
			g.exact = append(g.exact, host)
		}
	}
	return g, nil
}

// endpoint parses a subscription's endpoint and refuses any that is not
// exactly a permitted push service's. The error is for people and shows
// nothing but the host.
func (g *guard) endpoint(raw string) (*url.URL, error) {
	if len(raw) > MaxEndpoint {
		return nil, fmt.Errorf("the endpoint has %d bytes; at most %d are allowed", len(raw), MaxEndpoint)
	}
	if !printable(raw) || strings.ContainsAny(raw, `\#`) {
		return nil, errors.New("the endpoint must be an https URL of ASCII characters without spaces, backslashes and a fragment")
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.Host == "" {
		return nil, errors.New("the endpoint is not an https URL")
	}
	if u.Scheme != "https" {
		return nil, errors.New("the endpoint must start with https://")
	}
	if u.User != nil {
		return nil, errors.New("the endpoint must not name a user")
	}
	host := strings.TrimSuffix(u.Host, ":443")
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return nil, errors.New("the endpoint must use port 443")
	}
	if !g.permits(host) {
		return nil, fmt.Errorf("%s is not a push service this hub sends to; allowed are %s", clean(host, 80), g)
	}
	u.Host = host
	return u, nil
}

// permits compares byte by byte: browsers write hosts in lower case, in ASCII
// and without a trailing dot, so anything else only looks alike.
func (g *guard) permits(host string) bool {
	if slices.Contains(g.exact, host) {
		return true
	}
	for _, suffix := range g.suffixes {
		if strings.HasSuffix(host, suffix) && checkLabels(strings.Split(host, ".")) == nil {
			return true
		}
	}
	return false
}

func (g *guard) String() string {
	names := slices.Clone(g.exact)
	for _, suffix := range g.suffixes {
		names = append(names, "*"+suffix)
	}
	return strings.Join(names, ", ")
}

// errAddress is why a dial was refused.
var errAddress = errors.New("not a public address")

// newDialer returns a dialer that reaches public addresses on port 443 only.
// It looks at the very address that is about to be connected to, after name
// resolution, so that a name that resolves otherwise later is caught as well.
func newDialer(resolver *net.Resolver) *net.Dialer {
	return &net.Dialer{
		Timeout:   5 * time.Second,
		KeepAlive: 30 * time.Second,
		Resolver:  resolver,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return errAddress
			}
			if ap.Port() != 443 {
				return fmt.Errorf("port %d: only 443 is allowed", ap.Port())
			}
			return checkAddress(ap.Addr())
		},
	}
}

// checkAddress refuses every address that is not public.
func checkAddress(addr netip.Addr) error {
	// A mapped address connects to the IPv4 address in it; a zone keeps
	// Prefix.Contains from matching.
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() || addr.Is6() && !globalUnicast6.Contains(addr) {
		return fmt.Errorf("%w: %s", errAddress, addr)
	}
	for _, prefix := range nonPublic {
		if prefix.Contains(addr) {
			return fmt.Errorf("%w: %s is in %s", errAddress, addr, prefix)
		}
	}
	return nil
}

// globalUnicast6 is the only part of IPv6 that is assigned for public use.
var globalUnicast6 = netip.MustParsePrefix("2000::/3")

// nonPublic are the special-purpose ranges (the IANA registries of RFC 6890).
var nonPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // carrier NAT
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"), // link local, cloud metadata
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"), // 6to4 relays
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("224.0.0.0/4"),
	netip.MustParsePrefix("240.0.0.0/4"), // and broadcast
	netip.MustParsePrefix("::/128"),
	netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("::ffff:0:0/96"),
	netip.MustParsePrefix("64:ff9b::/96"), // NAT64 leads to any IPv4 address
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), // Teredo and others
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), // 6to4 leads to any IPv4 address
	netip.MustParsePrefix("3fff::/20"),
	netip.MustParsePrefix("5f00::/16"),
	netip.MustParsePrefix("fc00::/7"),
	netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("fec0::/10"),
	netip.MustParsePrefix("ff00::/8"),
}
