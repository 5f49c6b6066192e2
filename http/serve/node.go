package serve

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"caac-hub/config"
	hubhttp "caac-hub/http"
	"caac-hub/hub"
	"caac-hub/hub/notify"
	"caac-hub/push"
	"caac-hub/static"
)

// node is everything of a program that needs its store.
type node struct {
	state   *state
	sender  *push.Sender
	hub     *hub.Hub
	server  *hubhttp.Server
	facts   *facts
	endAuth context.CancelFunc
	keyFile string // where the first API key was just left
}

// openNode opens the state and builds on it. An error that wraps
// notify.ErrUnavailable may pass. code is what the demo asks for.
func openNode(ctx context.Context, o Options, code string) (*node, error) {
	n := &node{endAuth: func() {}}
	if err := n.open(ctx, o, code); err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

func (n *node) open(ctx context.Context, o Options, code string) (err error) {
	c := o.Config
	if n.state, err = openState(ctx, c, o.Log); err != nil {
		return err
	}
	store := n.state.store
	ring, stored, err := vapidKeys(ctx, store)
	if err != nil {
		return err
	}
	receipts, err := ensureSecret(ctx, store, metaReceipt)
	if err != nil {
		return err
	}
	secret, err := tokenSecret(ctx, store, c)
	if err != nil {
		return err
	}
	// Of many nodes none makes a key: nobody would know which of them has it.
	if !onRedis(c) {
		if n.keyFile, err = firstAPIKey(ctx, store, c.DataDir); err != nil {
			return err
		}
	}
	if n.sender, err = newSender(o, ring); err != nil {
		return err
	}
	keys, _, err := store.Meta(ctx, hubhttp.MetaAPIKeys)
	if err != nil && !errors.Is(err, notify.ErrNotFound) {
		return err
	}
	n.facts = &facts{
		store: store, sender: n.sender, log: o.Log, grace: cmp.Or(o.KeyGrace, keyGrace),
		known: map[string][]byte{metaVAPID: stored, metaReceipt: receipts, hubhttp.MetaAPIKeys: keys},
	}
	if c.Auth.JWTSecret == "" && secret != nil {
		n.facts.known[metaJWT] = secret
	}
	authCtx, endAuth := context.WithCancel(context.WithoutCancel(ctx))
	n.endAuth = endAuth
	auth, err := hubhttp.NewAuthenticator(authCtx, hubhttp.TokenOptions{
		Secret:   secret,
		JWKSURL:  c.Auth.JWKSURL,
		JWKSFile: c.Auth.JWKSFile,
		Issuer:   c.Auth.Issuer,
		Audience: c.Auth.Audience,
		Leeway:   c.Auth.Leeway,

		SupportClaim: c.Auth.SupportClaim,
		SupportRole:  c.Auth.SupportRole,
		Log:          o.Log,
	})
	if err != nil {
		return err
	}
	metrics := newMetrics(o.Version)
	n.hub, err = hub.New(hub.Options{
		Store:           store,
		Push:            pusher{n.sender, n.facts},
		Auth:            auth,
		Log:             o.Log,
		Metrics:         metrics,
		Secret:          receipts,
		PublicURL:       c.PublicURL,
		ConversationURL: conversationURL(c),
		Ceiling:         notify.Preview(c.PreviewCeiling),
		PageDuty:        c.PageDuty,
		Bus:             n.state.bus,
		Node:            c.Node,
		DrainSpread:     max(c.DrainSpread, 1),
		Limits: hub.Limits{
			SocketsPerAgent:   c.Limits.SocketsPerAgent,
			SocketsPerAddress: c.Limits.SocketsPerAddress,
			DevicesPerAgent:   c.Limits.DevicesPerAgent,
			LoginsPerDevice:   c.Limits.LoginsPerDevice,
			FramesPerSecond:   c.Limits.FramesPerSecond,
			Queue:             c.Limits.Queue,
			WriteTimeout:      c.Limits.WriteTimeout,
			LoginIdle:         c.Limits.LoginIdle,
		},
	})
	if err != nil {
		return err
	}
	n.server, err = hubhttp.New(hubhttp.Options{
		Hub:       n.hub,
		Auth:      auth,
		Keys:      hubhttp.NewAPIKeys(keyStore{store}),
		Log:       o.Log,
		Mode:      string(c.Mode),
		PublicURL: c.PublicURL,
		MIUIGuide: c.MIUIGuide,
		Origins:   c.Origins,
		Proxies:   c.ProxyNetworks(),
		Limits: hubhttp.Limits{
			Handshakes: c.Limits.HandshakesPerSecond,
			Requests:   c.Limits.RequestsPerAddress,
		},
		Static:        static.FS,
		Version:       o.Version,
		Metrics:       metrics,
		MetricsPublic: c.Metrics.Public,
		SupportText:   c.Auth.SupportText,
		Support:       hubhttp.SupportRole{Claim: c.Auth.SupportClaim, Role: c.Auth.SupportRole},
		Code:          code,
		Secret:        secret,
	})
	if err != nil {
		return err
	}
	if !onRedis(c) {
		// Who reads that the hub runs finds its agents. A shared state takes them
		// once it is ready.
		return n.server.Seed(ctx)
	}
	return nil
}

// close lets go of the state. The hub must have ended, or not have begun.
func (n *node) close() error {
	n.endAuth()
	if n.sender != nil {
		n.sender.Close()
	}
	if n.state == nil {
		return nil
	}
	return n.state.close()
}

func newSender(o Options, ring *push.KeyRing) (*push.Sender, error) {
	var proxy *url.URL
	if text := o.Config.Push.Proxy; text != "" {
		var err error
		if proxy, err = url.Parse(text); err != nil {
			return nil, err
		}
	}
	return push.New(push.Options{
		Keys:       ring,
		Subject:    o.Config.VAPID.Subject,
		Proxy:      proxy,
		ExtraHosts: o.Config.Push.Hosts,
		Log:        o.Log,
		Dial:       o.PushDial,
		RootCAs:    o.PushRootCAs,
	})
}

func newMetrics(version string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "caac_build_info",
		Help:        "Always 1; the labels say which program runs.",
		ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	})
	build.Set(1)
	r.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// conversationURL is where a click leads; the demo has pages of its own.
func conversationURL(c config.Config) string {
	if c.ConversationURL == "" {
		return c.PublicURL + "/agent/{agent}?conversation={conversation}"
	}
	return c.ConversationURL
}
