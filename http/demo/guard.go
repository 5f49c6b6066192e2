package demo

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"html"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"caac-hub/http/problem"
	"caac-hub/hub"
)

const cookieName = "caac_demo"

// guard serves this machine by its names, and the public host behind the code.
// Any other Host is refused: a foreign name that resolves to this machine is an
// attack on it (DNS rebinding).
func (d *Demo) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := hostName(r.Host)
		local := !forwarded(r)
		switch {
		case local && name == "localhost":
			next.ServeHTTP(w, r)
		case local && isLoopback(name):
			// Another origin has permissions of its own: pages have one, localhost.
			if (r.Method == http.MethodGet || r.Method == http.MethodHead) && isPage(r.URL.Path) {
				http.Redirect(w, r, "http://localhost"+port(r.Host)+r.URL.RequestURI(), http.StatusTemporaryRedirect)
				return
			}
			next.ServeHTTP(w, r)
		case d.Code != "" && (name == hostName(d.public.Host) || !local && (name == "localhost" || isLoopback(name))):
			if free(r) || d.entered(r) {
				next.ServeHTTP(w, r)
				return
			}
			d.askCode(w, r)
		default:
			d.fail(w, r, &hub.Error{Kind: hub.Forbidden, Code: "foreign_host",
				Message: "the demo serves localhost, and the host of CAAC_PUBLIC_URL behind a code"})
		}
	})
}

// forwarded reports that a proxy brought the request. Some tunnels say localhost
// as the host, whoever asks.
func forwarded(r *http.Request) bool {
	for name := range r.Header {
		switch name {
		case "Forwarded", "Via", "X-Real-Ip", "Cf-Connecting-Ip", "True-Client-Ip":
			return true
		}
		if strings.HasPrefix(name, "X-Forwarded-") {
			return true
		}
	}
	return false
}

// free reports what the public host may have without the code: public files,
// health, and what carries a proof of its own.
func free(r *http.Request) bool {
	p := r.URL.Path
	switch p {
	case "/demo/code", "/livez", "/readyz", "/v1/receipts":
		return true
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		if p == "/sw.js" || p == "/sw-app.js" || strings.HasPrefix(p, "/sdk/") || strings.HasSuffix(p, ".webmanifest") || strings.HasSuffix(p, ".png") || strings.HasSuffix(p, ".svg") || strings.HasSuffix(p, ".css") {
			return true
		}
	}
	return strings.HasPrefix(p, "/v1/") && (r.Header.Get("Authorization") != "" || r.Header.Get("X-Device-Key") != "" || r.Method == http.MethodOptions)
}

func isPage(path string) bool {
	return path == "/" || path == "/support" || strings.HasPrefix(path, "/agent/")
}

func hostName(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

func isLoopback(name string) bool {
	a, err := netip.ParseAddr(name)
	return err == nil && a.Unmap().IsLoopback()
}

// proof is what the cookie of someone who knew the code says.
func (d *Demo) proof() string {
	m := hmac.New(sha256.New, []byte(d.Code))
	m.Write([]byte("caac demo"))
	return hex.EncodeToString(m.Sum(nil))
}

func (d *Demo) entered(r *http.Request) bool {
	c, err := r.Cookie(cookieName)
	return err == nil && subtle.ConstantTimeCompare([]byte(c.Value), []byte(d.proof())) == 1
}

const codePage = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>CAAC demo</title>
<link rel="icon" href="/demo/icon.svg" type="image/svg+xml"><link rel="stylesheet" href="/base.css"><link rel="stylesheet" href="/demo/offline.css">
<main>
<img src="/demo/icon.svg" alt="" width="72" height="72">
<h1>CAAC demo</h1>
<p>{{note}}</p>
<form method="post" action="/demo/code"><input type="hidden" name="to" value="{{to}}">
<label>Code <input type="text" name="code" autocomplete="one-time-code" autocapitalize="none" autofocus required></label>
<button class="main">Enter</button>
</form>
</main></html>
`

func (d *Demo) askCode(w http.ResponseWriter, r *http.Request) {
	if !isPage(r.URL.Path) {
		d.fail(w, r, &hub.Error{Kind: hub.Unauthorized, Code: "no_code", Message: "open the demo's first page and enter the code that the terminal shows"})
		return
	}
	d.codeForm(w, http.StatusUnauthorized, r.URL.RequestURI(), "The code stands in the terminal the demo was started in.")
}

// codeForm asks for the code; to is the page it leads to.
func (d *Demo) codeForm(w http.ResponseWriter, status int, to, note string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	strings.NewReplacer("{{to}}", html.EscapeString(to), "{{note}}", note).WriteString(w, codePage)
}

// enter takes the code from the form and leads to the page that was asked for: an
// app on the home screen is to open as itself.
func (d *Demo) enter(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	to := r.PostFormValue("to")
	if u, err := url.Parse(to); err != nil || u.Scheme != "" || u.Host != "" || !isPage(u.Path) {
		to = "/"
	}
	if !d.codes.Allow() {
		w.Header().Set("Retry-After", "2")
		d.codeForm(w, http.StatusTooManyRequests, to, "Too many codes were tried. Wait a little, then try again.")
		return
	}
	code := strings.ToUpper(strings.TrimSpace(r.PostFormValue("code")))
	if d.Code == "" || subtle.ConstantTimeCompare([]byte(code), []byte(strings.ToUpper(d.Code))) != 1 {
		d.codeForm(w, http.StatusForbidden, to, "That is not the code. It stands in the terminal the demo was started in.")
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: d.proof(), Path: "/", MaxAge: 7 * 24 * 3600,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: d.public.Scheme == "https",
	})
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (d *Demo) fail(w http.ResponseWriter, r *http.Request, err error) {
	problem.Write(w, r, d.Log, err)
}
