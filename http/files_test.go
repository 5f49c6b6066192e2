package http

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func TestFilesGoGzippedToThoseWhoTakeIt(t *testing.T) {
	script := []byte(strings.Repeat("export const words = 'many';\n", 100))
	all, err := newFiles(fstest.MapFS{"sdk/dist/caac.js": {Data: script}}, false, "")
	if err != nil {
		t.Fatal(err)
	}
	f := all["/sdk/dist/caac.js"]
	tags := map[string]string{}
	for accept, want := range map[string]string{
		"": "", "gzip": "gzip", "br, GZIP;q=0.5": "gzip", "gzip ; q=1": "gzip", "gzip;q=0": "", "gzip;q=0.00": "", "br": "", "xgzip": "",
	} {
		r := httptest.NewRequest("GET", "/sdk/dist/caac.js", nil)
		r.Header.Set("Accept-Encoding", accept)
		w := httptest.NewRecorder()
		f.serve(w, r)
		if got := w.Header().Get("Content-Encoding"); got != want || w.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: encoding %q, want %q; %v", accept, got, want, w.Header())
		}
		tags[want] = w.Header().Get("ETag")
		body := io.Reader(w.Body)
		if want != "" {
			if body, err = gzip.NewReader(w.Body); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, script) {
			t.Errorf("%q: %v, %d bytes, want %d", accept, err, len(got), len(script))
		}
	}
	if tags[""] == tags["gzip"] {
		t.Errorf("one tag for two encodings: %v", tags)
	}
	r := httptest.NewRequest("GET", "/sdk/dist/caac.js", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	r.Header.Set("If-None-Match", tags["gzip"])
	w := httptest.NewRecorder()
	if f.serve(w, r); w.Code != 304 {
		t.Errorf("unchanged: %d", w.Code)
	}
}
