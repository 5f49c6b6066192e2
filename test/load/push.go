//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
)

var benchLine = regexp.MustCompile(`(?m)^BenchmarkPush/(\S+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op(?:\s+[\d.]+ B/op\s+(\d+) allocs/op)?`)

// pushes has package push measure what one Web Push costs without its network,
// beside the floor: one P-256 key pair and one ECDH.
func pushes(ctx context.Context, s settings, t *table) error {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkPush$", "-benchtime", "1s", "caac-hub/push")
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go test: %w\n%s", err, out.Bytes())
	}
	figures := map[string]float64{}
	t.part("one Web Push, without its network")
	for _, m := range benchLine.FindAllStringSubmatch(out.String(), -1) {
		ns, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return err
		}
		figures[m[1]] = ns
	}
	floor, send := figures["floor"], figures["Send"]
	if floor == 0 || send == 0 {
		return fmt.Errorf("no figures in\n%s", out.Bytes())
	}
	t.add("floor: a P-256 key pair and one ECDH", "", "%.0f µs", floor/1000)
	t.add("ours", "", "%.0f µs, %.2f of the floor", send/1000, send/floor)
	if lib := figures["webpush-go"]; lib > 0 {
		t.add("webpush-go as it comes", "", "%.0f µs, %.2f of the floor", lib/1000, lib/floor)
	}
	return nil
}
