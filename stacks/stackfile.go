package stacks

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/encoding"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"

	"github.com/alorig/fleet/internal/shell"
)

// PlainConfig is what a stack file says in plain text, in the form in which the engine
// hands it to a program: keys with their namespace, structured values as JSON. Whatever
// is encrypted is left out; nobody needs a passphrase to judge a pull request.
type PlainConfig map[string]string

func (c PlainConfig) get(key string) (string, bool) {
	value, set := c[Project+":"+key]
	return value, set
}

// isSecret is false: what is here is not encrypted.
func (c PlainConfig) isSecret(string) bool { return false }

// audited notes which keys were asked for.
type audited struct {
	PlainConfig
	asked map[string]bool
}

func (a audited) get(key string) (string, bool) {
	a.asked[key] = true
	return a.PlainConfig.get(key)
}

// secretKeys are the keys whose whole value must be encrypted.
var secretKeys = []string{"sshPrivateKey", "cloudflareApiToken", "registryPassword", "postgresPassword", "redisPassword"}

// readPlain reads the settings of a stack file; secrets may be missing. It also reports
// what only the file shows: a secret in plain text, and a key that nothing reads.
func readPlain(config PlainConfig, f Fleet) (Settings, error) {
	source := audited{config, map[string]bool{}}
	settings, err := parseSettings(source, f, true)
	p := parser{source: config}
	var wrong *SettingsError
	if errors.As(err, &wrong) {
		p.problems = wrong.Problems
	}
	for _, full := range slices.Sorted(maps.Keys(config)) {
		key, ours := strings.CutPrefix(full, Project+":")
		value, set := p.get(key)
		switch {
		case !ours || !set:
		case key == "secrets":
			given := map[string]map[string]string{}
			if json.Unmarshal([]byte(value), &given) == nil { // else it has been reported
				p.plainMembers(given)
			}
		case slices.Contains(secretKeys, key):
			p.plainText(key)
		case !source.asked[key]:
			p.problems = append(p.problems, Problem{
				Key: full, Problem: "is read by nothing; is it misspelt?", Accepts: "the keys that Pulumi.yaml describes",
				Remedy: "pulumi config rm " + shell.Word(full),
			})
		}
	}
	if len(p.problems) > 0 {
		return Settings{}, &SettingsError{p.problems}
	}
	return settings, err
}

// ReadStackFile reads Pulumi.<stack>.yaml in dir.
func ReadStackFile(dir, stack string) (PlainConfig, error) {
	file := filepath.Join(dir, "Pulumi."+stack+".yaml")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no %s; run this in the project's directory, or name a stack that has a file with --stack", file)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the stack's settings: %w", err)
	}
	var stackFile workspace.ProjectStack
	if err := encoding.YAML.Unmarshal(text, &stackFile); err != nil {
		return nil, fmt.Errorf("%s is not a Pulumi stack file: %w", file, err)
	}
	plain := PlainConfig{}
	for key, value := range stackFile.Config {
		text, ok, err := plainValue(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %s cannot be read: %w", file, key, err)
		}
		if ok {
			plain[key.String()] = text
		}
	}
	return plain, nil
}

// plainValue returns a value without its encrypted parts; ok is false when nothing is left.
func plainValue(v config.Value) (text string, ok bool, err error) {
	if !v.Object() {
		if v.Secure() {
			return "", false, nil
		}
		text, err := v.Value(config.NopDecrypter)
		return text, true, err
	}
	raw, err := v.Value(config.NopDecrypter)
	if err != nil {
		return "", false, err
	}
	var tree any
	if err := json.Unmarshal([]byte(raw), &tree); err != nil {
		return "", false, err
	}
	tree, ok = withoutSecure(tree)
	if !ok {
		return "", false, nil
	}
	kept, err := json.Marshal(tree)
	return string(kept), true, err
}

// withoutSecure drops every {"secure": "…"} from a tree.
func withoutSecure(tree any) (any, bool) {
	switch t := tree.(type) {
	case map[string]any:
		if _, secure := t["secure"].(string); secure && len(t) == 1 {
			return nil, false
		}
		for k, v := range t {
			kept, ok := withoutSecure(v)
			if !ok {
				delete(t, k)
				continue
			}
			t[k] = kept
		}
	case []any:
		kept := []any{}
		for _, v := range t {
			if plain, ok := withoutSecure(v); ok {
				kept = append(kept, plain)
			}
		}
		return kept, true
	}
	return tree, true
}
