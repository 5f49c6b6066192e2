// Report runs go test, several times if need be, and tells what came of it in
// a few lines: what failed with its output, what was skipped, how long the
// slowest took. It closes with one line, "N passed, N failed", and exits with
// 1 if anything failed or was skipped: a test that did not run proves nothing.
//
//	go run ./test/report -run "-race ./hub/..." -run "-p 1 ./test/..."
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	var runs [][]string
	args := os.Args[1:]
	for len(args) >= 2 && args[0] == "-run" {
		runs = append(runs, strings.Fields(args[1]))
		args = args[2:]
	}
	if len(args) > 0 || len(runs) == 0 {
		fmt.Fprintln(os.Stderr, `usage: report -run "ARGUMENTS OF GO TEST" [-run "…"]…`)
		os.Exit(2)
	}
	// Interrupted, go test and its tests are interrupted too: they share the
	// terminal's process group. The summary is still to be written.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM)

	var sum summary
	for _, run := range runs {
		if err := goTest(run, &sum, os.Stdout); err != nil {
			sum.broken = append(sum.broken, err.Error())
		}
	}
	sum.write(os.Stdout)
	if !sum.ok() {
		os.Exit(1)
	}
}

// goTest runs go test once. What its tests come to goes into sum; an error
// means that go test itself failed in a way that no test accounts for.
func goTest(args []string, sum *summary, out io.Writer) error {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	before := sum.failures()
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			sum.line(line, out)
		}
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil && sum.failures() == before {
		return fmt.Errorf("go test %s: %w", strings.Join(args, " "), err)
	}
	return nil
}
