package stacks

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stackFile writes Pulumi.dev.yaml and returns its directory.
func stackFile(t testing.TB, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Pulumi.dev.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestReadStackFile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		want       PlainConfig
	}{
		{"empty", "", PlainConfig{}},
		{"nothing configured", "secretsprovider: passphrase\nencryptionsalt: v1:x\n", PlainConfig{}},
		{"text", "config:\n  alorig:rollout: psydge\n", PlainConfig{"alorig:rollout": "psydge"}},
		{"number and truth", "config:\n  alorig:a: 22\n  alorig:b: true\n", PlainConfig{"alorig:a": "22", "alorig:b": "true"}},
		{"object", "config:\n  alorig:ssh:\n    user: alorig\n    port: 22\n", PlainConfig{"alorig:ssh": `{"port":22,"user":"alorig"}`}},
		{"list", "config:\n  alorig:adminCidrs: [8.8.8.0/24, 8.8.4.0/24]\n", PlainConfig{"alorig:adminCidrs": `["8.8.8.0/24","8.8.4.0/24"]`}},
		{"another namespace", "config:\n  docker:host: x\n", PlainConfig{"docker:host": "x"}},
		{"encrypted", "config:\n  alorig:redisPassword:\n    secure: v1:abc\n", PlainConfig{}},
		{
			"encrypted members", "config:\n  alorig:secrets:\n    psydge:\n      SECRET_KEY:\n        secure: v1:abc\n      DEBUG: plain\n    asms:\n      SECRET_KEY:\n        secure: v1:def\n",
			PlainConfig{"alorig:secrets": `{"asms":{},"psydge":{"DEBUG":"plain"}}`},
		},
		{"encrypted elements", "config:\n  alorig:x:\n    - a\n    - secure: v1:abc\n    - [{secure: v1:def}]\n", PlainConfig{"alorig:x": `["a",[]]`}},
		{"an object that only looks encrypted", "config:\n  alorig:x:\n    a:\n      secure: v1:abc\n      note: y\n", PlainConfig{"alorig:x": `{"a":{"note":"y","secure":"v1:abc"}}`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := ReadStackFile(stackFile(t, tt.text), "dev")
			if err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func TestReadStackFileRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no YAML":             "config: [",
		"another form":        "config: 5\n",
		"key without a colon": "config:\n  rollout: psydge\n",
		"tab":                 "config:\n\talorig:rollout: psydge\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := ReadStackFile(stackFile(t, text), "dev"); err == nil || !strings.Contains(err.Error(), "Pulumi.dev.yaml") {
				t.Errorf("read as %v, %v", got, err)
			}
		})
	}

	_, err := ReadStackFile(t.TempDir(), "dev")
	if err == nil || !strings.Contains(err.Error(), "--stack") {
		t.Errorf("a stack without a file: %v", err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "Pulumi.dev.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadStackFile(dir, "dev"); err == nil || !strings.Contains(err.Error(), "reading the stack's settings") {
		t.Errorf("a directory for a file: %v", err)
	}
}

// Whatever a stack file says, reading it fails or gives a configuration that can be
// judged; nothing encrypted is left in it.
func FuzzReadStackFile(f *testing.F) {
	prod, err := os.ReadFile(filepath.Join("..", "Pulumi.prod.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(prod))
	f.Add("config:\n  alorig:secrets:\n    psydge:\n      SECRET_KEY:\n        secure: v1:abc\n")
	f.Add("config:\n  alorig:x: &a [*a]\n")
	f.Add("config:\n  alorig:x: {secure: [1]}\n  alorig:config:y: ~\n")
	f.Add("config: {? [a] : b}\n")
	f.Fuzz(func(t *testing.T, text string) {
		config, err := ReadStackFile(stackFile(t, text), "dev")
		if err != nil {
			return
		}
		for key := range config {
			if !strings.Contains(key, ":") {
				t.Errorf("key %q has no namespace", key)
			}
		}
		var wrong *SettingsError
		if err := Alorig().CheckSettings(config); err != nil && !errors.As(err, &wrong) {
			t.Errorf("not a SettingsError: %v", err)
		}
	})
}
