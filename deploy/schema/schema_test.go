// Package schema_test reads the manifests and the Compose file as Kubernetes'
// own types and Compose's own loader do, strictly.
package schema_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

// known makes an empty object for each apiVersion and kind that the manifests use.
var known = map[string]func() any{
	"apps/v1 Deployment":                 func() any { return new(appsv1.Deployment) },
	"v1 Service":                         func() any { return new(corev1.Service) },
	"v1 ConfigMap":                       func() any { return new(corev1.ConfigMap) },
	"v1 Secret":                          func() any { return new(corev1.Secret) },
	"policy/v1 PodDisruptionBudget":      func() any { return new(policyv1.PodDisruptionBudget) },
	"networking.k8s.io/v1 Ingress":       func() any { return new(networkingv1.Ingress) },
	"networking.k8s.io/v1 NetworkPolicy": func() any { return new(networkingv1.NetworkPolicy) },
}

func objects(t *testing.T, text []byte) []any {
	t.Helper()
	var out []any
	r := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text)))
	defer r.Close()
	buf := make([]byte, 1<<20)
	for {
		n, err := r.Read(buf)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		var kind metav1.TypeMeta
		if err := strict.Unmarshal(buf[:n], &kind); err != nil {
			t.Fatal(err)
		}
		make, ok := known[kind.APIVersion+" "+kind.Kind]
		if !ok {
			t.Errorf("unknown: apiVersion %q, kind %q", kind.APIVersion, kind.Kind)
			continue
		}
		o := make()
		if err := strict.UnmarshalStrict(buf[:n], o); err != nil {
			t.Errorf("%s: %v", kind.Kind, err)
		}
		out = append(out, o)
	}
}

func TestManifestsAreWhatKubernetesReads(t *testing.T) {
	files, err := filepath.Glob("../kubernetes/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(file), func(t *testing.T) { seen += len(objects(t, b)) })
	}
	if seen != len(known) {
		t.Errorf("%d objects, want %d", seen, len(known))
	}
}

func TestMisspelledFieldIsFound(t *testing.T) {
	for _, text := range []string{"replica: 3", "replicas: three", "template: {spec: {containers: [{livenessProbe: {httpGet: {pathh: /}}}]}}"} {
		d := new(appsv1.Deployment)
		if err := strict.UnmarshalStrict([]byte("spec: {"+text+"}"), d); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func TestPodIsLockedDown(t *testing.T) {
	b, err := os.ReadFile("../kubernetes/hub.yaml")
	if err != nil {
		t.Fatal(err)
	}
	pod := objects(t, b)[0].(*appsv1.Deployment).Spec.Template.Spec
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Error("the pod holds a token of the cluster")
	}
	if s := pod.SecurityContext; s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("security context %+v", s)
	}
	for _, c := range pod.Containers {
		s := c.SecurityContext
		if !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" {
			t.Errorf("%s: %+v", c.Name, s)
		}
		for _, e := range c.Env {
			if e.Name != "GOMEMLIMIT" {
				continue
			}
			if soft, hard := resource.MustParse(e.Value[:len(e.Value)-1]), c.Resources.Limits.Memory(); soft.Cmp(*hard) >= 0 {
				t.Errorf("GOMEMLIMIT %s is not below the limit %s", e.Value, hard)
			}
		}
	}
}

func TestComposeFileIsWhatComposeReads(t *testing.T) {
	b, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	load := func(text []byte, env types.Mapping) (*types.Project, error) {
		return loader.LoadWithContext(t.Context(), types.ConfigDetails{
			WorkingDir:  dir,
			ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "compose.yaml"), Content: text}},
			Environment: env,
		})
	}
	env := types.Mapping{
		"CAAC_ORIGINS": "https://caac.example.com", "CAAC_PUBLIC_URL": "https://hub.example.com",
		"CAAC_CONVERSATION_URL": "https://caac.example.com/chats/{conversation}",
	}
	p, err := load(b, env)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Services) != 5 {
		t.Errorf("services %v", p.ServiceNames())
	}
	hub := p.Services["hub1"]
	if v := hub.Environment["CAAC_CONVERSATION_URL"]; v == nil || *v != env["CAAC_CONVERSATION_URL"] {
		t.Errorf("environment %v", hub.Environment)
	}
	if _, err := load(b, nil); err == nil {
		t.Error("it starts without being told its origins")
	}
	if _, err := load(bytes.Replace(b, []byte("stop_grace_period"), []byte("stop_grace_perod"), 1), env); err == nil {
		t.Error("a misspelled key is taken")
	}
}
