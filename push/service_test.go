package push

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	fcmHost     = "fcm.googleapis.com"
	appleHost   = "web.push.apple.com"
	mozillaHost = "updates.push.services.mozilla.com"
	windowsHost = "wns2-by3p.notify.windows.com"
)

// services stands in for all push services: one TLS server on loopback for
// each host, with a certificate for it.
type services struct {
	t     *testing.T
	cert  tls.Certificate
	roots *x509.CertPool

	mu      sync.Mutex
	servers map[string]*httptest.Server
}

func newServices(t *testing.T) *services {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		DNSNames:              []string{fcmHost, "*.push.apple.com", mozillaHost, "*.notify.windows.com"},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &services{t: t, cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots: roots, servers: map[string]*httptest.Server{}}
}

// serve starts the push service of a host; it ends with the test.
func (s *services) serve(host string, handler http.HandlerFunc) {
	s.t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{Certificates: []tls.Certificate{s.cert}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	s.t.Cleanup(server.Close)
	s.mu.Lock()
	s.servers[host+":443"] = server
	s.mu.Unlock()
}

func (s *services) dial(ctx context.Context, network, address string) (net.Conn, error) {
	s.mu.Lock()
	server := s.servers[address]
	s.mu.Unlock()
	if server == nil {
		return nil, fmt.Errorf("no push service at %s", address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
}

// sender makes a sender that reaches the services; it is closed with the test,
// before them.
func (s *services) sender(o Options) *Sender {
	s.t.Helper()
	if o.Keys == nil {
		o.Keys = newRing(s.t)
	}
	o.Subject = cmp.Or(o.Subject, testSubject)
	o.Dial, o.RootCAs = s.dial, s.roots
	sender, err := New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { sender.Close() })
	return sender
}

// clock is a clock that stands until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Unix(1_800_000_000, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// buffer is a log that may be written and read at once.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
