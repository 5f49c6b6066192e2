package problem

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"caac-hub/hub"
)

// MaxDepth is how deep objects and arrays of a body may be nested.
const MaxDepth = 16

// keptBody is the largest body whose buffer is used again.
const keptBody = 64 << 10

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Read reads the request's JSON body of at most limit bytes into v. Unknown
// members, a second value, wrong types, another content type and nesting beyond
// MaxDepth are errors that say so, of kind hub.Invalid or hub.TooLarge or with
// status 415. v keeps nothing of the buffer.
func Read(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	if err := jsonBody(r); err != nil {
		return err
	}
	if r.ContentLength > limit {
		return tooLarge(limit)
	}
	buf := bodies.Get().(*bytes.Buffer)
	buf.Reset()
	defer func() {
		if buf.Cap() <= keptBody {
			bodies.Put(buf)
		}
	}()
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, limit)); err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			return tooLarge(limit)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return &StatusError{Status: http.StatusRequestTimeout, Code: "body_slow", Message: "the body did not come in time"}
		}
		return &hub.Error{Kind: hub.Invalid, Code: "body_cut", Message: "the body ended before it was complete", Err: err}
	}
	return Decode(buf.Bytes(), v)
}

// Decode reads one JSON value into v, as strictly as Read.
func Decode(b []byte, v any) error {
	if !utf8.Valid(b) {
		return bad("malformed_json", "", "the body is not UTF-8 (RFC 8259 section 8.1)")
	}
	if deep(b) {
		return bad("malformed_json", "", fmt.Sprintf("the body is nested deeper than %d levels", MaxDepth))
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return explain(err, len(b))
	}
	if _, err := d.Token(); err != io.EOF {
		return bad("malformed_json", "", "one JSON value is expected, and something stands behind it")
	}
	return nil
}

func jsonBody(r *http.Request) error {
	ct := r.Header.Get("Content-Type")
	if ct == "application/json" {
		return nil
	}
	kind, params, err := mime.ParseMediaType(ct)
	charset, has := params["charset"]
	if err == nil && kind == "application/json" && (!has || strings.EqualFold(charset, "utf-8")) {
		return nil
	}
	return &StatusError{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type",
		Message: fmt.Sprintf("the content type is %.100q; application/json in UTF-8 is expected", ct)}
}

// explain turns an error of encoding/json into what was wrong and what is allowed.
func explain(err error, size int) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var when *time.ParseError
	switch {
	case size == 0 || err == io.EOF:
		return bad("malformed_json", "", "the body is empty; a JSON object is expected")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return bad("malformed_json", "", "the JSON ends in the middle")
	case errors.As(err, &syntax):
		return bad("malformed_json", "", fmt.Sprintf("not JSON at byte %d: %s", syntax.Offset, syntax))
	case errors.As(err, &kind):
		return bad("wrong_type", kind.Field, fmt.Sprintf("a JSON %s stands where %s is expected", kind.Value, expected(kind)))
	case errors.As(err, &when):
		return bad("wrong_type", "", fmt.Sprintf("%.64q is not a time as RFC 3339 writes it: 2006-01-02T15:04:05Z", when.Value))
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		name = strings.Trim(name, `"`)
		return bad("unknown_field", name, fmt.Sprintf("there is no member %.128q here", name))
	}
	// What is left are the unmarshalers of values, which name only what they read.
	return bad("wrong_type", "", strings.TrimPrefix(err.Error(), "json: "))
}

func expected(e *json.UnmarshalTypeError) string {
	switch k := e.Type.Kind().String(); {
	case k == "bool":
		return "true or false"
	case k == "string":
		return "a string"
	case k == "slice":
		return "an array"
	case k == "struct", k == "map":
		return "an object"
	case strings.HasPrefix(k, "int"), strings.HasPrefix(k, "uint"):
		return "an integer"
	default:
		return "a number"
	}
}

// deep reports nesting beyond MaxDepth without parsing.
func deep(b []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

func bad(code, field, message string) error {
	return &hub.Error{Kind: hub.Invalid, Code: code, Field: field, Message: message}
}

func tooLarge(limit int64) error {
	return &hub.Error{Kind: hub.TooLarge, Code: "body_too_large", Message: fmt.Sprintf("the body is larger than the %d bytes allowed here", limit)}
}
