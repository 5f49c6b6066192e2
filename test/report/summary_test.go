package main

import (
	"bytes"
	"strings"
	"testing"
)

func summarize(lines ...string) (*summary, string) {
	var s summary
	var out bytes.Buffer
	for _, l := range lines {
		s.line([]byte(l+"\n"), &out)
	}
	s.write(&out)
	return &s, out.String()
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return lines[len(lines)-1]
}

const (
	passed  = `{"Action":"pass","Package":"m/a","Test":"TestOne","Elapsed":0.1}`
	ended   = `{"Action":"pass","Package":"m/a","Elapsed":0.2}`
	refused = `{"Action":"fail","Package":"m/a","Elapsed":0.2}`
)

func TestClosingLineCountsWhatPassed(t *testing.T) {
	s, text := summarize(passed, ended)
	if got := lastLine(text); got != "1 passed, 0 failed" || !s.ok() {
		t.Errorf("closing line %q, ok %v", got, s.ok())
	}
}

func TestFailureIsShownWithItsOutput(t *testing.T) {
	s, text := summarize(
		`{"Action":"output","Package":"m/a","Test":"TestTwo","Output":"    a_test.go:7: wrong\n"}`,
		`{"Action":"fail","Package":"m/a","Test":"TestTwo"}`, refused)
	if got := lastLine(text); got != "0 passed, 1 failed" || s.ok() {
		t.Errorf("closing line %q, ok %v", got, s.ok())
	}
	if !strings.Contains(text, "a_test.go:7: wrong") {
		t.Errorf("output is missing:\n%s", text)
	}
}

func TestSkippedTestIsListedAndFailsTheRun(t *testing.T) {
	s, text := summarize(passed,
		`{"Action":"output","Package":"m/a","Test":"TestThree","Output":"    a_test.go:9: no firefox\n"}`,
		`{"Action":"skip","Package":"m/a","Test":"TestThree"}`, ended)
	if got := lastLine(text); got != "1 passed, 0 failed, 1 skipped" || s.ok() {
		t.Errorf("closing line %q, ok %v", got, s.ok())
	}
	if !strings.Contains(text, "a TestThree: a_test.go:9: no firefox") {
		t.Errorf("the skipped test and its reason are missing:\n%s", text)
	}
}

func TestPackageThatRanNoneOfItsTestsFailsTheRun(t *testing.T) {
	s, text := summarize(passed, ended,
		`{"Action":"output","Package":"m/b","Output":"testing: warning: no tests to run\n"}`,
		`{"Action":"pass","Package":"m/b","Elapsed":0}`)
	if s.ok() || !strings.Contains(text, "not run:\n  b\n") {
		t.Errorf("ok %v:\n%s", s.ok(), text)
	}
}

func TestPackageWithoutTestFilesIsNoFailure(t *testing.T) {
	s, text := summarize(passed, ended,
		`{"Action":"output","Package":"m/c","Output":"?   \tm/c\t[no test files]\n"}`,
		`{"Action":"skip","Package":"m/c","Elapsed":0}`)
	if !s.ok() {
		t.Errorf("not ok:\n%s", text)
	}
}

func TestPackageThatDiesWithoutAFailedTestCountsAsOneFailure(t *testing.T) {
	s, text := summarize(passed,
		`{"Action":"output","Package":"m/a","Test":"TestFour","Output":"panic: boom\n"}`,
		`{"Action":"output","Package":"m/a","Output":"FAIL\tm/a\n"}`, refused)
	if got := lastLine(text); got != "1 passed, 1 failed" || s.ok() {
		t.Errorf("closing line %q, ok %v", got, s.ok())
	}
	if !strings.Contains(text, "panic: boom") {
		t.Errorf("output of the test that never ended is missing:\n%s", text)
	}
}

func TestNothingRunIsAFailure(t *testing.T) {
	if s, text := summarize(); s.ok() || lastLine(text) != "0 passed, 0 failed" {
		t.Errorf("ok %v:\n%s", s.ok(), text)
	}
}
