package push

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"caac-hub/hub/notify"
)

type vapidClaims struct {
	Aud string `json:"aud"`
	Exp int64  `json:"exp"`
	Sub string `json:"sub"`
}

// readVAPID verifies an Authorization header by RFC 8292 and answers its
// claims and public key.
func readVAPID(t *testing.T, header string) (vapidClaims, string) {
	t.Helper()
	params, ok := strings.CutPrefix(header, "vapid t=")
	token, public, ok2 := strings.Cut(params, ", k=")
	parts := strings.Split(token, ".")
	if !ok || !ok2 || len(parts) != 3 {
		t.Fatalf("header %q", header)
	}
	var head struct{ Typ, Alg string }
	if err := json.Unmarshal(unbase64(t, parts[0]), &head); err != nil || head.Alg != "ES256" || head.Typ != "JWT" {
		t.Fatalf("%+v, %v", head, err)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), unbase64(t, public))
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	signature := unbase64(t, parts[2])
	if len(signature) != 64 || !ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		t.Fatal("the signature does not verify")
	}
	var claims vapidClaims
	if err := json.Unmarshal(unbase64(t, parts[1]), &claims); err != nil {
		t.Fatal(err)
	}
	return claims, public
}

// vapidProbe sends and tells which Authorization header arrived.
type vapidProbe struct {
	t       *testing.T
	s       *Sender
	headers chan string
}

func newVAPIDProbe(t *testing.T, o Options) *vapidProbe {
	all := newServices(t)
	headers := make(chan string, 1)
	for _, host := range []string{fcmHost, appleHost} {
		all.serve(host, func(w http.ResponseWriter, r *http.Request) {
			headers <- r.Header.Get("Authorization")
			w.WriteHeader(http.StatusCreated)
		})
	}
	return &vapidProbe{t, all.sender(o), headers}
}

func (p *vapidProbe) send(host, keyID string) string {
	p.t.Helper()
	sub := newBrowser(p.t).subscription("https://" + host + "/x")
	sub.KeyID = keyID
	if a := p.s.Send(p.t.Context(), sub, message); a.Class != notify.AnswerAccepted {
		p.t.Fatalf("%+v", a)
	}
	return <-p.headers
}

const testSubject = "mailto:operator@example.com"

func TestVAPIDHeaderNamesOriginExpirySubjectAndKey(t *testing.T) {
	at := newClock()
	for _, subject := range []string{testSubject, "mailto:ops@your-domain.net", "https://your-domain.net/contact"} {
		ring := newRing(t)
		p := newVAPIDProbe(t, Options{Keys: ring, Subject: subject, Now: at.now})
		claims, public := readVAPID(t, p.send(fcmHost+":443", ring.Current().ID()))
		if claims.Aud != "https://"+fcmHost || claims.Sub != subject || public != ring.Current().Public() {
			t.Errorf("%+v by %s", claims, public)
		}
		if left := time.Unix(claims.Exp, 0).Sub(at.now()); left <= time.Hour || left > 24*time.Hour {
			t.Errorf("expires in %v", left)
		}
	}
}

func TestVAPIDHeaderIsCachedPerOriginAndKeyAndRenewedInTime(t *testing.T) {
	at := newClock()
	older, err := GenerateKey(at.now())
	if err != nil {
		t.Fatal(err)
	}
	ring, err := newRing(t).With(older)
	if err != nil {
		t.Fatal(err)
	}
	first, second := ring.Keys()[0].ID(), ring.Keys()[1].ID()
	p := newVAPIDProbe(t, Options{Keys: ring, Now: at.now})

	header := p.send(fcmHost, first)
	if p.send(fcmHost, "") != header {
		t.Error("no key id is not the current key")
	}
	if p.send(appleHost, first) == header {
		t.Error("another origin got the same header")
	}
	if _, public := readVAPID(t, p.send(fcmHost, second)); public != ring.Keys()[1].Public() {
		t.Error("not signed with the key the subscription was made for")
	}
	at.move(time.Hour)
	if p.send(fcmHost, first) != header {
		t.Error("renewed within the hour")
	}
	for range 50 {
		at.move(97 * time.Minute)
		current := p.send(fcmHost, first)
		claims, _ := readVAPID(t, current)
		if left := time.Unix(claims.Exp, 0).Sub(at.now()); left <= time.Hour || left > 24*time.Hour {
			t.Errorf("expires in %v", left)
		}
	}
	at.move(-30 * 24 * time.Hour)
	claims, _ := readVAPID(t, p.send(fcmHost, first))
	if left := time.Unix(claims.Exp, 0).Sub(at.now()); left > 24*time.Hour {
		t.Errorf("with the clock put back it expires in %v", left)
	}
}

func TestSubscriptionOfAKeyNoLongerHeldIsToSubscribeAgain(t *testing.T) {
	s := newServices(t).sender(Options{})
	sub := newBrowser(t).subscription("https://" + fcmHost + "/x")
	sub.KeyID = "000000000000"
	if a := s.Send(t.Context(), sub, message); a.Class != notify.AnswerKeyMismatch || a.Status != 0 {
		t.Errorf("%+v", a)
	}
}

func TestKeyIsTheCurrentOne(t *testing.T) {
	ring := newRing(t)
	s := newServices(t).sender(Options{Keys: ring})
	id, public := s.Key()
	sum := sha256.Sum256(unbase64(t, public))
	if id != ring.Current().ID() || id != fmt.Sprintf("%x", sum[:6]) || len(unbase64(t, public)) != 65 {
		t.Errorf("%s %s", id, public)
	}
}

func TestKeyRingSurvivesTheStore(t *testing.T) {
	ring := newRing(t)
	newer, err := GenerateKey(time.Unix(1_900_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	if ring, err = ring.With(newer); err != nil {
		t.Fatal(err)
	}
	stored, err := json.Marshal(ring)
	if err != nil {
		t.Fatal(err)
	}
	var again KeyRing
	if err := json.Unmarshal(stored, &again); err != nil {
		t.Fatal(err)
	}
	if again.Current().ID() != newer.ID() || len(again.Keys()) != 2 {
		t.Errorf("%v", again.Keys())
	}
	for i, k := range again.Keys() {
		o := ring.Keys()[i]
		if k.ID() != o.ID() || k.Public() != o.Public() || !k.Created().Equal(o.Created()) || !k.private.Equal(o.private) {
			t.Errorf("%v became %v", o, k)
		}
	}
}

func TestDamagedKeysAreRefused(t *testing.T) {
	stored, err := json.Marshal(newRing(t))
	if err != nil {
		t.Fatal(err)
	}
	other := newRing(t).Current()
	var fields []map[string]any
	if err := json.Unmarshal(stored, &fields); err != nil {
		t.Fatal(err)
	}
	edit := func(name string, value any) string {
		key := map[string]any{}
		for k, v := range fields[0] {
			key[k] = v
		}
		key[name] = value
		b, err := json.Marshal([]any{key})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	zero := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	for name, text := range map[string]string{
		"empty": `[]`, "null": `null`, "empty key": `[{}]`, "object": `{}`, "id": edit("id", other.ID()), "public": edit("public", other.Public()),
		"zero": edit("private", zero), "short": edit("private", "AAAA"), "garbage": edit("private", "?"),
		"twice": "[" + strings.Trim(string(stored), "[]") + "," + strings.Trim(string(stored), "[]") + "]",
	} {
		var ring KeyRing
		if err := ring.UnmarshalJSON([]byte(text)); err == nil {
			t.Errorf("%s: %s is taken", name, text)
		}
	}
	if _, err := NewKeyRing(Key{}); err == nil {
		t.Error("an empty key is taken")
	}
}

func TestKeysPrintWithoutTheirPrivateHalf(t *testing.T) {
	k := newRing(t).Current()
	raw, err := k.private.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	log := &buffer{}
	slog.New(slog.NewJSONHandler(log, nil)).Info("key", "key", k)
	text := fmt.Sprintf("%v %+v %#v %s %v", k, k, k, k, []Key{k}) + log.String()
	number := new(big.Int).SetBytes(raw)
	for _, secret := range []string{base64.RawURLEncoding.EncodeToString(raw), number.String(), fmt.Sprintf("%x", raw)} {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows the private half", text)
		}
	}
}

func TestSubjectIsCheckedByApplesRule(t *testing.T) {
	for _, good := range []string{
		testSubject, "mailto:ops@your-domain.net", "mailto:a.b+c@mail.your-domain.co", "https://your-domain.net",
		"https://your-domain.net/contact?x=1", "https://xn--bcher-kva.net", "mailto:ops@YOUR-domain.net",
	} {
		if err := CheckSubject(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "ops@your-domain.net", "mailto:", "mailto:ops", "mailto:mailto:ops@your-domain.net", "mailto:@your-domain.net", "mailto:ops@",
		"mailto:ops@localhost", "mailto:ops@box.local", "mailto:ops@x.invalid", "mailto:ops@x.example", "mailto:ops@x.test", "mailto:ops@x.internal",
		"mailto:ops@your-domain", "mailto:ops@10.0.0.1", "mailto:ops@[10.0.0.1]", "mailto:ops@your_domain.net", "mailto:ops@your-domain.net.",
		"mailto:ops@.net", "mailto: ops@your-domain.net", "mailto:<ops@your-domain.net>", "mailto:Ops <ops@your-domain.net>",
		"mailto:a@your-domain.net,b@your-domain.net", "mailto:ops@your-domain.net?subject=x", "mailto:ops@your-domain.net\n",
		"http://your-domain.net", "https://", "https://localhost", "https://localhost:8080", "https://127.0.0.1", "https://[::1]", "https://box.local/x",
		"https://user@your-domain.net", "https://your-domain.net/#x", "https://your-domain", "ftp://your-domain.net", "tel:123",
		"mailto:" + strings.Repeat("a", 250) + "@your-domain.net",
	} {
		if err := CheckSubject(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestKeyIsOutlivedOnceItsSuccessorIsOldEnough(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var keys []Key
	for _, age := range []time.Duration{30 * time.Second, 25 * time.Hour, 30 * 24 * time.Hour} {
		k, err := GenerateKey(now.Add(-age))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	ring, err := NewKeyRing(keys[0], keys[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	if out := ring.Outlived(now.Add(-24 * time.Hour)); len(out) != 1 || out[0].ID() != keys[2].ID() {
		t.Errorf("outlived: %v", out)
	}
	for i, want := range []bool{true, true, false} {
		if got := ring.accepts(keys[i].ID(), now.Add(-time.Minute)); got != want {
			t.Errorf("key %d: accepted %v", i, got)
		}
	}
	left := ring.Without(keys[0].ID(), keys[2].ID()).Keys()
	if len(left) != 2 || left[0].ID() != keys[0].ID() || left[1].ID() != keys[1].ID() || len(ring.Keys()) != 3 {
		t.Errorf("left: %v of %v", left, ring.Keys())
	}
}
