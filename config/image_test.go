package config

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// instructions reads a Dockerfile into its last stage's instructions and those
// of the stages before it.
func instructions(t *testing.T) (build, final []string) {
	t.Helper()
	b, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(string(b), "")
	text = regexp.MustCompile(`\s*\\\n\s*`).ReplaceAllString(text, " ")
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if strings.HasPrefix(line, "FROM ") {
			build, final = append(build, final...), nil
		}
		final = append(final, line)
	}
	return build, final
}

func TestImageIsMinimalStaticAndNotRoot(t *testing.T) {
	build, final := instructions(t)
	if final[0] != "FROM scratch" {
		t.Errorf("the image is built %s; want scratch, which has no shell", final[0])
	}
	if !slices.ContainsFunc(build, func(s string) bool {
		return strings.HasPrefix(s, "RUN CGO_ENABLED=0 go build ")
	}) {
		t.Error("the binary is not built without cgo")
	}
	has := func(want string) {
		t.Helper()
		if !slices.ContainsFunc(final, regexp.MustCompile(want).MatchString) {
			t.Errorf("no instruction %q", want)
		}
	}
	has(`^COPY --from=build /etc/ssl/certs/ca-certificates\.crt /etc/ssl/certs/`)
	has(`^USER [1-9]\d*:[1-9]\d*$`)
	has(`^VOLUME /data$`)
	has(`^COPY --from=build --chown=65532:65532 /out/data /data$`)
	has(`^EXPOSE 8080$`)
	has(`^HEALTHCHECK .*CMD \["/caac-hub", "health"\]$`)
	has(`^ENTRYPOINT \["/caac-hub"\]$`)
	for _, line := range final {
		if strings.HasPrefix(line, "RUN ") {
			t.Errorf("%q needs a shell, and the image has none", line)
		}
	}
}

func TestImageRunsInProductionMode(t *testing.T) {
	_, final := instructions(t)
	var environ []string
	for _, line := range final {
		if rest, ok := strings.CutPrefix(line, "ENV "); ok {
			environ = append(environ, strings.Fields(rest)...)
		}
	}
	if l, err := Load(Sources{Environ: environ}); err == nil {
		t.Errorf("the image starts in %s mode without agent authentication", l.Mode)
	}
	l, err := Load(Sources{Environ: append(environ,
		"CAAC_AUTH_JWT_SECRET="+strings.Repeat("s", 32), "CAAC_ORIGINS=https://caac.example.com",
		"CAAC_CONVERSATION_URL=https://caac.example.com/chats/{conversation}")})
	if err != nil {
		t.Fatal(err)
	}
	if l.Mode != Production || l.DataDir != "/data" || l.Listen != "0.0.0.0:8080" {
		t.Errorf("mode %s, data_dir %s, listen %s", l.Mode, l.DataDir, l.Listen)
	}
}

func TestImageIsBuiltFromEverythingItNeeds(t *testing.T) {
	b, err := os.ReadFile("../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "..").Output()
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range strings.Lines(string(out)) {
		dir, ours := strings.CutPrefix(strings.TrimSpace(pkg), "caac-hub/")
		if !ours {
			continue
		}
		left := ""
		for line := range strings.Lines(string(b)) {
			line = strings.TrimSpace(line)
			if back, ok := strings.CutPrefix(line, "!"); ok && strings.HasPrefix(dir+"/", back+"/") {
				left = ""
			} else if parent := strings.TrimSuffix(line, "/*"); strings.HasPrefix(dir+"/", parent+"/") {
				left = line
			}
		}
		if left != "" {
			t.Errorf("the image needs %s, and .dockerignore leaves out %s", dir, left)
		}
	}
}
