package stacks

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/policy/rules"
)

// production is the committed production stack, with the rollout at its last app. The
// map is the caller's own.
func production(t testing.TB) PlainConfig {
	t.Helper()
	config, err := ReadStackFile("..", "prod")
	if err != nil {
		t.Fatal(err)
	}
	apps := Alorig().Ledger.AppNames()
	config[Project+":rollout"] = apps[len(apps)-1]
	return config
}

// newServer is the production stack on a server that has no shared services yet, so
// that the program declares those too.
func newServer(t testing.TB) PlainConfig {
	t.Helper()
	config := production(t)
	config[Project+":platform"] = "managed"
	images := map[string]string{}
	if err := json.Unmarshal([]byte(config[Project+":images"]), &images); err != nil {
		t.Fatal(err)
	}
	for _, s := range Alorig().Ledger.Services {
		if !s.OnDemand {
			kind := string(s.Kind)
			images[kind] = "registry.example.com/alorig/" + kind + "@sha256:20be73c9b7350d05f849acb668b7ede4991fa9d8f1173b0821a26fe8d2e0c064"
		}
	}
	return with(config, "images", images)
}

// with returns the configuration with one setting replaced, in the form in which the
// engine hands structured values to a program.
func with(config PlainConfig, key string, value any) PlainConfig {
	changed := maps.Clone(config)
	text, ok := value.(string)
	if !ok {
		encoded, err := json.Marshal(value)
		if err != nil {
			panic(err) // a test's own value
		}
		text = string(encoded)
	}
	changed[Project+":"+key] = text
	return changed
}

// settingsOf reads the configuration as the program does; secrets are placeholders.
func settingsOf(t testing.TB, f Fleet, config PlainConfig) Settings {
	t.Helper()
	s, err := parseSettings(config, f, true)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// record returns what an update of the stack would register.
func record(t testing.TB, f Fleet, config PlainConfig) []declared.Resource {
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
	for name, config := range map[string]PlainConfig{"existing": production(t), "managed": newServer(t)} {
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
