//go:build linux

package chaos

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"caac-hub/hub/notify"
)

// sighting is a delivery that a device showed: by a page, or, where page is nil,
// by its worker on a push.
type sighting struct {
	at      time.Time
	page    *page
	device  string
	id      string // of the delivery
	ref     notify.Ref
	channel notify.Channel
}

type sightings struct {
	mu  sync.Mutex
	all []sighting
}

func (s *sightings) add(x sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, x)
}

// screens is what all devices showed, in words of rings.
type screens struct {
	rings  map[ringKey][]sighting // each of which rang
	silent []repeat
	told   map[string]bool // deliveries shown in whatever way
	pushed map[string]bool // deliveries pushed
	pushes int
	local  int
}

type ringKey struct {
	device string
	ref    notify.Ref
}

// repeat is a push of a delivery that the device had shown before.
type repeat struct{ before, again sighting }

// watch plays back what pages and push service did, and rings as devices do: a
// worker shows what the device has shown before silently; a page raises each
// delivery once, and does not know of the worker or of other pages.
func watch(pages []sighting, pushes []accepted) screens {
	all := slices.Clone(pages)
	for _, a := range pushes {
		all = append(all, sighting{a.at, nil, a.device, a.id, a.ref, notify.Push})
	}
	slices.SortStableFunc(all, func(a, b sighting) int { return a.at.Compare(b.at) })
	type byPage struct {
		page *page
		id   string
	}
	type byDevice struct{ device, id string }
	s := screens{rings: map[ringKey][]sighting{}, told: map[string]bool{}, pushed: map[string]bool{}, pushes: len(pushes)}
	raised, shown := map[byPage]bool{}, map[byDevice]sighting{}
	for _, x := range all {
		s.told[x.id] = true
		if x.channel == notify.InApp {
			continue
		}
		before, again := shown[byDevice{x.device, x.id}]
		if x.page != nil {
			again = raised[byPage{x.page, x.id}]
			raised[byPage{x.page, x.id}] = true
			if !again {
				s.local++
			}
		} else {
			s.pushed[x.id] = true
			if again {
				s.silent = append(s.silent, repeat{before, x})
			}
		}
		shown[byDevice{x.device, x.id}] = x
		if !again {
			k := ringKey{x.device, x.ref}
			s.rings[k] = append(s.rings[k], x)
		}
	}
	slices.SortFunc(s.silent, func(a, b repeat) int { return cmp.Compare(a.again.at.UnixNano(), b.again.at.UnixNano()) })
	return s
}
