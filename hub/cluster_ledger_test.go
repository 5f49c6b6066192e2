//go:build !race

package hub_test

import (
	"os"
	"regexp"
	"testing"
	"testing/synctest"
)

func TestPagesEndAtTheTruthOnThreeNodes(t *testing.T) {
	everySeed(t, (*seeds+2)/3, func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) { pagesEndAtTheTruth(t, newShards(t, 3, 4), seed, nil) })
	})
}

// TestPagesEndAtTheTruthWhateverTheNodesMiss loses some of what the nodes say to
// each other, then more, then all, then nothing any more.
func TestPagesEndAtTheTruthWhateverTheNodesMiss(t *testing.T) {
	everySeed(t, (*seeds+2)/3, func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) {
			w := newShards(t, 3, 4)
			w.doubts = true
			pagesEndAtTheTruth(t, w, seed, func(round int) {
				switch round {
				case 5:
					w.lines.lose(-1, -1, 0.1)
				case 15:
					w.lines.lose(-1, -1, 0.5)
				case 25:
					w.lines.lose(-1, -1, 1)
				case 35:
					w.lines.lose(-1, -1, 0)
				}
			})
		})
	})
}

// timesOf strips what a telling says of when something happened.
var timesOf = regexp.MustCompile(`(?m)^[0-9:. ]{12}  |[0-9.]+ s\b`)

func TestStoriesGoTheSameOnThreeNodes(t *testing.T) {
	for _, st := range stories {
		t.Run(st.name, func(t *testing.T) {
			got := timesOf.ReplaceAllString(tellStory(t, 3, st.tell), "")
			data, err := os.ReadFile(storyPath(st.name))
			if err != nil {
				t.Fatal(err)
			}
			if line := differs(got, timesOf.ReplaceAllString(string(data), "")); line > 0 {
				t.Errorf("line %d is told otherwise on three nodes:\n%s", line, got)
			}
		})
	}
}
