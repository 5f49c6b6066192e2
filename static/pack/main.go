// Command pack writes static/sdk/dist: the SDK and the worker's script as a host
// ships them, minified, from the modules in static/sdk.
//
//	go run ./static/pack
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

// dist is the folder of what is made, within that of the sources.
const dist = "dist"

func main() {
	if err := write("static/sdk"); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func write(sdk string) error {
	made, err := build(sdk)
	if err != nil {
		return err
	}
	out := filepath.Join(sdk, dist)
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.Mkdir(out, 0o755); err != nil {
		return err
	}
	for name, data := range made {
		if err := os.WriteFile(filepath.Join(out, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// build makes the files of dist from the sources in the folder sdk, by name.
func build(sdk string) (map[string][]byte, error) {
	made := map[string][]byte{}
	for _, in := range []struct {
		format api.Format
		files  []api.EntryPoint
	}{
		// What is imported only when it is needed is a file by itself.
		{api.FormatESModule, []api.EntryPoint{{InputPath: "index.js", OutputPath: "caac"}, {InputPath: "favicon.js", OutputPath: "favicon"}, {InputPath: "profile.js", OutputPath: "profile"}, {InputPath: "sound.js", OutputPath: "sound"}}},
		{api.FormatIIFE, []api.EntryPoint{{InputPath: "sw-push.js", OutputPath: "sw"}}},
	} {
		for i := range in.files {
			in.files[i].InputPath = filepath.Join(sdk, in.files[i].InputPath)
		}
		result := api.Build(api.BuildOptions{
			EntryPointsAdvanced: in.files,
			Bundle:              true,
			Splitting:           in.format == api.FormatESModule,
			Outdir:              dist,
			Format:              in.format,
			Target:              api.ES2022,
			Charset:             api.CharsetUTF8,
			LegalComments:       api.LegalCommentsNone,
			MinifyWhitespace:    true,
			MinifyIdentifiers:   true,
			MinifySyntax:        true,
		})
		for _, e := range result.Errors {
			return nil, errors.New(e.Text)
		}
		for _, f := range result.OutputFiles {
			made[filepath.Base(f.Path)] = f.Contents
		}
	}
	return made, nil
}
