package settings

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/settings/settingstest"
	"github.com/alorig/fleet/internal/workload"
)

var (
	keys   = settingstest.Keys
	asJSON = settingstest.JSON
)

// needs are those of the real ledger; what runs in the apps reads two secrets each.
func needs() Needs {
	n := Needs{Ledger: ledger.Alorig(), Workloads: workload.Apps{}}
	for _, app := range n.Ledger.Apps {
		n.Workloads[app.Name] = []workload.Spec{{Role: ledger.Backend, Secrets: []string{"SECRET_KEY", "METAAPI_TOKEN"}}}
	}
	return n
}

// given is a configuration as a program is given it: keys without their namespace, the
// secret ones decrypted.
type given struct {
	values map[string]string
	secret map[string]bool
}

func (g given) config() Config {
	return Given(
		func(full string) (string, bool) {
			v, set := g.values[strings.TrimPrefix(full, Project+":")]
			return v, set
		},
		func(full string) bool { return g.secret[strings.TrimPrefix(full, Project+":")] },
	)
}

func (g given) with(key, value string) given {
	g.values = maps.Clone(g.values)
	g.values[key] = value
	return g
}

func (g given) without(keys ...string) given {
	g.values = maps.Clone(g.values)
	for _, key := range keys {
		delete(g.values, key)
	}
	return g
}

func (g given) encrypted(key string, is bool) given {
	g.secret = maps.Clone(g.secret)
	g.secret[key] = is
	return g
}

// inUse is a configuration of a real server.
func inUse() given {
	n := needs()
	values, secret := settingstest.InUse(n.Ledger, n.Workloads)
	return given{values, secret}
}

// problemsOf parses the configuration and returns what is wrong. Whatever it is, it is told
// whole, in plain words, without a secret, and with a remedy that names what it touches.
func problemsOf(t testing.TB, c Config, n Needs) []Problem {
	t.Helper()
	_, err := Parse(c, n)
	if err == nil {
		return nil
	}
	var wrong *Error
	if !errors.As(err, &wrong) {
		t.Fatalf("not a settings error: %v", err)
	}
	for _, p := range wrong.Problems {
		if p.Key == "" || p.Problem == "" || p.Accepts == "" || p.Remedy == "" {
			t.Errorf("incomplete: %+v", p)
		}
		for _, jargon := range []string{"json", "Go struct", "unmarshal", "map[", "interface", "settings.", "%!"} {
			if text := p.Problem + p.Accepts; strings.Contains(text, jargon) {
				t.Errorf("says %q: %s", jargon, text)
			}
		}
	}
	if text := err.Error() + asJSON(wrong.Problems); strings.Contains(text, "c4n4ry") || strings.Contains(text, "4444") {
		t.Errorf("shows a secret: %s", text)
	}
	return wrong.Problems
}

// keysOf are the paths of the problems, without their namespace.
func keysOf(problems []Problem) []string {
	var paths []string
	for _, p := range problems {
		paths = append(paths, strings.TrimPrefix(p.Key, Project+":"))
	}
	return paths
}

func secretKeys() (all []string) {
	for _, key := range Known() {
		if schema[key] == secretForm {
			all = append(all, key)
		}
	}
	return all
}

// find returns the problem of a path.
func find(t testing.TB, problems []Problem, path string) Problem {
	t.Helper()
	i := slices.IndexFunc(problems, func(p Problem) bool { return p.Key == Project+":"+path })
	if i < 0 {
		t.Fatalf("nothing about %s: %v", path, problems)
	}
	return problems[i]
}
