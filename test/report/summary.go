package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// event is one line of go test -json (see go doc test2json).
type event struct {
	Action      string
	Package     string
	ImportPath  string // of a build's output, instead of Package
	Test        string
	Elapsed     float64 // seconds
	Output      string
	FailedBuild string
}

// summary counts tests: leaves and parents alike, as go test does. A package
// that fails without a failed test (it doesn't build, it panics, it leaks)
// counts as one failed.
type summary struct {
	passed, failed int
	skipped        []string // "package Test: reason"
	empty          []string // packages all of whose tests were left out
	broken         []string // failures no package accounts for
	slowest        []timed

	output  map[string][]string // by package and test, until it ends
	failing map[string]bool     // packages with a failed test
	ran     map[string]int      // tests by package
}

type timed struct {
	name string
	took time.Duration
}

// line takes one line of go test -json, and writes what a reader wants at once:
// failures with their output, and each package's end.
func (s *summary) line(line []byte, out io.Writer) {
	var e event
	if !bytes.HasPrefix(line, []byte("{")) || json.Unmarshal(line, &e) != nil {
		out.Write(line)
		return
	}
	if s.output == nil {
		s.output, s.failing, s.ran = map[string][]string{}, map[string]bool{}, map[string]int{}
	}
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		fmt.Fprint(out, e.Output)
	case "output":
		s.output[key] = append(s.output[key], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.packageEnded(e, out)
		} else {
			s.testEnded(e, out)
		}
		delete(s.output, key)
	}
}

func (s *summary) testEnded(e event, out io.Writer) {
	name := short(e.Package) + " " + e.Test
	s.ran[e.Package]++
	if !strings.Contains(e.Test, "/") {
		s.slowest = append(s.slowest, timed{name, time.Duration(e.Elapsed * float64(time.Second))})
	}
	switch e.Action {
	case "pass":
		s.passed++
	case "fail":
		s.failed++
		s.failing[e.Package] = true
		fmt.Fprintf(out, "FAIL %s\n%s", name, indent(s.output[e.Package+" "+e.Test]))
	case "skip":
		s.skipped = append(s.skipped, name+reason(s.output[e.Package+" "+e.Test]))
	}
}

func (s *summary) packageEnded(e event, out io.Writer) {
	text := s.output[e.Package+" "]
	took := time.Duration(e.Elapsed * float64(time.Second)).Round(100 * time.Millisecond)
	switch {
	case e.Action == "fail":
		if !s.failing[e.Package] {
			s.failed++
			fmt.Fprintf(out, "FAIL %s: the package itself\n%s", short(e.Package), indent(s.unfinished(e.Package)))
		}
		fmt.Fprintf(out, "FAIL %s (%v)\n%s", short(e.Package), took, indent(text))
	case strings.Contains(strings.Join(text, ""), "[no test files]"):
	case s.ran[e.Package] == 0:
		s.empty = append(s.empty, short(e.Package))
	default:
		fmt.Fprintf(out, "ok   %s (%v)\n", short(e.Package), took)
	}
}

// unfinished is the output of tests of a package that never ended: the test
// that was running when the package died.
func (s *summary) unfinished(pkg string) (lines []string) {
	for key, l := range s.output {
		if strings.HasPrefix(key, pkg+" ") && key != pkg+" " {
			lines = append(lines, l...)
		}
	}
	return lines
}

func (s *summary) failures() int { return s.failed + len(s.broken) }

func (s *summary) ok() bool {
	return s.failures() == 0 && len(s.skipped) == 0 && len(s.empty) == 0 && s.passed > 0
}

func (s *summary) write(out io.Writer) {
	slices.SortFunc(s.slowest, func(a, b timed) int { return int(b.took - a.took) })
	if len(s.slowest) > 0 && s.slowest[0].took >= time.Second {
		fmt.Fprintln(out, "\nSlowest:")
		for _, t := range s.slowest[:min(5, len(s.slowest))] {
			fmt.Fprintf(out, "  %5.1f s  %s\n", t.took.Seconds(), t.name)
		}
	}
	list(out, "Skipped, and so not run:", s.skipped)
	list(out, "Packages whose tests were all left out, and so not run:", s.empty)
	list(out, "Broken:", s.broken)
	closing := fmt.Sprintf("%d passed, %d failed", s.passed, s.failures())
	if n := len(s.skipped) + len(s.empty); n > 0 {
		closing += fmt.Sprintf(", %d skipped", n)
	}
	fmt.Fprintf(out, "\n%s\n", closing)
}

func list(out io.Writer, title string, items []string) {
	if len(items) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s\n", title)
	for _, item := range items {
		fmt.Fprintf(out, "  %s\n", item)
	}
}

// reason is what a test said when it skipped itself.
func reason(lines []string) string {
	for _, l := range lines {
		l = strings.TrimSpace(l)
		if l != "" && !strings.HasPrefix(l, "=== ") && !strings.HasPrefix(l, "--- ") {
			return ": " + l
		}
	}
	return ""
}

func indent(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		if !strings.HasPrefix(l, "=== ") {
			b.WriteString("    " + strings.TrimRight(l, "\n") + "\n")
		}
	}
	return b.String()
}

// short is a package's path below the module's.
func short(pkg string) string {
	_, below, found := strings.Cut(pkg, "/")
	if !found {
		return pkg
	}
	return below
}
