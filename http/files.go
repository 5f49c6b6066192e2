package http

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// pagePolicy is the Content-Security-Policy of pages: what they load and talk to
// is the hub's own; only thumbnails come from elsewhere.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; font-src 'self'; " +
	"img-src 'self' https: data: blob:; media-src 'self'; manifest-src 'self'; worker-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// types are the content types of what static/ may hold.
var types = map[string]string{
	".css":         "text/css; charset=utf-8",
	".html":        "text/html; charset=utf-8",
	".ico":         "image/x-icon",
	".js":          "text/javascript; charset=utf-8",
	".json":        "application/json",
	".png":         "image/png",
	".svg":         "image/svg+xml",
	".txt":         "text/plain; charset=utf-8",
	".webmanifest": "application/manifest+json",
	".woff2":       "font/woff2",
}

type file struct {
	data   []byte
	small  []byte // gzipped; nil: not worth it
	kind   string
	etag   string
	policy string // Content-Security-Policy; empty: that of everything
}

// files are the static files by the path of their URL.
type files map[string]file

// newFiles reads the files once. Those of the demo are left out without it.
// public is the origin that a worker posts its receipts to, wherever it was
// installed.
func newFiles(fsys fs.FS, demo bool, public string) (files, error) {
	out := files{}
	if fsys == nil {
		return out, nil
	}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		kind, ok := types[path.Ext(name)]
		if !ok || strings.HasPrefix(name, "demo/") && !demo {
			return nil
		}
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		f := file{data: b, small: gzipped(b), kind: kind, etag: `"` + hex.EncodeToString(sum[:12]) + `"`}
		switch {
		case path.Ext(name) == ".html":
			f.policy = pagePolicy
		case name == "sw.js":
			// A worker's policy is that of its own response.
			f.policy = strings.Replace(pagePolicy, "connect-src 'self'", "connect-src 'self' "+public, 1)
		}
		out["/"+name] = f
		return nil
	})
	return out, err
}

// before answers GET and HEAD of a file and leaves the rest to next.
func (f files) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			if got, ok := f[r.URL.Path]; ok && path.Ext(r.URL.Path) != ".html" {
				got.serve(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// page answers with a page, and reports false if there is no such file.
func (f files) page(w http.ResponseWriter, r *http.Request, name string) bool {
	got, ok := f["/"+name]
	if ok {
		got.serve(w, r)
	}
	return ok
}

// serve answers with the file; it is asked for anew each time and sent only if
// it changed, so that a page and the SDK it loads are of one version.
func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", "no-cache")
	if f.policy != "" {
		h.Set("Content-Security-Policy", f.policy)
	}
	if r.URL.Path == "/sw.js" {
		h.Set("Service-Worker-Allowed", "/")
	}
	data := f.data
	if f.small != nil {
		h.Add("Vary", "Accept-Encoding")
		if takesGzip(r) {
			data = f.small
			h.Set("Content-Encoding", "gzip")
			h.Set("ETag", strings.TrimSuffix(f.etag, `"`)+`-gz"`)
		}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// gzipped is b smaller by a tenth at least, or nil.
func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	w.Write(b)
	w.Close()
	if out.Len() > len(b)*9/10 {
		return nil
	}
	return out.Bytes()
}

// takesGzip reports whether the client says that it takes gzip (RFC 9110,
// section 12.5.3). A part of it would be a part of the gzipped bytes: none.
func takesGzip(r *http.Request) bool {
	if r.Header.Get("Range") != "" {
		return false
	}
	for _, coding := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			_, q, weighed := strings.Cut(weight, "=")
			return !weighed || strings.Trim(strings.TrimSpace(q), "0.") != ""
		}
	}
	return false
}
