// Package loopback leads names of the internet to servers of a test: a sender
// that dials through a Net reaches them under their real names over real TLS,
// and reaches nothing else.
package loopback

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Net is a set of names with a certificate authority of its own.
type Net struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	root *x509.Certificate
	pool *x509.CertPool

	mu    sync.Mutex
	hosts map[string]string // name:port → loopback address
}

// New makes an empty Net; what it serves ends with the test.
func New(t testing.TB) *Net {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test root"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	n := &Net{t: t, key: key, root: root, pool: x509.NewCertPool(), hosts: map[string]string{}}
	n.pool.AddCert(root)
	return n
}

// Pool holds the root that signed the certificates of everything served.
func (n *Net) Pool() *x509.CertPool { return n.pool }

// Serve serves https on a loopback port, led to from name's port 443, and
// returns the port's address and its certificate.
func (n *Net) Serve(name string, handler http.Handler) (addr string, cert tls.Certificate) {
	n.t.Helper()
	listener, cert := n.Listen(name)
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(listener)
	}()
	n.t.Cleanup(func() {
		server.Close()
		<-done
	})
	addr = listener.Addr().String()
	n.mu.Lock()
	n.hosts[net.JoinHostPort(name, "443")] = addr
	n.mu.Unlock()
	return addr, cert
}

// Listen listens on a loopback port with a certificate for name, localhost and
// 127.0.0.1. The caller closes the listener.
func (n *Net) Listen(name string) (net.Listener, tls.Certificate) {
	n.t.Helper()
	cert := n.certificate(name)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		n.t.Fatal(err)
	}
	return listener, cert
}

// Dial reaches what is served, under its name; every other address is refused.
func (n *Net) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	to := n.hosts[addr]
	n.mu.Unlock()
	if to == "" {
		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%s is not part of this test", addr)}
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", to)
}

// Client is a client that dials through the Net and trusts its root.
func (n *Net) Client() *http.Client {
	transport := &http.Transport{DialContext: n.Dial, TLSClientConfig: &tls.Config{RootCAs: n.pool}}
	n.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func (n *Net) certificate(name string) tls.Certificate {
	n.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		n.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    n.root.NotBefore,
		NotAfter:     n.root.NotAfter,
		DNSNames:     []string{name, "localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, n.root, &key.PublicKey, n.key)
	if err != nil {
		n.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		n.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// PublicKeyHash is the base64 SHA-256 of a certificate's public key, by which
// Chromium is told to accept it.
func PublicKeyHash(cert tls.Certificate) string {
	sum := sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}
