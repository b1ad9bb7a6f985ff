package settings

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
)

// pulumiConfig is a stack's configuration in the hands of Pulumi's own code. What is
// encrypted is "v1:" and the plain text.
type pulumiConfig config.Map

const cipher = "v1:"

func plainOf(text string) string { return strings.TrimPrefix(text, cipher) }

// follow runs a remedy as a shell splits it, as the Pulumi CLI does what it says, with the
// given value in the place of its example. Of a sentence it follows the commands.
func (m pulumiConfig) follow(t testing.TB, p Problem, value string) {
	t.Helper()
	commands := []string{p.Remedy}
	if !strings.HasPrefix(p.Remedy, "pulumi ") {
		commands = regexp.MustCompile("pulumi config (get|rm) ('[^']*'|[^`,;])*").FindAllString(p.Remedy, -1)
	}
	for _, command := range commands {
		m.run(t, command, value)
	}
}

// run runs the commands of one line.
func (m pulumiConfig) run(t testing.TB, line, value string) {
	t.Helper()
	// What a command reads and prints does not matter here: the value is given.
	shell := exec.CommandContext(t.Context(), "sh", "-uc", `IFS=$(printf '\037'); pulumi() { printf '%s\n' "$*" >&2; }`+"\n"+strings.ReplaceAll(line, "< ~/.ssh/alorig", ""))
	var said strings.Builder
	shell.Stderr = &said
	if err := shell.Run(); err != nil {
		t.Fatalf("%s: %v: %s", line, err, said.String())
	}
	for _, command := range strings.Split(strings.TrimSuffix(said.String(), "\n"), "\n") {
		words := strings.Split(command, "\x1f")
		if len(words) < 3 || words[0] != "config" {
			t.Fatalf("%s: no pulumi config: %q", line, words)
		}
		verb, rest := words[1], words[2:]
		v, path := config.NewValue(value), false
		for strings.HasPrefix(rest[0], "--") {
			switch rest[0] {
			case "--secret":
				v = config.NewSecureValue(cipher + value)
			case "--path":
				path = true
			case "--plaintext":
			case "--type":
				if rest[1] != "string" {
					t.Fatalf("%s: type %s", line, rest[1])
				}
				v, rest = config.NewTypedValue(value, config.TypeString), rest[1:]
			default:
				t.Fatalf("%s: unknown flag %s", line, rest[0])
			}
			rest = rest[1:]
		}
		key, err := config.ParseKey(rest[0])
		if path { // as ParseConfigKey of the CLI: a colon may stand in the path
			namespace, name, _ := strings.Cut(rest[0], ":")
			key, err = config.MustMakeKey(namespace, name), nil
		}
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		switch verb {
		case "set":
			err = config.Map(m).Set(key, v, path)
		case "rm":
			err = config.Map(m).Remove(key, path)
		case "get":
			var found bool
			if _, found, err = config.Map(m).Get(key, path); err == nil && !found {
				t.Errorf("%s: there is no %s", line, rest[0])
			}
		default:
			t.Fatalf("%s: unknown verb", line)
		}
		if err != nil {
			t.Errorf("%s does not work: %v", line, err)
		}
	}
}

// given is the configuration as Pulumi hands it to a program.
func (m pulumiConfig) given(t testing.TB) given {
	t.Helper()
	g := given{values: map[string]string{}, secret: map[string]bool{}}
	for key, v := range m {
		text, err := v.Value(config.NopDecrypter)
		if err != nil {
			t.Fatal(err)
		}
		if v.Object() {
			var tree any
			if err := json.Unmarshal([]byte(text), &tree); err != nil {
				t.Fatal(err)
			}
			text = asJSON(decrypted(tree))
		} else {
			text = plainOf(text)
		}
		g.values[key.Name()], g.secret[key.Name()] = text, v.Secure()
	}
	return g
}

func decrypted(tree any) any {
	switch v := tree.(type) {
	case map[string]any:
		if text, ok := v["secure"].(string); ok && len(v) == 1 {
			return plainOf(text)
		}
		for name := range v {
			v[name] = decrypted(v[name])
		}
	case []any:
		for i := range v {
			v[i] = decrypted(v[i])
		}
	}
	return tree
}

// at returns the text at a path such as zones["psydge.com"].
func (g given) at(t testing.TB, keyPath string) string {
	t.Helper()
	path, err := resource.ParsePropertyPath(keyPath)
	if err != nil {
		t.Fatalf("%s is no property path: %v", keyPath, err)
	}
	value := g.values[path[0].(string)]
	if len(path) == 1 {
		return value
	}
	var tree any
	if err := json.Unmarshal([]byte(value), &tree); err != nil {
		t.Fatal(err)
	}
	text, ok := path[1:].Get(resource.NewPropertyValue(tree))
	if !ok || !text.IsString() {
		t.Fatalf("nothing at %s", keyPath)
	}
	return text.StringValue()
}
