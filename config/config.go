// Package config is the one place that reads the configuration file, the
// environment and the configuration's flags, weak to strong, and checks what
// they say. Everybody else is handed the finished struct.
package config

import (
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Mode is what the program is run for.
type Mode string

const (
	Demo       Mode = "demo"       // trying it on one machine: demo login, loopback only
	Production Mode = "production" // agents prove who they are; nothing has a guessable default
)

// Bytes is a size; written as a number with kB, MB, GB, KiB, MiB or GiB.
type Bytes int64

// Config is everything that can be configured. The tags name the key, say what
// it is for and what is allowed; the values stand in Default.
type Config struct {
	Mode      Mode   `key:"mode" help:"demo for trying it, production for agents at work" allowed:"demo or production"`
	Listen    string `key:"listen" help:"where it listens; localhost means both loopback addresses" allowed:"host:port, e.g. localhost:8080; in demo mode a loopback address or localhost"`
	PublicURL string `key:"public_url" help:"origin browsers reach the hub at; default in demo mode http://localhost with the port, in production the first origin" allowed:"https://host[:port] without a path; http:// for localhost only"`
	DataDir   string `key:"data_dir" help:"folder of everything that must outlive the program; default under $XDG_STATE_HOME or ~/.local/state, on macOS ~/Library/Application Support" allowed:"an absolute path, or one relative to the working directory"`

	Node string `key:"node" help:"what this node is called in logs, where redis.url is set; default the host name" allowed:"1 to 64 letters, digits, dots, hyphens and underscores"`

	Redis struct {
		URL         string        `key:"redis.url" secret:"userinfo" help:"Redis that holds the state of all nodes of a deployment; empty: this is the only one, and its state is in data_dir" allowed:"redis://host:port/db, redis://sentinel:port/db?master_name=NAME&addr=sentinel:port for Sentinel, redis://node:port?addr=node:port for Cluster; rediss:// for TLS; not together with redis.url_file"`
		URLFile     string        `key:"redis.url_file" help:"file holding that URL" allowed:"a readable file"`
		Prefix      string        `key:"redis.prefix" help:"what every key and channel in Redis starts with; one for each deployment" allowed:"1 to 32 letters, digits, hyphens and underscores"`
		Wait        int           `key:"redis.wait" help:"replicas that must have a write before it is answered (WAIT); 0: none" allowed:"0 to 16; 0 for a Redis Cluster and where redis.url is empty"`
		WaitTimeout time.Duration `key:"redis.wait_timeout" help:"how long to wait for them; then the answer is 503, though the write may have happened" allowed:"a duration from 50ms to 10s"`
	}

	Log struct {
		Level  string `key:"log.level" help:"least level that is logged" allowed:"debug, info, warn or error"`
		Format string `key:"log.format" help:"auto is text on a terminal and json otherwise" allowed:"auto, text or json"`
	}

	Auth struct {
		JWTSecret     string        `key:"auth.jwt_secret" secret:"all" help:"HS256 secret agent tokens are signed with; demo mode makes one" allowed:"at least 32 bytes; not together with auth.jwt_secret_file"`
		JWTSecretFile string        `key:"auth.jwt_secret_file" help:"file holding that secret" allowed:"a readable file with at least 32 bytes; a newline at its end is not part of the secret"`
		JWKSURL       string        `key:"auth.jwks_url" help:"JWKS with the RS256 or ES256 keys agent tokens are signed with" allowed:"an https:// URL; http:// for localhost only"`
		JWKSFile      string        `key:"auth.jwks_file" help:"file with such a JWKS, read at start" allowed:"a readable file; not together with auth.jwks_url"`
		Leeway        time.Duration `key:"auth.leeway" help:"how far the clocks of hub and token maker may differ" allowed:"a duration from 0s to 1m"`
		Issuer        string        `key:"auth.issuer" help:"the iss agent tokens must carry; empty: any" allowed:"text"`
		Audience      string        `key:"auth.audience" help:"the aud agent tokens must carry; empty: any" allowed:"text"`
		SupportRole   string        `key:"auth.support_role" help:"role that lets an agent token see what happened to everybody's messages; empty: no token" allowed:"text without spaces"`
		SupportClaim  string        `key:"auth.support_claim" help:"claim of agent tokens that names roles" allowed:"a claim whose value is a list of texts, or words separated by spaces as in scope"`
		SupportText   bool          `key:"auth.support_text" help:"that role also sees the messages' text, while it is kept; default true in demo mode" allowed:"true or false"`
	}

	Origins         []string `key:"origins" help:"origins of the pages that may connect; in demo mode the hub's own is always one" allowed:"a list of https://host[:port] without a path; http:// for localhost only"`
	Proxies         []string `key:"proxies" help:"networks of the reverse proxies whose X-Forwarded-For is believed" allowed:"a list of networks or addresses, e.g. 10.0.0.0/8"`
	ConversationURL string   `key:"conversation_url" help:"where a click on a notification leads; demo mode has its own page" allowed:"an absolute https:// URL with {conversation} and, if wanted, {agent}; http:// for localhost only"`
	PreviewCeiling  string   `key:"preview_ceiling" help:"the most a notification may show, whatever an agent prefers" allowed:"full (name and text), sender (name only) or none"`
	PageDuty        bool     `key:"page_duty" help:"agents may set their own duty from the page; default true in demo mode" allowed:"true or false"`
	MIUIGuide       string   `key:"miui_guide" help:"where the agents' app of demo mode leads to for the settings of MIUI phones" allowed:"an absolute https:// URL; http:// for localhost only"`

	VAPID struct {
		Subject string `key:"vapid.subject" help:"contact the push services are told (RFC 8292); default an https public_url" allowed:"mailto: or https: with a public host name"`
	}
	Push struct {
		Proxy string   `key:"push.proxy" secret:"userinfo" help:"proxy for sending pushes; the environment's is never used" allowed:"an http://, https:// or socks5:// URL with a host"`
		Hosts []string `key:"push.hosts" help:"push services allowed beside the well-known ones" allowed:"a list of host names; one that starts with a dot allows every host below it"`
	}

	Retention struct {
		Traces     time.Duration `key:"retention.traces" help:"how long messages and their traces are kept" allowed:"a duration of at least 24h, e.g. 168h"`
		TraceBytes Bytes         `key:"retention.trace_bytes" help:"how large the database may grow before the oldest traces go; with redis.url the memory of all masters" allowed:"a size of at least 16MiB, e.g. 2GiB"`
	}

	Limits struct {
		SocketsPerAgent     int           `key:"limits.sockets_per_agent" help:"open pages of one agent" allowed:"1 to 10000"`
		SocketsPerAddress   int           `key:"limits.sockets_per_address" help:"open pages from one network address" allowed:"1 to 1000000"`
		DevicesPerAgent     int           `key:"limits.devices_per_agent" help:"devices one agent is logged in on" allowed:"1 to 1000"`
		LoginsPerDevice     int           `key:"limits.logins_per_device" help:"agents logged in on one device; a push carries a badge for at most 8" allowed:"1 to 8"`
		FramesPerSecond     float64       `key:"limits.frames_per_second" help:"frames one page may send, with a burst of three times that" allowed:"1 to 100000"`
		Queue               int           `key:"limits.queue" help:"frames that may wait for one page" allowed:"8 to 10000"`
		WriteTimeout        time.Duration `key:"limits.write_timeout" help:"how long a page may take to receive a frame" allowed:"a duration from 1s to 1m"`
		HandshakesPerSecond float64       `key:"limits.handshakes_per_second" help:"sockets opened per second, with a burst of twice that; one network address gets half" allowed:"1 to 100000"`
		RequestsPerAddress  float64       `key:"limits.requests_per_address" help:"requests of pages per second from one network address, with a burst of four times that" allowed:"1 to 100000"`
		LoginIdle           time.Duration `key:"limits.login_idle" help:"a login without a sign of life for this long ends" allowed:"a duration of at least 24h"`
	}

	Metrics struct {
		Public bool `key:"metrics.public" help:"/metrics answers without an API key; default true in demo mode" allowed:"true or false"`
	}
	DrainDelay   time.Duration `key:"drain_delay" help:"how long a node that is told to end goes on serving while /readyz fails, for a load balancer that asks it" allowed:"a duration from 0s to 1m"`
	DrainTimeout time.Duration `key:"drain_timeout" help:"how long requests get to finish when the program ends" allowed:"a duration from 1s to 1m"`
	DrainSpread  time.Duration `key:"drain_spread" help:"over how long a node that ends sends its pages to the others" allowed:"a duration from 0s to 1m"`

	APIKey     string `key:"api_key" secret:"all" help:"key the commands show a running hub; default the first key in the data folder" allowed:"an API key; not together with api_key_file"`
	APIKeyFile string `key:"api_key_file" help:"file holding that key" allowed:"a readable file"`
}

// Default is the configuration of a mode when nothing is configured. stateDir
// is the folder programs of this user keep their state in.
func Default(mode Mode, stateDir string) Config {
	var c Config
	c.Mode = mode
	c.Listen = "localhost:8080"
	c.DataDir = filepath.Join(stateDir, "caac-hub")
	c.Redis.Prefix = "caac"
	c.Redis.WaitTimeout = time.Second
	c.Log.Level = "info"
	c.Log.Format = "auto"
	c.Auth.Leeway = 30 * time.Second
	c.Auth.SupportRole = "support"
	c.Auth.SupportClaim = "roles"
	c.Auth.SupportText = mode == Demo
	c.PreviewCeiling = "full"
	c.PageDuty = mode == Demo
	c.MIUIGuide = "https://events.whoscall.com/whoscall_xiaomi_tutorial_zh/index2.html"
	c.VAPID.Subject = "mailto:operator@example.com"
	c.Retention.Traces = 7 * 24 * time.Hour
	c.Retention.TraceBytes = 2 << 30
	c.Limits.SocketsPerAgent = 50
	c.Limits.SocketsPerAddress = 2000
	c.Limits.DevicesPerAgent = 20
	c.Limits.LoginsPerDevice = 8
	c.Limits.FramesPerSecond = 20
	c.Limits.Queue = 64
	c.Limits.HandshakesPerSecond = 500
	c.Limits.RequestsPerAddress = 100
	c.Limits.WriteTimeout = 5 * time.Second
	c.Limits.LoginIdle = 30 * 24 * time.Hour
	c.Metrics.Public = mode == Demo
	c.DrainTimeout = 10 * time.Second
	c.DrainSpread = 5 * time.Second
	return c
}

// stateDir is where programs of this user keep their state: $XDG_STATE_HOME,
// else ~/.local/state, on macOS ~/Library/Application Support.
func stateDir(getenv func(string) string) string {
	home := getenv("HOME")
	switch {
	case runtime.GOOS == "darwin" && home != "":
		return filepath.Join(home, "Library", "Application Support")
	case runtime.GOOS == "windows" && getenv("LOCALAPPDATA") != "":
		return getenv("LOCALAPPDATA")
	case filepath.IsAbs(getenv("XDG_STATE_HOME")):
		return getenv("XDG_STATE_HOME")
	case home != "":
		return filepath.Join(home, ".local", "state")
	}
	return os.TempDir()
}
