//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// table is what a run prints: one figure a row.
type table struct{ rows [][4]string }

// add adds a figure; target may be empty.
func (t *table) add(what, target, format string, args ...any) {
	t.rows = append(t.rows, [4]string{what, fmt.Sprintf(format, args...), target})
}

// part begins a group of figures.
func (t *table) part(name string) { t.rows = append(t.rows, [4]string{name, "", "", "part"}) }

func (t *table) write(w io.Writer) {
	wide := [2]int{}
	for _, r := range t.rows {
		if r[3] == "" {
			wide[0], wide[1] = max(wide[0], utf8.RuneCountInString(r[0])), max(wide[1], utf8.RuneCountInString(r[1]))
		}
	}
	for _, r := range t.rows {
		if r[3] != "" {
			fmt.Fprintf(w, "\n%s\n", r[0])
			continue
		}
		line := fmt.Sprintf("  %-*s  %-*s", wide[0], r[0], wide[1], r[1])
		if r[2] != "" {
			line += "  target " + r[2]
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}

// quantile returns the q-quantile of the durations, which it sorts.
func quantile(ds []time.Duration, q float64) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	slices.Sort(ds)
	return ds[min(len(ds)-1, int(q*float64(len(ds))))]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }
