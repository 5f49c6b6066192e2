// Package deploy_test holds the files of this folder against the hub: that what
// they set is known to it and accepted, and that their numbers fit each other.
package deploy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"caac-hub/config"
)

// leave is how long hub.Run may take to end, beside the time it spreads pages over.
const leave = 15 * time.Second

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// found is what the pattern's group matches, everywhere in the text.
func found(t *testing.T, text, pattern string) []string {
	t.Helper()
	var out []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	if out == nil {
		t.Fatalf("nothing matches %s", pattern)
	}
	return out
}

// documents are the YAML documents of a file; a key that stands there twice is
// an error.
func documents(t *testing.T, path string) []map[string]any {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(read(t, path)))
	var out []map[string]any
	for {
		var one map[string]any
		err := d.Decode(&one)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out = append(out, one)
	}
}

// decoded reads a part of a document into a struct.
func decoded[T any](t *testing.T, part any) T {
	t.Helper()
	var out T
	b, err := yaml.Marshal(part)
	if err == nil {
		err = yaml.NewDecoder(bytes.NewReader(b)).Decode(&out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func seconds(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// image is what the Dockerfile's last stage says.
type image struct {
	user, port string
	env        []string
}

func dockerfile(t *testing.T) image {
	text := read(t, "../Dockerfile")
	text = text[strings.LastIndex(text, "\nFROM "):]
	text = regexp.MustCompile(`\s*\\\n\s*`).ReplaceAllString(text, " ")
	return image{
		user: found(t, text, `(?m)^USER (\d+):`)[0],
		port: found(t, text, `(?m)^EXPOSE (\d+)$`)[0],
		env:  strings.Fields(found(t, text, `(?m)^ENV (.*)$`)[0]),
	}
}

// load reads the configuration of a node: what the image and the deployment set,
// with the secrets' folder replaced by one that holds these files.
func load(t *testing.T, env map[string]string, folder string, secrets map[string]string) *config.Loaded {
	t.Helper()
	dir := t.TempDir()
	for name, text := range secrets {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	environ := dockerfile(t).env
	for name, value := range env {
		if strings.HasSuffix(name, "_FILE") {
			rest, ok := strings.CutPrefix(value, folder+"/")
			if !ok {
				t.Errorf("%s=%s does not lie in %s, where the secrets are", name, value, folder)
			}
			value = filepath.Join(dir, rest)
		}
		environ = append(environ, name+"="+value)
	}
	l, err := config.Load(config.Sources{Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	if l.Mode != config.Production || l.Redis.URL == "" || len(l.Proxies) == 0 || l.Node == "" {
		t.Errorf("mode %s, redis.url %q, proxies %v, node %q", l.Mode, l.Redis.URL, l.Proxies, l.Node)
	}
	return l
}

var someSecrets = map[string]string{
	"jwt":       strings.Repeat("s", 32) + "\n",
	"redis-url": "redis://:pw@redis:6379\n",
}

// ends is how long a node may take to end.
func ends(l *config.Loaded) time.Duration {
	return l.DrainDelay + l.DrainTimeout + l.DrainSpread + leave
}

func TestEveryManifestIsInTheKustomization(t *testing.T) {
	k := decoded[struct{ Resources []string }](t, documents(t, "kubernetes/kustomization.yaml")[0])
	files, err := filepath.Glob("kubernetes/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		apart := name == "kustomization.yaml" || name == "secret.example.yaml"
		if slices.Contains(k.Resources, name) == apart {
			t.Errorf("%s: listed %t", name, !apart)
		}
		documents(t, file)
	}
	if len(k.Resources) != len(files)-2 {
		t.Errorf("%v are listed, and the files are %v", k.Resources, files)
	}
}

// pod is what these tests look at of the Deployment.
type pod struct {
	Spec struct {
		Replicas int
		Strategy struct {
			RollingUpdate struct {
				MaxSurge       int `yaml:"maxSurge"`
				MaxUnavailable int `yaml:"maxUnavailable"`
			} `yaml:"rollingUpdate"`
		}
		Selector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		}
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				Grace           int `yaml:"terminationGracePeriodSeconds"`
				SecurityContext struct {
					RunAsUser int `yaml:"runAsUser"`
				} `yaml:"securityContext"`
				Containers []container
				Volumes    []struct {
					Secret struct {
						SecretName string `yaml:"secretName"`
					}
				}
			}
		}
	}
}

type container struct {
	Ports []struct {
		Name          string
		ContainerPort int `yaml:"containerPort"`
	}
	EnvFrom []struct {
		ConfigMapRef struct{ Name string } `yaml:"configMapRef"`
	} `yaml:"envFrom"`
	Env []struct {
		Name, Value string
	}
	LivenessProbe  probe `yaml:"livenessProbe"`
	ReadinessProbe probe `yaml:"readinessProbe"`
	Lifecycle      struct {
		PreStop struct {
			Sleep struct{ Seconds int }
		} `yaml:"preStop"`
	}
	VolumeMounts []struct {
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
	Timeout int                         `yaml:"timeoutSeconds"`
}

// manifest is the one object of a kind.
func manifest(t *testing.T, kind string) map[string]any {
	t.Helper()
	files, err := filepath.Glob("kubernetes/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for _, d := range documents(t, file) {
			if d["kind"] == kind {
				return d
			}
		}
	}
	t.Fatalf("there is no %s", kind)
	return nil
}

func TestKubernetesNodeStartsWithWhatItIsTold(t *testing.T) {
	d := decoded[pod](t, manifest(t, "Deployment")).Spec.Template.Spec
	c := d.Containers[0]
	settings := decoded[struct {
		Metadata struct{ Name string }
		Data     map[string]string
	}](t, manifest(t, "ConfigMap"))
	if c.EnvFrom[0].ConfigMapRef.Name != settings.Metadata.Name {
		t.Errorf("the container takes %v, and the ConfigMap is %s", c.EnvFrom, settings.Metadata.Name)
	}
	env := settings.Data
	for _, e := range c.Env {
		switch e.Name {
		case "CAAC_NODE":
			env[e.Name] = "caac-hub-6d9f7c5b8-abcde"
		case "GOMEMLIMIT":
		default:
			env[e.Name] = e.Value
		}
	}
	secret := decoded[struct {
		Metadata   struct{ Name string }
		StringData map[string]string `yaml:"stringData"`
	}](t, manifest(t, "Secret"))
	if name := d.Volumes[0].Secret.SecretName; name != secret.Metadata.Name {
		t.Errorf("mounted is the secret %s, and the example is %s", name, secret.Metadata.Name)
	}
	l := load(t, env, c.VolumeMounts[0].MountPath, secret.StringData)
	grace := time.Duration(d.Grace-c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	if grace < ends(l)+5*time.Second {
		t.Errorf("a node has %s to end and may take %s", grace, ends(l))
	}
	if c.Lifecycle.PreStop.Sleep.Seconds == 0 && l.DrainDelay == 0 {
		t.Error("a node that is told to end is still given requests, and takes none")
	}
}

func TestKubernetesFitsTheImage(t *testing.T) {
	im := dockerfile(t)
	d := decoded[pod](t, manifest(t, "Deployment")).Spec
	c := d.Template.Spec.Containers[0]
	if got := strconv.Itoa(c.Ports[0].ContainerPort); got != im.port || !slices.Contains(im.env, "CAAC_LISTEN=0.0.0.0:"+got) {
		t.Errorf("port %s; the image has %s and %v", got, im.port, im.env)
	}
	if got := strconv.Itoa(d.Template.Spec.SecurityContext.RunAsUser); got != im.user {
		t.Errorf("user %s; the image has %s", got, im.user)
	}
	for name, p := range map[string]probe{"/livez": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if p.HTTPGet.Path != name || p.HTTPGet.Port != c.Ports[0].Name {
			t.Errorf("probe %+v, want %s", p, name)
		}
		// The hub itself takes up to 2 s.
		if p.Timeout <= 2 {
			t.Errorf("%s is given up on after %d s", name, p.Timeout)
		}
	}
	if d.Replicas != 3 || d.Strategy.RollingUpdate.MaxUnavailable != 0 || d.Strategy.RollingUpdate.MaxSurge < 1 {
		t.Errorf("replicas %d, %+v", d.Replicas, d.Strategy)
	}
}

func TestEverySelectorFindsTheNodes(t *testing.T) {
	labels := fmt.Sprint(decoded[pod](t, manifest(t, "Deployment")).Spec.Template.Metadata.Labels)
	type selector struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}
	got := map[string]map[string]string{
		"Deployment": decoded[pod](t, manifest(t, "Deployment")).Spec.Selector.MatchLabels,
		"Service": decoded[struct {
			Spec struct{ Selector map[string]string }
		}](t, manifest(t, "Service")).Spec.Selector,
		"PodDisruptionBudget": decoded[struct {
			Spec struct{ Selector selector }
		}](t, manifest(t, "PodDisruptionBudget")).Spec.Selector.MatchLabels,
		"NetworkPolicy": decoded[struct {
			Spec struct {
				PodSelector selector `yaml:"podSelector"`
			}
		}](t, manifest(t, "NetworkPolicy")).Spec.PodSelector.MatchLabels,
	}
	for kind, s := range got {
		if fmt.Sprint(s) != labels {
			t.Errorf("%s selects %v, and the pods carry %s", kind, s, labels)
		}
	}
}

// service is what these tests look at of a Compose service.
type service struct {
	Grace       string            `yaml:"stop_grace_period"`
	Environment map[string]string `yaml:"environment"`
	Secrets     []string
	Command     []string
	Ports       []string
	Volumes     []string
	Networks    map[string]struct {
		Address string `yaml:"ipv4_address"`
	}
}

func services(t *testing.T) (nodes []service, all map[string]service) {
	t.Helper()
	d := documents(t, "compose.yaml")[0]
	all = map[string]service{}
	for name, s := range d["services"].(map[string]any) {
		one := decoded[service](t, s)
		all[name] = one
		if strings.HasPrefix(name, "hub") {
			nodes = append(nodes, one)
		}
	}
	if len(nodes) != 3 {
		t.Fatalf("%d nodes", len(nodes))
	}
	return nodes, all
}

// asked are the variables that README.md has people set.
func asked(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, line := range found(t, read(t, "README.md"), `(?m)^ +(CAAC_\w+=\S+)$`) {
		name, value, _ := strings.Cut(line, "=")
		out[name] = value
	}
	return out
}

func TestComposeNodesStartWithWhatTheyAreTold(t *testing.T) {
	nodes, all := services(t)
	vars := asked(t)
	names := map[string]bool{}
	for _, n := range nodes {
		env := map[string]string{}
		for name, value := range n.Environment {
			env[name] = regexp.MustCompile(`\$\{(\w+):\?[^}]*\}`).ReplaceAllStringFunc(value, func(v string) string {
				name := strings.Trim(strings.SplitN(v, ":", 2)[0], "${")
				if vars[name] == "" {
					t.Errorf("README.md does not say what %s is set to", name)
				}
				return vars[name]
			})
		}
		for _, name := range n.Secrets {
			if _, ok := someSecrets[name]; !ok {
				t.Errorf("the secret %s is given to nodes", name)
			}
		}
		l := load(t, env, "/run/secrets", someSecrets)
		names[l.Node] = true
		if grace := seconds(t, n.Grace); grace < ends(l)+5*time.Second {
			t.Errorf("%s has %s to end and may take %s", l.Node, grace, ends(l))
		}
		if got, want := fmt.Sprint(l.Proxies), fmt.Sprint([]string{all["nginx"].Networks["inside"].Address}); got != want {
			t.Errorf("%s believes %s, and nginx is %s", l.Node, got, want)
		}
	}
	if len(names) != len(nodes) {
		t.Errorf("the nodes' names are %v", names)
	}
}

func TestComposeRedisKeepsWhatItAccepted(t *testing.T) {
	_, all := services(t)
	command := strings.Join(all["redis"].Command, " ")
	for _, want := range []string{"--appendonly yes", "--appendfsync always", "--maxmemory-policy noeviction", "--requirepass"} {
		if !strings.Contains(command, want) {
			t.Errorf("%s is not in %s", want, command)
		}
	}
	room, err := strconv.Atoi(found(t, command, `--maxmemory (\d+)gb`)[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range found(t, read(t, "compose.yaml"), `CAAC_RETENTION_TRACE_BYTES: (\d+)GiB`) {
		if kept, err := strconv.Atoi(text); err != nil || 2*kept > room {
			t.Errorf("traces may grow to %s GiB, and Redis to %d", text, room)
		}
	}
	if len(all["redis"].Ports) != 0 || len(all["redis"].Networks) != 1 {
		t.Error("Redis can be reached from elsewhere")
	}
}

func TestNginxLeadsToTheNodes(t *testing.T) {
	conf := read(t, "nginx.conf")
	nodes, all := services(t)
	port := dockerfile(t).port
	var want []string
	for _, n := range nodes {
		want = append(want, n.Networks["inside"].Address+":"+port)
	}
	got := found(t, conf, `(?m)^\s*server ([\d.:]+) `)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("nginx leads to %v, and the nodes are %v", got, want)
	}
	listens := found(t, conf, `(?m)^\s*listen (\d+) ssl;`)[0]
	if p := all["nginx"].Ports; len(p) != 1 || p[0] != "443:"+listens {
		t.Errorf("published is %v, and nginx listens on %s", p, listens)
	}
	for _, file := range found(t, conf, `ssl_certificate(?:_key)? (\S+);`) {
		if !slices.ContainsFunc(all["nginx"].Volumes, func(v string) bool { return strings.Contains(v, ":"+file+":") }) {
			t.Errorf("%s is not mounted", file)
		}
	}
}

// silence is how long hub and page may say nothing to each other on a socket.
func silence(t *testing.T) time.Duration {
	t.Helper()
	text := read(t, "../hub/socket.go")
	var sum time.Duration
	for _, name := range []string{"quietTime", "pingTimeout"} {
		sum += seconds(t, found(t, text, name+` += (\d+) \* time\.Second`)[0]+"s")
	}
	return sum
}

func TestProxiesEndNoSocketThatLives(t *testing.T) {
	timeouts := found(t, read(t, "nginx.conf"), `(?s)location = /v1/socket \{.*?proxy_read_timeout (\d+s);.*?\}`)
	timeouts = append(timeouts, found(t, read(t, "nginx.conf"), `(?s)location = /v1/socket \{.*?proxy_send_timeout (\d+s);.*?\}`)...)
	ingress := decoded[struct {
		Metadata struct{ Annotations map[string]string }
	}](t, manifest(t, "Ingress")).Metadata.Annotations
	for _, name := range []string{"proxy-read-timeout", "proxy-send-timeout"} {
		timeouts = append(timeouts, ingress["nginx.ingress.kubernetes.io/"+name]+"s")
	}
	for _, timeout := range timeouts {
		if got := seconds(t, timeout); got < 2*silence(t) {
			t.Errorf("a socket is ended after %s, and %s may pass in silence", got, silence(t))
		}
	}
}

func TestProxiesPassTheLargestBody(t *testing.T) {
	largest, err := strconv.Atoi(found(t, read(t, "../http/server.go"), `BulkBody, (\d+)<<20`)[0])
	if err != nil {
		t.Fatal(err)
	}
	sizes := found(t, read(t, "nginx.conf"), `client_max_body_size (\d+)m;`)
	sizes = append(sizes, found(t, read(t, "kubernetes/ingress.yaml"), `proxy-body-size: (\d+)m`)...)
	for _, text := range sizes {
		if size, _ := strconv.Atoi(text); size <= largest {
			t.Errorf("bodies of %d MiB pass, and the hub takes %d", size, largest)
		}
	}
}

func TestOnlyMessagesAreRepeatedByNginx(t *testing.T) {
	conf := regexp.MustCompile(`(?m)#.*$`).ReplaceAllString(read(t, "nginx.conf"), "")
	for _, m := range regexp.MustCompile(`(?s)location (?:= )?(\S+) \{([^}]*)\}`).FindAllStringSubmatch(conf, -1) {
		repeats := strings.Contains(m[2], "non_idempotent")
		if message := m[1] == "/v1/messages" || m[1] == "/v1/messages/bulk"; repeats != message {
			t.Errorf("%s: a POST without an answer is repeated: %t", m[1], repeats)
		}
	}
	if strings.Contains(conf, "http_503") {
		t.Error("a 503 with its Retry-After would not reach the one who asked")
	}
}

func TestAccessLogHoldsNoQuery(t *testing.T) {
	format := found(t, read(t, "nginx.conf"), `log_format plain '([^']*)'`)[0]
	for _, v := range regexp.MustCompile(`\$\w+`).FindAllString(format, -1) {
		if v == "$request" || v == "$request_uri" || v == "$args" || strings.HasPrefix(v, "$http_") {
			t.Errorf("%s may hold what is not for logs", v)
		}
	}
}
