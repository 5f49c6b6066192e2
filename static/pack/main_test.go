package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
)

const sdk = "../sdk"

func gzipped(t *testing.T, data []byte) int {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Len()
}

func TestDistIsMadeOfTheSources(t *testing.T) {
	made, err := build(sdk)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadDir(filepath.Join(sdk, dist))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range kept {
		if _, ok := made[f.Name()]; !ok {
			t.Errorf("%s is made of nothing", f.Name())
		}
	}
	for name, want := range made {
		got, err := os.ReadFile(filepath.Join(sdk, dist, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what its sources make (%v): go run ./static/pack", name, err)
		}
	}
}

func TestSDKAndWorkerAreSmall(t *testing.T) {
	for name, limit := range map[string]int{"caac.js": 10_000, "favicon.js": 1_000, "profile.js": 2_000, "sound.js": 1_000, "sw.js": 5_000} {
		data, err := os.ReadFile(filepath.Join(sdk, dist, name))
		if err != nil {
			t.Fatal(err)
		}
		n := gzipped(t, data)
		t.Logf("%s: %d bytes, %d gzipped", name, len(data), n)
		if n >= limit {
			t.Errorf("%s has %d bytes gzipped, the limit is %d", name, n, limit)
		}
	}
}

func TestBundlerFindsThePackage(t *testing.T) {
	app := t.TempDir()
	if err := os.CopyFS(filepath.Join(app, "node_modules", "caac-hub"), os.DirFS(sdk)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"app.ts", "worker.ts"} {
		source, err := os.ReadFile(filepath.Join("../../test/js/adopt", name))
		if err != nil {
			t.Fatal(err)
		}
		result := api.Build(api.BuildOptions{
			Stdin:  &api.StdinOptions{Contents: string(source), ResolveDir: app, Sourcefile: name, Loader: api.LoaderTS},
			Bundle: true, Format: api.FormatESModule, Splitting: true, Outdir: filepath.Join(app, "out"),
		})
		for _, m := range append(result.Errors, result.Warnings...) {
			t.Errorf("%s: %s", name, m.Text)
		}
		if len(result.OutputFiles) == 0 || len(result.OutputFiles[0].Contents) < 5_000 {
			t.Errorf("%s has nothing of the package in it", name)
		}
	}
	var p struct{ Types string }
	data, err := os.ReadFile(filepath.Join(sdk, "package.json"))
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(sdk, p.Types)); err != nil {
		t.Error(err)
	}
}
