package settings

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
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

// keys holds a key pair for each thing that must parse as one. They open nothing.
var keys = sync.OnceValue(func() (k struct{ host, private, locked string }) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	host, err := ssh.NewPublicKey(public)
	if err != nil {
		panic(err)
	}
	open, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		panic(err)
	}
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("pass"))
	if err != nil {
		panic(err)
	}
	k.host = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host)))
	k.private, k.locked = string(pem.EncodeToMemory(open)), string(pem.EncodeToMemory(locked))
	return k
})

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // a test's own value
	}
	return string(text)
}

// inUse is a configuration of a real server: nothing is missing, nothing is a
// documentation value, and every secret is there.
func inUse() given {
	n := needs()
	g := given{secret: map[string]bool{}, values: map[string]string{
		"rollout": "asms", "platform": "existing", "serverAddress": "8.8.4.4",
		"ssh":        asJSON(map[string]any{"user": "alorig", "hostKey": keys().host}),
		"adminCidrs": `["8.8.8.0/24","2001:4860::/32"]`,
	}}
	zones, images := map[string]string{}, map[string]string{}
	for i, zone := range n.Ledger.Zones() {
		zones[zone] = fmt.Sprintf("9f8e7d6c5b4a3928%016x", 0xa1b2c3d4e5f60718+uint64(i))
	}
	for _, image := range n.Ledger.Images() {
		images[image] = "ghcr.io/alorig/" + image + "@sha256:" + strings.Repeat("ab", 32)
	}
	g.values["zones"], g.values["images"] = asJSON(zones), asJSON(images)
	secrets := map[string]map[string]string{}
	for _, app := range n.Ledger.Apps {
		secrets[app.Name] = map[string]string{}
		for _, name := range workload.RequiredSecrets(app, n.Workloads[app.Name]) {
			secrets[app.Name][name] = "c4n4ry-" + app.Name + "-" + name
		}
	}
	for key, value := range map[string]string{
		"sshPrivateKey": keys().private, "cloudflareApiToken": "c4n4ry-cloudflare",
		"postgresPassword": "c4n4ry-postgres", "redisPassword": "c4n4ry-redis", "secrets": asJSON(secrets),
	} {
		g.values[key], g.secret[key] = value, true
	}
	return g
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
