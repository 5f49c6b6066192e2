package push

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"caac-hub/hub/notify"
)

func TestEndpointsOfPushServicesArePermitted(t *testing.T) {
	g, err := newGuard([]string{"push.your-domain.net", ".push.other-domain.net"})
	if err != nil {
		t.Fatal(err)
	}
	for endpoint, host := range map[string]string{
		"https://fcm.googleapis.com/fcm/send/abc:APA91b-_":         "fcm.googleapis.com",
		"https://fcm.googleapis.com:443/wp/abc":                    "fcm.googleapis.com",
		"https://jmt17.google.com/fcm/send/abc":                    "jmt17.google.com",
		"https://updates.push.services.mozilla.com/wpush/v2/gAAAA": "updates.push.services.mozilla.com",
		"https://web.push.apple.com/QGuQ":                          "web.push.apple.com",
		"https://a.b.push.apple.com/QGuQ":                          "a.b.push.apple.com",
		"https://wns2-by3p.notify.windows.com/w/?token=BQYAAA%3d":  "wns2-by3p.notify.windows.com",
		"https://push.your-domain.net/x@y":                         "push.your-domain.net",
		"https://a.push.other-domain.net/":                         "a.push.other-domain.net",
	} {
		u, err := g.endpoint(endpoint)
		if err != nil {
			t.Errorf("%s: %v", endpoint, err)
		} else if u.Host != host {
			t.Errorf("%s goes to %s", endpoint, u.Host)
		}
	}
}

var badEndpoints = []string{
	"",
	"fcm.googleapis.com/x",
	"//fcm.googleapis.com/x",
	"https:fcm.googleapis.com/x",
	"https:///fcm.googleapis.com/x",
	"http://fcm.googleapis.com/x",
	"wss://fcm.googleapis.com/x",
	"file:///etc/passwd",
	"https://fcm.googleapis.com:8443/x",
	"https://fcm.googleapis.com:80/x",
	"https://fcm.googleapis.com:0443/x",
	"https://fcm.googleapis.com:/x",
	"https://fcm.googleapis.com:443:443/x",
	"https://evil.example/x.google.com/",
	"https://evil.example/fcm.googleapis.com",
	"https://evil.example/?https://fcm.googleapis.com",
	"https://fcm.googleapis.com.evil.example/x",
	"https://fcm.googleapis.com@evil.example/x",
	"https://fcm.googleapis.com:443@evil.example/x",
	"https://user@fcm.googleapis.com/x",
	"https://user:pass@fcm.googleapis.com/x",
	"https://@fcm.googleapis.com/x",
	`https://evil.example\@fcm.googleapis.com/x`,
	`https://fcm.googleapis.com\evil.example/x`,
	"https://xfcm.googleapis.com/x",
	"https://x.fcm.googleapis.com/x",
	"https://fcm-googleapis.com/x",
	"https://FCM.googleapis.com/x",
	"https://fcm.googleapis.com./x",
	"https://fcm.googleapis.com%2eevil.example/x",
	"https://%66cm.googleapis.com/x",
	"https://fcm.googleapis.com%00.evil.example/x",
	"https://fcm。googleapis。com/x",
	"https://ｆcm.googleapis.com/x",
	"https://fсm.googleapis.com/x", // a Cyrillic letter
	"https://xn--fm-nlc.googleapis.com/x",
	"https://fcm.googleapis.com/x#fragment",
	"https://fcm.googleapis.com/x#",
	"https://fcm.googleapis.com#@evil.example/x",
	"https://fcm.googleapis.com/a b",
	" https://fcm.googleapis.com/x",
	"https://fcm.googleapis.com/x\n",
	"https://fcm.googleapis.com\t/x",
	"https://push.apple.com/x",
	"https://.push.apple.com/x",
	"https://a..push.apple.com/x",
	"https://-.push.apple.com/x",
	"https://evilpush.apple.com/x",
	"https://web.push.apple.com.evil.example/x",
	"https://web.push.apple.com./x",
	"https://WEB.push.apple.com/x",
	"https://we_b.push.apple.com/x",
	"https://evil.example/.push.apple.com",
	"https://evil.example%2f.push.apple.com/x",
	"https://notify.windows.com/x",
	"https://xnotify.windows.com/x",
	"https://127.0.0.1/x",
	"https://127.0.0.1.push.apple.com:444/x",
	"https://[::1]/x",
	"https://[::1]:443/x",
	"https://[::ffff:127.0.0.1]/x",
	"https://[64:ff9b::7f00:1]/x",
	"https://[fe80::1%25eth0]/x",
	"https://2130706433/x",
	"https://0x7f.1/x",
	"https://localhost/x",
	"https://169.254.169.254/latest/meta-data",
	"https://fcm.googleapis.com/" + strings.Repeat("x", MaxEndpoint),
}

func TestLookAlikeEndpointsAreRefusedAtSaveAndAtSend(t *testing.T) {
	s, err := New(Options{
		Subject: testSubject,
		Keys:    newRing(t),
		Dial: func(context.Context, string, string) (net.Conn, error) {
			t.Error("dialled")
			return nil, errors.New("no network here")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := newBrowser(t)
	for _, endpoint := range badEndpoints {
		sub := b.subscription(endpoint)
		if err := s.Check(t.Context(), sub); err == nil {
			t.Errorf("%q may be saved", endpoint)
		}
		if a := s.Send(t.Context(), sub, notify.PushMessage{TTL: time.Minute}); a.Class != notify.AnswerRefused || a.Detail == "" {
			t.Errorf("%q is sent to: %+v", endpoint, a)
		}
	}
}

func TestExtraHostsMustBeNames(t *testing.T) {
	for _, host := range []string{"", ".", "com", ".com", "10.0.0.1", ".0.0.1", "[::1]", "*.your-domain.net", "https://your-domain.net", "your-domain.net:443", "Your-domain.net", "your-domain.net."} {
		if _, err := newGuard([]string{host}); err == nil {
			t.Errorf("%q is taken", host)
		}
	}
}

func TestUndecryptableKeysAreRefused(t *testing.T) {
	s, err := New(Options{Subject: testSubject, Keys: newRing(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	good := newBrowser(t).subscription("https://fcm.googleapis.com/x")
	if err := s.Check(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	point, err := base64.RawURLEncoding.DecodeString(good.P256dh)
	if err != nil {
		t.Fatal(err)
	}
	padded := good
	padded.P256dh, padded.Auth = base64.URLEncoding.EncodeToString(point), good.Auth+"=="
	if err := s.Check(t.Context(), padded); err != nil {
		t.Errorf("padded keys: %v", err)
	}
	off := append([]byte{}, point...)
	off[64] ^= 1
	compressed := append([]byte{2 + point[64]&1}, point[1:33]...)
	enc := base64.RawURLEncoding.EncodeToString
	for name, p256dh := range map[string]string{
		"empty": "", "garbage": "!!", "line break": good.P256dh[:40] + "\n" + good.P256dh[40:], "not on the curve": enc(off),
		"compressed": enc(compressed), "infinity": enc([]byte{0}), "zeros": enc(append([]byte{4}, make([]byte, 64)...)),
		"short": enc(point[:64]), "long": enc(append(point[:65:65], 0)), "very long": strings.Repeat("A", 1<<16),
	} {
		bad := good
		bad.P256dh = p256dh
		if err := s.Check(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "p256dh") {
			t.Errorf("p256dh, %s: %v", name, err)
		}
		if a := s.Send(t.Context(), bad, notify.PushMessage{TTL: time.Minute}); a.Class != notify.AnswerRefused {
			t.Errorf("p256dh, %s: %+v", name, a)
		}
	}
	for name, auth := range map[string]string{"empty": "", "garbage": "?", "short": enc(make([]byte, 15)), "long": enc(make([]byte, 17))} {
		bad := good
		bad.Auth = auth
		if err := s.Check(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "auth") {
			t.Errorf("auth, %s: %v", name, err)
		}
	}
}

func TestNonPublicAddressesAreRefused(t *testing.T) {
	for _, address := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.1",
		"169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
		"198.19.255.255", "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:7f00:1", "64:ff9b::7f00:1", "64:ff9b::10.0.0.1",
		"64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:1ff::1", "2001:db8::1", "2002:7f00:1::",
		"3fff::1", "3fff:fff::1", "5f00::1", "fc00::1", "fd12::1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "ff02::1", "4000::1", "1::1",
	} {
		if err := checkAddress(netip.MustParseAddr(address)); !errors.Is(err, errAddress) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := checkAddress(netip.Addr{}); !errors.Is(err, errAddress) {
		t.Errorf("no address: %v", err)
	}
}

func TestPublicAddressesArePermitted(t *testing.T) {
	for _, address := range []string{
		"1.1.1.1", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "128.0.0.1", "172.15.255.255", "172.32.0.1",
		"142.250.1.95", "17.188.0.1", "192.0.1.1", "192.169.0.1", "198.17.255.255", "198.20.0.1", "223.255.255.255", "::ffff:17.188.0.1",
		"2001:200::1", "2404:6800::1", "2607:f8b0::1", "2620:149::1", "2a00:1450::1", "3ffe:1::1",
	} {
		if err := checkAddress(netip.MustParseAddr(address)); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestDialerReachesNoListenerOnLoopback(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	d := newDialer(nil)
	for _, address := range []string{"127.0.0.1:443", "[::1]:443", "[::ffff:127.0.0.1]:443", "localhost:443", "0.0.0.0:443", "[::]:443", "127.1.2.3:443"} {
		conn, err := d.DialContext(t.Context(), "tcp", address)
		if err == nil {
			conn.Close()
		}
		if !errors.Is(err, errAddress) {
			t.Errorf("%s: %v", address, err)
		}
	}
	conn, err := d.DialContext(t.Context(), "tcp", listener.Addr().String())
	if err == nil {
		conn.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "only 443") {
		t.Errorf("another port: %v", err)
	}
}

// resolvingTo answers every name with one IPv4 address, over a DNS server on
// the other end of a pipe.
func resolvingTo(address string) *net.Resolver {
	return &net.Resolver{
		PreferGo: true,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				defer server.Close()
				size := make([]byte, 2)
				if _, err := server.Read(size); err != nil {
					return
				}
				query := make([]byte, binary.BigEndian.Uint16(size))
				if _, err := server.Read(query); err != nil {
					return
				}
				end := 12
				for query[end] != 0 {
					end += int(query[end]) + 1
				}
				question := query[12 : end+5]
				answers := byte(0)
				if question[len(question)-3] == 1 { // A
					answers = 1
				}
				reply := append([]byte{0, 0, query[0], query[1], 0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0}, question...)
				if answers == 1 {
					reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4)
					reply = append(reply, netip.MustParseAddr(address).AsSlice()...)
				}
				binary.BigEndian.PutUint16(reply, uint16(len(reply)-2))
				server.Write(reply)
			}()
			return client, nil
		},
	}
}

func TestPushServiceNameThatResolvesToAPrivateAddressIsRefused(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "10.1.2.3", "169.254.169.254"} {
		s, err := New(Options{Subject: testSubject, Keys: newRing(t), Dial: newDialer(resolvingTo(address)).DialContext})
		if err != nil {
			t.Fatal(err)
		}
		a := s.Send(t.Context(), newBrowser(t).subscription("https://attacker.push.apple.com/x"), notify.PushMessage{TTL: time.Minute})
		if a.Class != notify.AnswerRefused || !strings.Contains(a.Detail, "not public") {
			t.Errorf("%s: %+v", address, a)
		}
		s.Close()
	}
}
