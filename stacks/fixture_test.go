package stacks

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/internal/settings/settingstest"
	"github.com/alorig/fleet/policy/rules"
)

// production is the production stack with documentation values, and with the rollout at its
// last app. The owner's own values are in the committed file: a test that read it would fail
// as soon as they are set.
func production(t testing.TB) settings.Config {
	t.Helper()
	dir := t.TempDir()
	for from, name := range map[string]string{"..": "Pulumi.yaml", "testdata": "Pulumi.prod.yaml"} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return complete(t, dir)
}

// complete is the production stack of a project, with the rollout at its last app.
func complete(t testing.TB, project string) settings.Config {
	t.Helper()
	config, err := settings.Open(project, "prod")
	if err != nil {
		t.Fatal(err)
	}
	apps := Alorig().Ledger.AppNames()
	return config.With("rollout", apps[len(apps)-1])
}

// newServer is the production stack on a server that has no shared services yet, so
// that the program declares those too.
func newServer(t testing.TB) settings.Config {
	t.Helper()
	return production(t).With("platform", "managed").With("images", newImages(t))
}

// newImages are those of the production stack and of the shared services.
func newImages(t testing.TB) map[string]string {
	t.Helper()
	images := maps.Clone(settingsOf(t, Alorig(), production(t)).Images)
	for _, s := range Alorig().Ledger.Services {
		if !s.OnDemand {
			kind := string(s.Kind)
			images[kind] = "registry.example.com/alorig/" + kind + "@sha256:20be73c9b7350d05f849acb668b7ede4991fa9d8f1173b0821a26fe8d2e0c064"
		}
	}
	return images
}

// settingsOf reads a configuration that has to be right.
func settingsOf(t testing.TB, f Fleet, config settings.Config) settings.Settings {
	t.Helper()
	s, err := f.Settings(config, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stored is a configuration as a program is given it: keys without their namespace, the
// secret ones decrypted.
type stored struct {
	values map[string]string
	secret map[string]bool
}

func (s stored) config() settings.Config {
	return settings.Given(
		func(full string) (string, bool) {
			v, set := s.values[strings.TrimPrefix(full, settings.Project+":")]
			return v, set
		},
		func(full string) bool { return s.secret[strings.TrimPrefix(full, settings.Project+":")] },
	)
}

func (s stored) with(key, value string) stored {
	s.values = maps.Clone(s.values)
	s.values[key] = value
	return s
}

func (s stored) withSecret(key, value string) stored {
	s.secret = maps.Clone(s.secret)
	s.secret[key] = true
	return s.with(key, value)
}

func (s stored) without(keys ...string) stored {
	s.values = maps.Clone(s.values)
	for _, key := range keys {
		delete(s.values, key)
	}
	return s
}

// secretKeys are the keys whose whole value is a secret.
var secretKeys = []string{"sshPrivateKey", "cloudflareApiToken", "registryPassword", "postgresPassword", "redisPassword"}

var (
	keys   = settingstest.Keys
	asJSON = settingstest.JSON
)

// inUse is a configuration of a real server.
func inUse() stored {
	values, secret := settingstest.InUse(ledger.Alorig(), Defined())
	return stored{values, secret}
}

// record returns what an update of the stack would register.
func record(t testing.TB, f Fleet, config settings.Config) []declared.Resource {
	t.Helper()
	recorded, err := f.dryRun("prod", settingsOf(t, f, config))
	if err != nil {
		t.Fatal(err)
	}
	return recorded
}

// judge holds what was recorded against the rules, built with the clean ledger.
func judge(rs []declared.Resource) []ledger.Finding {
	return rules.Judge(rules.NewFleet(ledger.Alorig()), rs)
}

func TestTheProductionStackIsClean(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]settings.Config{"existing": production(t), "managed": newServer(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rs := record(t, Alorig(), config)
			if len(rs) < 100 {
				t.Errorf("%d resources recorded", len(rs))
			}
			for _, finding := range judge(rs) {
				t.Errorf("[%s] %s", finding.Rule, finding)
			}
		})
	}
}

// checked is what `alorig check` does with a configuration.
func checked(t testing.TB, f Fleet, config settings.Config) ([]declared.Resource, []ledger.Finding, error) {
	t.Helper()
	s, err := f.Settings(config, "")
	if err != nil {
		return nil, nil, err
	}
	return f.Check("prod", s)
}
