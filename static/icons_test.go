package static_test

import (
	"image"
	"image/color"
	"image/png"
	"math"
	"testing"

	"caac-hub/static"
)

func icon(t *testing.T, name string, size int) image.Image {
	t.Helper()
	f, err := static.FS.Open("demo/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if b := m.Bounds(); b.Dx() != size || b.Dy() != size {
		t.Fatalf("%s is %v, want %d px", name, b, size)
	}
	return m
}

// A system may cut a maskable icon to any shape that holds the circle of 40 % of
// its width around its middle; iOS paints what is transparent black.
func TestIconsSurviveBeingCut(t *testing.T) {
	for name, size := range map[string]int{"icon-maskable-192.png": 192, "icon-maskable-512.png": 512, "apple-touch-icon.png": 180} {
		m := icon(t, name, size)
		ground := color.RGBAModel.Convert(m.At(0, 0))
		seen := 0
		for y := range size {
			for x := range size {
				c := color.RGBAModel.Convert(m.At(x, y)).(color.RGBA)
				if c.A != 255 {
					t.Fatalf("%s is not opaque at %d,%d", name, x, y)
				}
				if c == ground {
					continue
				}
				seen++
				if r := math.Hypot(float64(x)+.5-float64(size)/2, float64(y)+.5-float64(size)/2); name != "apple-touch-icon.png" && r > .4*float64(size) {
					t.Fatalf("%s: what it shows leaves the safe circle at %d,%d", name, x, y)
				}
			}
		}
		if seen < size*size/20 {
			t.Errorf("%s shows next to nothing", name)
		}
	}
	icon(t, "icon-192.png", 192)
	icon(t, "icon-512.png", 512)
}
