package http

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/prometheus/client_golang/prometheus"

	"caac-hub/docs/openapi"
	"caac-hub/hub"
)

var document = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi.JSON())
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(openapi3.NewLoader().Context)
})

func loadDocument(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestDocumentAndRoutesNameEachOther(t *testing.T) {
	doc := loadDocument(t)
	s, err := New(Options{
		Hub: new(hub.Hub), Auth: nobody{}, Keys: NewAPIKeys(&metaStore{}), Log: slog.New(slog.DiscardHandler),
		Mode: ModeProduction, PublicURL: "https://hub.example.com", Origins: []string{"https://caac.example.com"},
		Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	param := regexp.MustCompile(`:([a-z]+)`)
	var routed, documented []string
	for _, r := range s.echo.Routes() {
		routed = append(routed, r.Method+" "+param.ReplaceAllString(r.Path, "{$1}"))
	}
	for path, p := range doc.Paths.Map() {
		for method, op := range p.Operations() {
			documented = append(documented, method+" "+path)
			if op.OperationID == "" || op.Summary == "" || len(op.Tags) == 0 {
				t.Errorf("%s %s lacks an id, a summary or a tag", method, path)
			}
		}
	}
	for _, r := range routed {
		if !slices.Contains(documented, r) {
			t.Errorf("%s is not in the document", r)
		}
	}
	for _, d := range documented {
		if !slices.Contains(routed, d) {
			t.Errorf("%s is no route", d)
		}
	}
	if len(routed) < 40 {
		t.Errorf("only %d routes", len(routed))
	}
}

// obeys checks a request that was answered, and its answer, against the document.
func obeys(t *testing.T, req *http.Request, sent []byte, resp *http.Response, got []byte) {
	t.Helper()
	doc := loadDocument(t)
	op := operation(doc, req.Method, req.URL.EscapedPath())
	if op == nil {
		if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s %s is not in the document and answers %d", req.Method, req.URL.Path, resp.StatusCode)
		}
		return
	}
	good := resp.StatusCode < 400
	// What is wrong with an item of a bulk body is said of the item.
	if good && len(sent) > 0 && !strings.HasSuffix(req.URL.Path, "/bulk") {
		if op.RequestBody == nil {
			t.Errorf("%s %s takes no body by the document", req.Method, req.URL.Path)
		} else if err := fits(op.RequestBody.Value.Content.Get("application/json"), sent); err != nil {
			t.Errorf("%s %s took what the document refuses: %v\n%s", req.Method, req.URL.Path, err, sent)
		}
	}
	answer := op.Responses.Status(resp.StatusCode)
	if answer == nil {
		if good {
			t.Errorf("%s %s: the document knows no %d", req.Method, req.URL.Path, resp.StatusCode)
			return
		}
		answer = op.Responses.Default()
	}
	ct, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if len(answer.Value.Content) == 0 {
		if len(got) > 0 {
			t.Errorf("%s %s answers a body the document does not know: %s", req.Method, req.URL.Path, got)
		}
		return
	}
	if ct != "application/json" && ct != "application/problem+json" {
		return
	}
	if err := fits(answer.Value.Content.Get(ct), got); err != nil {
		t.Errorf("%s %s answers %d with what the document does not know: %v\n%s", req.Method, req.URL.Path, resp.StatusCode, err, got)
	}
}

func fits(m *openapi3.MediaType, b []byte) error {
	if m == nil {
		return &openapi3.SchemaError{Reason: "no such content type"}
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&v); err != nil {
		return err
	}
	return m.Schema.Value.VisitJSON(v, openapi3.EnableJSONSchema2020())
}

// operation finds what the document says of a path; literal parts win.
func operation(doc *openapi3.T, method, path string) *openapi3.Operation {
	var best *openapi3.Operation
	least := 1 << 10
	parts := strings.Split(path, "/")
	for p, it := range doc.Paths.Map() {
		want := strings.Split(p, "/")
		if len(want) != len(parts) {
			continue
		}
		params, same := 0, true
		for i := range want {
			if strings.HasPrefix(want[i], "{") {
				params++
			} else if want[i] != parts[i] {
				same = false
			}
		}
		if op := it.GetOperation(method); same && op != nil && params < least {
			best, least = op, params
		}
	}
	return best
}
