//go:build redis

package deploy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// nginxConf writes nginx.conf for this machine into a folder of the test: it
// listens on a loopback port, leads to the nodes and keeps all files there.
func nginxConf(t *testing.T, listen string, nodes ...string) (file string, trusted *x509.CertPool) {
	t.Helper()
	dir := t.TempDir()
	trusted = certificate(t, dir)
	conf := read(t, "nginx.conf")
	replace := func(pattern, with string) {
		t.Helper()
		re := regexp.MustCompile(pattern)
		if !re.MatchString(conf) {
			t.Fatalf("nginx.conf has no %s", pattern)
		}
		conf = re.ReplaceAllString(conf, with)
	}
	replace(`/etc/nginx/`, dir+"/")
	replace(`/tmp/(nginx\.pid|body|proxy|fastcgi|uwsgi|scgi)`, dir+"/$1")
	replace(`/dev/stdout`, dir+"/access.log")
	replace(`listen 8443`, "listen "+listen)
	replace(`worker_processes auto`, "worker_processes 1")
	for i, ip := range []string{"11", "12", "13"} {
		replace(`172\.30\.8\.`+ip+`:8080`, nodes[i])
	}
	file = filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, trusted
}

// certificate leaves a new certificate for this machine in a folder.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	is := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, is, is, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(c)
	return pool
}

// nginxBinary is where Debian puts it, which is not on everyone's PATH.
func nginxBinary(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("nginx"); err == nil {
		return path
	}
	if _, err := os.Stat("/usr/sbin/nginx"); err != nil {
		t.Fatal("nginx is not installed: make deps")
	}
	return "/usr/sbin/nginx"
}

func TestNginxTakesItsConfiguration(t *testing.T) {
	file, _ := nginxConf(t, "127.0.0.1:18443", "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3")
	out, err := exec.CommandContext(t.Context(), nginxBinary(t), "-t", "-q", "-p", filepath.Dir(file), "-c", file).CombinedOutput()
	if err != nil || strings.Contains(string(out), "[warn]") {
		t.Errorf("%v\n%s", err, out)
	}
}
