package problem

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"caac-hub/hub"
	"caac-hub/hub/notify"
)

type body struct {
	Name  string    `json:"name"`
	Count int       `json:"count"`
	On    *bool     `json:"on"`
	At    time.Time `json:"at,omitzero"`
	Inner struct {
		Agent string `json:"agent"`
	} `json:"inner"`
	List []string `json:"list"`
}

func post(contentType, text string) *http.Request {
	r := httptest.NewRequest("POST", "/", strings.NewReader(text))
	r.Header.Set("Content-Type", contentType)
	return r
}

func TestBadBodySaysWhatWasWrong(t *testing.T) {
	const json = "application/json"
	for name, c := range map[string]struct {
		kind, body  string
		status      int
		code, field string
		says        string
	}{
		"no content type":      {"", `{}`, 415, "unsupported_media_type", "", "application/json"},
		"form":                 {"application/x-www-form-urlencoded", `a=b`, 415, "unsupported_media_type", "", "application/json"},
		"other charset":        {"application/json; charset=utf-16", `{}`, 415, "unsupported_media_type", "", "UTF-8"},
		"empty":                {json, ``, 400, "malformed_json", "", "empty"},
		"blank":                {json, "  \n", 400, "malformed_json", "", "empty"},
		"cut":                  {json, `{"name":"x"`, 400, "malformed_json", "", "ends in the middle"},
		"no JSON":              {json, `{name:1}`, 400, "malformed_json", "", "byte 2"},
		"two values":           {json, `{} {}`, 400, "malformed_json", "", "behind"},
		"rubbish behind":       {json, `{} x`, 400, "malformed_json", "", "behind"},
		"unknown member":       {json, `{"nmae":"x"}`, 400, "unknown_field", "nmae", `"nmae"`},
		"unknown inner member": {json, `{"inner":{"team":"x"}}`, 400, "unknown_field", "team", `"team"`},
		"number for string":    {json, `{"name":1}`, 400, "wrong_type", "name", "a string"},
		"string for bool":      {json, `{"on":"yes"}`, 400, "wrong_type", "on", "true or false"},
		"fraction for integer": {json, `{"count":1.5}`, 400, "wrong_type", "count", "an integer"},
		"inner wrong type":     {json, `{"inner":{"agent":[]}}`, 400, "wrong_type", "inner.agent", "a string"},
		"object for array":     {json, `{"list":{}}`, 400, "wrong_type", "list", "an array"},
		"array for object":     {json, `[]`, 400, "wrong_type", "", "an object"},
		"no time":              {json, `{"at":"yesterday"}`, 400, "wrong_type", "", "RFC 3339"},
		"not UTF-8":            {json, "{\"name\":\"\xff\"}", 400, "malformed_json", "", "UTF-8"},
		"too deep":             {json, `{"inner":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, 400, "malformed_json", "", "16 levels"},
		"too large":            {json, `{"name":"` + strings.Repeat("x", 1000) + `"}`, 413, "body_too_large", "", "500 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := httptest.NewRecorder(), post(c.kind, c.body)
			var v body
			err := Read(w, r, 500, &v)
			if err == nil {
				t.Fatalf("read as %+v", v)
			}
			Write(w, r, slog.New(slog.DiscardHandler), err)
			p := problemOf(t, w)
			if w.Code != c.status || p.Status != c.status || p.Code != c.code || p.Field != c.field || !strings.Contains(p.Detail, c.says) {
				t.Errorf("got %d %+v; want %d %s in %q saying %q", w.Code, p, c.status, c.code, c.field, c.says)
			}
		})
	}
}

func TestBodyWithoutLengthIsBoundedToo(t *testing.T) {
	r := post("application/json", `{"name":"`+strings.Repeat("x", 1000)+`"}`)
	r.ContentLength = -1
	err := Read(httptest.NewRecorder(), r, 500, new(body))
	if e := hub.AsError(err); e == nil || e.Kind != hub.TooLarge {
		t.Fatalf("got %v", err)
	}
}

func TestGoodBodyIsReadAndSharesNothingWithTheNext(t *testing.T) {
	var a, b body
	for v, text := range map[*body]string{&a: `{"name":"first","list":["one"]}`, &b: `{"name":"other","list":["two"]}`} {
		if err := Read(httptest.NewRecorder(), post("application/json; charset=UTF-8", text), 500, v); err != nil {
			t.Fatal(err)
		}
	}
	if a.Name != "first" || a.List[0] != "one" || b.Name != "other" || b.List[0] != "two" {
		t.Errorf("got %+v and %+v", a, b)
	}
}

func TestQuotedBracketsDoNotNest(t *testing.T) {
	var v body
	if err := Decode([]byte(`{"name":"`+strings.Repeat(`[{\"`, 50)+`"}`), &v); err != nil {
		t.Fatal(err)
	}
}

func TestEveryKindHasItsStatusAndHeaders(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		header string
		value  string
	}{
		{&hub.Error{Kind: hub.Invalid, Code: "invalid"}, 400, "", ""},
		{&hub.Error{Kind: hub.Unauthorized, Code: "no_token"}, 401, "WWW-Authenticate", `Bearer realm="caac"`},
		{&hub.Error{Kind: hub.Forbidden, Code: "x"}, 403, "", ""},
		{&hub.Error{Kind: hub.NotFound, Code: "x"}, 404, "", ""},
		{&hub.Error{Kind: hub.Conflict, Code: "x"}, 409, "", ""},
		{&hub.Error{Kind: hub.TooLarge, Code: "x"}, 413, "", ""},
		{&hub.Error{Kind: hub.TooMany, Code: "x", RetryAfter: 1500 * time.Millisecond}, 429, "Retry-After", "2"},
		{&hub.Error{Kind: hub.Unavailable, Code: "x"}, 503, "Retry-After", "1"},
		{errors.New("boom"), 500, "", ""},
		{notify.ErrContent, 409, "", ""},
		{notify.ErrUnavailable, 503, "Retry-After", "2"},
	} {
		w := httptest.NewRecorder()
		Write(w, httptest.NewRequest("GET", "/", nil), slog.New(slog.DiscardHandler), c.err)
		if p := problemOf(t, w); w.Code != c.status || p.Status != c.status || p.Title != http.StatusText(c.status) {
			t.Errorf("%v: got %d %+v", c.err, w.Code, p)
		}
		if c.header != "" && w.Header().Get(c.header) != c.value {
			t.Errorf("%v: %s is %q, not %q", c.err, c.header, w.Header().Get(c.header), c.value)
		}
	}
}

func TestDetailOfOurErrorsStaysInTheLog(t *testing.T) {
	var log strings.Builder
	r, id := WithRequestID(httptest.NewRequest("GET", "/v1/agents", nil))
	w := httptest.NewRecorder()
	Write(w, r, slog.New(slog.NewJSONHandler(&log, nil)), errors.New("disk 7 is on fire"))
	p := problemOf(t, w)
	if strings.Contains(w.Body.String(), "fire") {
		t.Errorf("shown: %s", w.Body)
	}
	if p.Instance != "urn:caac:request:"+id || !strings.Contains(log.String(), "fire") || !strings.Contains(log.String(), id) {
		t.Errorf("instance %q, log %s", p.Instance, log.String())
	}
}

func TestRequestIDIsTakenOverOnlyIfPlain(t *testing.T) {
	for given, kept := range map[string]bool{"abc-1.2_3": true, "": false, "a b": false, "a\"b": false, strings.Repeat("x", 65): false} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-Request-Id", given)
		r, id := WithRequestID(r)
		if (id == given) != kept || id == "" || RequestID(r.Context()) != id {
			t.Errorf("%q became %q", given, id)
		}
	}
}

func problemOf(t *testing.T, w *httptest.ResponseRecorder) Problem {
	t.Helper()
	if ct := w.Header().Get("Content-Type"); ct != ContentType {
		t.Fatalf("content type %q", ct)
	}
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if p.Type != "urn:caac:problem:"+p.Code || p.Title == "" {
		t.Errorf("problem %+v", p)
	}
	return p
}
