package settings

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	pulumiworkspace "github.com/pulumi/pulumi/pkg/v3/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/common/encoding"
	"github.com/pulumi/pulumi/sdk/v3/go/common/esc"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// project makes a directory with the committed Pulumi.yaml and a stack file of its own.
func project(t testing.TB, stackFile string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "Pulumi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "Pulumi.yaml"), string(text))
	write(t, filepath.Join(dir, "Pulumi.dev.yaml"), stackFile)
	return dir
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// sealedFile is the configuration of a real server as a stack file, every secret encrypted.
func sealedFile(t testing.TB) config.Map {
	t.Helper()
	m, g := config.Map{}, inUse()
	for key, text := range g.values {
		full := config.MustMakeKey(Project, key)
		switch {
		case key == "secrets":
			secrets := map[string]map[string]string{}
			if err := json.Unmarshal([]byte(text), &secrets); err != nil {
				t.Fatal(err)
			}
			for app, of := range secrets {
				for name, value := range of {
					put(t, m, member(member(key, app), name), config.NewSecureValue(cipher+value))
				}
			}
		case schema[key] == objectForm || schema[key] == listForm:
			m[full] = config.NewObjectValue(text)
		case g.secret[key]:
			m[full] = config.NewSecureValue(cipher + text)
		default:
			m[full] = config.NewValue(text)
		}
	}
	return m
}

func put(t testing.TB, m config.Map, path string, v config.Value) {
	t.Helper()
	if err := m.Set(config.MustMakeKey(Project, path), v, true); err != nil {
		t.Fatal(err)
	}
}

// open writes a stack file as Pulumi does, and reads it.
func open(t testing.TB, m config.Map) Config {
	t.Helper()
	text, err := encoding.YAML.Marshal(&workspace.ProjectStack{Config: m})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(project(t, string(text)), "dev")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheCommittedStacksAreAccepted(t *testing.T) {
	t.Parallel()
	for _, stack := range []string{"prod", "sandbox"} {
		c, err := Open(filepath.Join("..", ".."), stack)
		if err != nil {
			t.Fatal(err)
		}
		if problems := problemsOf(t, c, needs()); problems != nil {
			t.Errorf("%s: %v", stack, problems)
		}
	}
	if problems := problemsOf(t, open(t, sealedFile(t)), needs()); problems != nil {
		t.Errorf("a complete stack: %v", problems)
	}
}

// Pulumi.yaml describes every key that is read, and no other, and has no other defaults
// than this package.
func TestPulumiYamlDescribesEveryKey(t *testing.T) {
	t.Parallel()
	described, err := workspace.LoadProject(filepath.Join("..", "..", "Pulumi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if string(described.Name) != Project {
		t.Errorf("the project is called %s, the code reads %s:", described.Name, Project)
	}
	var names []string
	types := map[form]string{textForm: "string", secretForm: "string", objectForm: "object", listForm: "array"}
	for full, key := range described.Config {
		name := strings.TrimPrefix(full, Project+":")
		names = append(names, name)
		if len(key.Description) < 20 || !strings.HasSuffix(key.Description, ".") {
			t.Errorf("%s: description %q", full, key.Description)
		}
		if key.TypeName() != types[schema[name]] && key.TypeName() != "array<string>" {
			t.Errorf("%s is a %s in Pulumi.yaml and a %s in the code", full, key.TypeName(), types[schema[name]])
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, Known()) {
		t.Errorf("Pulumi.yaml describes\n%v, the code reads\n%v", names, Known())
	}

	// The defaults hide nothing that is missing, and are those of the code.
	m := config.Map{}
	if err := applyDefaults(m, described); err != nil {
		t.Fatal(err)
	}
	if got, want := problemsOf(t, pulumiConfig(m).given(t).config(), needs()), problemsOf(t, given{}.config(), needs()); !reflect.DeepEqual(got, want) {
		t.Errorf("with the defaults of Pulumi.yaml: %v\nwithout: %v", got, want)
	}
	merged := inUse()
	for key, value := range pulumiConfig(m).given(t).values {
		if _, set := merged.values[key]; !set {
			merged = merged.with(key, value)
		}
	}
	bare, err := Parse(inUse().config(), needs())
	if err != nil {
		t.Fatal(err)
	}
	filled, err := Parse(merged.config(), needs())
	if err != nil || !reflect.DeepEqual(bare, filled) {
		t.Errorf("Pulumi.yaml has other defaults than the code: %+v, %+v, %v", filled, bare, err)
	}
}

// Defaults and keys without a namespace are applied as Pulumi's own code applies them.
func TestAFileIsReadAsPulumiReadsIt(t *testing.T) {
	t.Parallel()
	const declared = `name: alorig
runtime: go
config:
  alorig:text: {type: string, default: "x"}
  alorig:number: {type: integer, default: 7}
  alorig:truth: {type: boolean, default: false}
  alorig:empty: {type: string, default: ""}
  alorig:object: {type: object, default: {a: {b: 1}}}
  alorig:list: {type: array, items: {type: string}, default: [a, b]}
  short: {type: string, default: "y"}
  docker:host: {value: "tcp://x"}
  alorig:needed: {type: string}
`
	for name, stack := range map[string]string{
		"nothing":            "",
		"no configuration":   "secretsprovider: passphrase\n",
		"all":                "config:\n  alorig:text: a\n  alorig:number: 1\n  alorig:truth: true\n  alorig:object: {c: 2}\n  alorig:list: []\n  alorig:short: b\n  docker:host: z\n  alorig:needed: q\n",
		"without namespace":  "config:\n  text: a\n  short: b\n",
		"empty":              "config:\n  alorig:text:\n  alorig:object: {}\n  alorig:list: ~\n  alorig:empty: ''\n",
		"encrypted":          "config:\n  alorig:text:\n    secure: v1:abc\n  alorig:object:\n    a:\n      secure: v1:def\n  alorig:list:\n    - secure: v1:ghi\n    - x\n",
		"the old way":        "config:\n  alorig:config:text: a\n",
		"Windows line ends":  "config:\r\n  alorig:text: a\r\n  alorig:object:\r\n    c: |\r\n      two\r\n      lines\r\n",
		"a byte order mark":  "\ufeffconfig:\n  alorig:text: a\n",
		"what nobody wanted": "config:\n  alorig:other: 1.5\n  x:y: {z: [1, true, null, 2021-01-01]}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, filepath.Join(dir, "Pulumi.yaml"), declared)
			write(t, filepath.Join(dir, "Pulumi.dev.yaml"), stack)
			read, err := workspace.LoadProject(filepath.Join(dir, "Pulumi.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := workspace.LoadProjectStack(nil, read, filepath.Join(dir, "Pulumi.dev.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			if err := pulumiworkspace.ApplyProjectConfig(context.Background(), "dev", read, esc.Value{}, theirs.Config, config.NopEncrypter, config.NopDecrypter); err != nil {
				t.Fatal(err)
			}
			ours, err := readFile(filepath.Join(dir, "Pulumi.dev.yaml"), read)
			if err == nil {
				err = applyDefaults(ours, read)
			}
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(ours, theirs.Config) {
				t.Errorf("%v, Pulumi has %v", ours, theirs.Config)
			}
			c, err := Open(dir, "dev")
			if err != nil {
				t.Fatal(err)
			}
			if got := len(c.values) + len(c.others); got != len(theirs.Config) {
				t.Errorf("%d keys, Pulumi has %d", got, len(theirs.Config))
			}
		})
	}
}

// What Pulumi itself refuses for its type is refused here too, so that a check says no
// later yes.
func TestPulumisOwnTypesAreHeld(t *testing.T) {
	t.Parallel()
	described, err := workspace.LoadProject(filepath.Join("..", "..", "Pulumi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range Known() {
		for name, v := range map[string]config.Value{
			"text": config.NewValue("x"), "empty text": config.NewValue(""), "JSON as text": config.NewValue(`{"psydge":{"A":"b"}}`),
			"object": config.NewObjectValue(`{"a":"b"}`), "list": config.NewObjectValue(`["8.8.8.8/32"]`), "list of numbers": config.NewObjectValue(`[8]`),
			"encrypted": config.NewSecureValue("v1:x"), "encrypted JSON": config.NewSecureValue(`v1:{"psydge":{"A":"b"}}`),
		} {
			m := sealedFile(t)
			if key == "engine" { // which asks for other keys
				continue
			}
			m[config.MustMakeKey(Project, key)] = v
			problems := problemsOf(t, open(t, maps.Clone(m)), needs())
			theirs := pulumiworkspace.ValidateStackConfigAndApplyProjectConfig(context.Background(), "dev", described, esc.Value{}, m, config.NopEncrypter, untouched{})
			if theirs != nil && len(problems) == 0 {
				t.Errorf("%s as %s: accepted, and Pulumi says %v", key, name, theirs)
			}
		}
	}
}

// untouched decrypts to what it is given.
type untouched struct{}

func (untouched) DecryptValue(_ context.Context, text string) (string, error) { return text, nil }

func (untouched) BatchDecrypt(_ context.Context, texts []string) ([]string, error) {
	return texts, nil
}

func TestFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, says string }{
		"no YAML":            {"config: [", "cannot be read as YAML"},
		"a number":           {"config: 4444\n", "config is no object"},
		"a secret there":     {"config: c4n4ry\n", "config is no object"},
		"text":               {"c4n4ry\n", "it is no YAML object"},
		"an anchor":          {"config:\n  alorig:redisPassword: *c4n4ry\n", "cannot be read as YAML; write a value"},
		"a tag":              {"config:\n  alorig:redisPassword: !!int c4n4ry\n", "Pulumi.dev.yaml is not a Pulumi stack file"},
		"a percent sign":     {"config:\n  alorig:redisPassword: %c4n4ry\n", "line 2"},
		"an unended quote":   {"config:\n  alorig:redisPassword: \"c4n4ry\n", "cannot be read as YAML"},
		"tab":                {"config:\n\talorig:rollout: psydge\n", "line 2"},
		"a key of three":     {"config:\n  a:b:c: c4n4ry\n", `the key "a:b:c"; accepted: NAMESPACE:NAME`},
		"twice":              {"config:\n  rollout: asms\n  alorig:rollout: psydge\n", `alorig:rollout twice, as "alorig:rollout" and "rollout"`},
		"twice, the old way": {"config:\n  alorig:config:tls: internal\n  alorig:tls: cloudflare\n", "alorig:tls twice"},
		"the same key twice": {"config:\n  alorig:secrets:\n    c4n4ry: 1\n  alorig:tls: internal\n  alorig:secrets: {}\n", "line 5 has a key that line 2 has already; keep one"},
		"a wrong escape":     {"config:\n  alorig:redisPassword: \"c4n4ry\\d\"\n", "line 2: found unknown escape character"},
		"no text":            {"config:\n  alorig:redisPassword: c4n4ry\xff\n", "UTF-8"},
		"a merge":            {"config:\n<<<<<<< HEAD\n  alorig:tls: internal\n=======\n", "line "},
		"another part":       {"secretsprovider: {c4n4ry: 1}\nconfig:\n  alorig:tls: internal\n", "a part of it is not of the form"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(project(t, tt.text), "dev")
			if err == nil || !strings.Contains(err.Error(), "Pulumi.dev.yaml") || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("%v, want %q", err, tt.says)
			}
			for _, no := range []string{"c4n4ry", "4444", "config.Map", "unmarshal"} {
				if strings.Contains(err.Error(), no) {
					t.Errorf("says %s: %v", no, err)
				}
			}
		})
	}
	if _, err := Open(project(t, ""), "staging"); err == nil || !strings.Contains(err.Error(), "Pulumi.staging.yaml") || !strings.Contains(err.Error(), "--stack") {
		t.Errorf("no stack: %v", err)
	}
}

// A clone may have the line ends of Windows.
func TestWindowsLineEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"Pulumi.yaml", "Pulumi.prod.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), strings.ReplaceAll(string(text), "\n", "\r\n"))
	}
	c, err := Open(dir, "prod")
	if err != nil {
		t.Fatal(err)
	}
	here, err := Open(filepath.Join("..", ".."), "prod")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c.values, here.values) {
		t.Errorf("%v\n%v", c.values, here.values)
	}
}

func TestTheProjectIsFound(t *testing.T) {
	dir := project(t, "")
	below := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(below, 0o700); err != nil {
		t.Fatal(err)
	}
	resolved := func(path string) string {
		path, err := filepath.EvalSymlinks(path)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	finds := func(when, named string) {
		t.Helper()
		if c, err := Open(named, "dev"); err != nil || resolved(c.Directory) != resolved(dir) || !filepath.IsAbs(c.Directory) {
			t.Errorf("%s: %s, %v", when, c.Directory, err)
		}
	}
	fails := func(when, named string, says ...string) {
		t.Helper()
		_, err := Open(named, "dev")
		for _, want := range says {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", when, err, want)
			}
		}
	}
	t.Chdir(below)
	finds("from below", "")
	finds("by a relative name", "../..")
	finds("by its name", dir)
	write(t, filepath.Join(below, "Pulumi.yaml"), "name: another\nruntime: go\n")
	finds("below another project", "")
	fails("another project by its name", ".", "Pulumi.yaml is of the project another, not alorig", "--dir")
	write(t, filepath.Join(below, "Pulumi.yaml"), "<<<<<<< HEAD\n")
	finds("below a broken project", "")

	t.Chdir(t.TempDir())
	fails("elsewhere", "", "does not lie in the fleet repository", "--dir")
	fails("no project by its name", ".", "there is no ", "Pulumi.yaml", "--dir")
	write(t, "Pulumi.yaml", "name: alorig\n<<<<<<< HEAD\nruntime: go\n")
	fails("a broken project", "", "reading the project: could not unmarshal", "Pulumi.yaml", "line ")
	fails("a broken project by its name", ".", "reading the project: could not unmarshal")
}

func TestStackName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"prod": "prod", "organization/alorig/prod": "prod", "me/prod": "prod", "a.b-c_d": "a.b-c_d"} {
		if got, err := StackName(name); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "../prod", "/prod", "a/shop/prod", "a/alorig/b/prod", `a\b`, "..", "pr od", "prod\n"} {
		if got, err := StackName(name); err == nil || !strings.Contains(err.Error(), "names no stack") {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
}

// The Pulumi CLI can be told of another file for all its commands.
func TestAnotherStackFile(t *testing.T) {
	dir := project(t, "config:\n  alorig:rollout: asms\n")
	write(t, filepath.Join(dir, "other.yaml"), "config:\n  alorig:rollout: psydge\n")
	for _, file := range []string{"other.yaml", filepath.Join(dir, "other.yaml")} {
		t.Setenv(configFileVariable, file)
		c, err := Open(dir, "dev")
		if err != nil || c.values["rollout"].text != "psydge" || c.file != "other.yaml" {
			t.Errorf("%v, %v", c.values["rollout"], err)
		}
	}
	t.Setenv(configFileVariable, "nope.yaml")
	if _, err := Open(dir, "dev"); err == nil || !strings.Contains(err.Error(), "nope.yaml, which PULUMI_OPTION_CONFIG_FILE names; correct or unset that") {
		t.Errorf("no such file: %v", err)
	}
}

// What is encrypted is not judged, and said so: it is neither missing nor does it move what
// stands behind it.
func TestWhatIsEncryptedIsNotJudged(t *testing.T) {
	t.Parallel()
	texts := []string{
		"rollout", "platform", "tls", "engine", "serverAddress", "caddyDirectory", "serverDirectory", "serverArchitecture", "cloudflareApiHostname", "acmeEmail", "dockerSocket", "subnet",
		"ssh.user", "ssh.port", "ssh.hostKey", "postgres.host", "postgres.port", "postgres.user", `zones["psydge.com"]`, `images["psydge-backend"]`, "adminCidrs[0]",
	}
	for _, path := range texts {
		m := sealedFile(t)
		put(t, m, path, config.NewSecureValue("v1:c4n4ry"))
		s, err := Parse(open(t, m), needs())
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if !slices.Equal(s.NotJudged, []string{Project + ":" + path}) {
			t.Errorf("%s: not judged are %v", path, s.NotJudged)
		}
		var refused *Error
		if !errors.As(s.RefuseNotJudged(), &refused) || len(refused.Problems) != 1 || refused.Problems[0].Key != Project+":"+path {
			t.Fatalf("%s: %v", path, refused)
		}
		pulumiConfig(m).follow(t, refused.Problems[0], "x")
		if v, _, err := m.Get(config.MustMakeKey(Project, path), true); err != nil || v.Secure() {
			t.Errorf("%s: the remedy leaves it encrypted", path)
		}
	}

	m := sealedFile(t)
	put(t, m, "adminCidrs[0]", config.NewSecureValue("v1:x"))
	put(t, m, "adminCidrs[1]", config.NewValue("x"))
	if got := keysOf(problemsOf(t, open(t, m), needs())); !slices.Equal(got, []string{"adminCidrs[1]"}) {
		t.Errorf("the index moved: %v", got)
	}

	// An object that is encrypted as a whole is a text for Pulumi.
	for _, key := range []string{"ssh", "zones", "images", "registry", "adminCidrs", "postgres", "secrets"} {
		m := sealedFile(t)
		m[config.MustMakeKey(Project, key)] = config.NewSecureValue("v1:{}")
		p := find(t, problemsOf(t, open(t, m), needs()), key)
		if !strings.Contains(p.Problem, "is one encrypted text, not a") || !strings.HasPrefix(p.Remedy, "keep what") {
			t.Errorf("%+v", p)
		}
	}
}

// A key that nothing reads is found, encrypted or not, in our namespace or beside it.
func TestStrays(t *testing.T) {
	t.Parallel()
	for key, says := range map[string]string{
		"alorig:caddyDirectoy":             "did you mean alorig:caddyDirectory?",
		"alorig:adminCIDRs":                "did you mean alorig:adminCidrs?",
		"alorig:redisPasword":              "did you mean alorig:redisPassword?",
		"alorig:whatever":                  "is it misspelt?",
		"alorig:secrets.psydge.SECRET_KEY": "was set without --path",
		`alorig:zones["psydge.com"]`:       "was set without --path",
		"alorig:adminCidrs[0]":             "was set without --path",
		"alorg:rollout":                    "did you mean alorig:rollout?",
		"Alorig:tls":                       "did you mean alorig:tls?",
		"alorgi:redisPasswrd":              "did you mean alorig:redisPassword?",
		"dockr:host":                       "did you mean docker:host?",
		"cloudfare:apiToken":               "did you mean cloudflare:apiToken?",
		"postgressql:password":             "did you mean postgresql:password?",
	} {
		for _, v := range []config.Value{config.NewValue("c4n4ry"), config.NewSecureValue("v1:c4n4ry"), config.NewObjectValue(`{"a":"c4n4ry"}`)} {
			m := sealedFile(t)
			m[config.MustParseKey(key)] = v
			problems := problemsOf(t, open(t, m), needs())
			if len(problems) != 1 || problems[0].Key != key || !strings.Contains(problems[0].Problem, says) {
				t.Errorf("%s: %v", key, problems)
				continue
			}
			// The right one is set already, or there is none: the stray alone is removed.
			if strings.HasPrefix(problems[0].Remedy, "pulumi config rm ") || strings.HasPrefix(problems[0].Remedy, "keep what") {
				want := sealedFile(t)
				pulumiConfig(m).follow(t, problems[0], "")
				if !reflect.DeepEqual(m, want) {
					t.Errorf("%s: %s leaves %v", key, problems[0].Remedy, m)
				}
			} else if !strings.HasPrefix(problems[0].Remedy, "rename it in Pulumi.dev.yaml: "+key+" becomes ") {
				t.Errorf("%s: %s", key, problems[0].Remedy)
			}
		}
	}
	m := sealedFile(t)
	for _, key := range []string{"docker:host", "cloudflare:apiToken", "pulumi:disable-default-providers", "aws:region"} {
		m[config.MustParseKey(key)] = config.NewValue("x")
	}
	if problems := problemsOf(t, open(t, m), needs()); problems != nil {
		t.Errorf("keys of others: %v", problems)
	}

	// What was set without --path goes where it belongs, when there is nothing yet.
	m = sealedFile(t)
	if err := m.Remove(config.MustMakeKey(Project, "secrets.psydge.SECRET_KEY"), true); err != nil {
		t.Fatal(err)
	}
	m[config.MustMakeKey(Project, "secrets.psydge.SECRET_KEY")] = config.NewSecureValue("v1:c4n4ry-psydge-SECRET_KEY")
	pulumiConfig(m).follow(t, problemsOf(t, open(t, m), needs())[0], "c4n4ry-psydge-SECRET_KEY")
	if !reflect.DeepEqual(m, sealedFile(t)) {
		t.Errorf("the remedy leaves %v", m)
	}
	// And what is misspelt is renamed, not set anew: it may be encrypted.
	m = sealedFile(t)
	delete(m, config.MustMakeKey(Project, "redisPassword"))
	m[config.MustMakeKey(Project, "redisPasword")] = config.NewSecureValue("v1:x")
	if p := problemsOf(t, open(t, m), needs()); len(p) != 1 || p[0].Remedy != "rename it in Pulumi.dev.yaml: alorig:redisPasword becomes alorig:redisPassword" {
		t.Errorf("%v", p)
	}
}

// One secret in plain text among encrypted ones is found, in the file and by the program
// that reads it.
func TestOnePlainSecretAmongEncryptedOnes(t *testing.T) {
	t.Parallel()
	for path, v := range map[string]config.Value{
		"secrets.psydge.SECRET_KEY":  config.NewValue("c4n4ry"),
		"secrets.psydge.UNUSED":      config.NewValue("c4n4ry"),
		"secrets.shop.TOKEN":         config.NewValue("c4n4ry"),
		"secrets.asms.METAAPI_TOKEN": config.NewTypedValue("4444", config.TypeInt),
	} {
		m := sealedFile(t)
		put(t, m, path, v)
		file := open(t, maps.Clone(m))
		inFile := problemsOf(t, file, needs())
		if len(inFile) != 1 || inFile[0].Key != Project+":"+path || !strings.Contains(inFile[0].Problem, "stored in plain text") {
			t.Errorf("%s: %v", path, inFile)
			continue
		}
		g := pulumiConfig(m).given(t)
		program := g.config().beside(file, func(key string) (string, bool) {
			v, ok := g.values[strings.TrimPrefix(key, Project+":")]
			return v, ok
		})
		if inProgram := problemsOf(t, program, needs()); !reflect.DeepEqual(inProgram, inFile) {
			t.Errorf("%s: the program says %v, the check %v", path, inProgram, inFile)
		}
		for _, key := range Known() {
			if unseen := program.values[key].unseen(key); unseen != nil {
				t.Errorf("%v are not seen", unseen)
			}
		}
		pulumiConfig(m).follow(t, inFile[0], "new")
		if problems := problemsOf(t, open(t, m), needs()); problems != nil {
			t.Errorf("%s: the remedy was followed, and still: %v", path, problems)
		}
	}
}

// A number in the place of secrets may be one of them.
func TestANumberForSecretsIsNotPrinted(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"secrets", "secrets.psydge"} {
		m := sealedFile(t)
		put(t, m, path, config.NewTypedValue("44444444", config.TypeInt))
		if p := find(t, problemsOf(t, open(t, m), needs()), path); !strings.HasSuffix(p.Problem, ", not an object") { // problemsOf looks for the number
			t.Errorf("%s: %s", path, p.Problem)
		}
	}
}

// Another file than that of the run says nothing about it.
func TestAFileOfAnotherRunIsNotBelieved(t *testing.T) {
	t.Parallel()
	m := sealedFile(t)
	put(t, m, "secrets.psydge.SECRET_KEY", config.NewValue("another"))
	m[config.MustMakeKey(Project, "caddyDirectoy")] = config.NewValue("/x")
	file := open(t, m)
	g := inUse()
	program := g.config().beside(file, func(key string) (string, bool) {
		v, ok := g.values[strings.TrimPrefix(key, Project+":")]
		return v, ok
	})
	if problems := problemsOf(t, program, needs()); problems != nil {
		t.Errorf("%v", problems)
	}
	if unseen := program.values["secrets"].unseen("secrets"); !slices.Equal(unseen, []string{"secrets.psydge.SECRET_KEY"}) {
		t.Errorf("not seen are %v", unseen)
	}
}

// Whatever is wrong with one value, its remedy changes nothing but that value, and with the
// right value in its place nothing is wrong any more. Pulumi's own code does the changing.
func TestARemedyTouchesOnlyWhatIsAtFault(t *testing.T) {
	t.Parallel()
	wrong := map[string]config.Value{
		"text": config.NewValue("c4n4ry \x01"), "number": config.NewTypedValue("7777777", config.TypeInt), "truth": config.NewTypedValue("true", config.TypeBool),
		"object": config.NewObjectValue(`{"z":{"y":"x"}}`), "list": config.NewObjectValue(`[["x"]]`), "JSON": config.NewValue(`{"psydge":{"SECRET_KEY":"c4n4ry"}}`),
		"empty": config.NewValue(""),
	}
	paths := append(Known(),
		"ssh.user", "ssh.port", "ssh.hostKey", "ssh.nobody", "postgres.host", "postgres.port", "postgres.user", "postgres.nobody", "registry.address", "registry.username", "registry.nobody",
		`zones["psydge.com"]`, `zones["snapify.pk"]`, `images["asms-backend"]`, "adminCidrs[0]", "adminCidrs[1]",
		"secrets.psydge", "secrets.psydge.SECRET_KEY", "secrets.asms.DATABASE_PASSWORD", "secrets.shop.TOKEN")
	var tried atomic.Int32
	t.Cleanup(func() {
		if tried.Load() < 150 {
			t.Errorf("only %d remedies were followed", tried.Load())
		}
	})
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			touches(t, path, wrong, &tried)
		})
	}
}

// touches follows the remedy of each wrong value at a path.
func touches(t *testing.T, path string, wrong map[string]config.Value, tried *atomic.Int32) {
	t.Helper()
	for name, v := range wrong {
		base := sealedFile(t)
		put(t, base, "registry", config.NewObjectValue(`{"address":"ghcr.io","username":"alorig"}`))
		put(t, base, "registryPassword", config.NewSecureValue("v1:c4n4ry"))
		put(t, base, "postgres", config.NewObjectValue(`{"host":"localhost","port":5433,"user":"admin"}`))
		m := maps.Clone(base)
		if err := m.Set(config.MustMakeKey(Project, path), v, true); err != nil {
			t.Fatal(err)
		}
		problems := problemsOf(t, open(t, m), needs())
		for _, p := range problems {
			tried.Add(1)
			at := strings.TrimPrefix(p.Key, Project+":")
			before := flat(t, m)
			after := maps.Clone(m)
			pulumiConfig(after).follow(t, p, "N3W")
			for leaf, text := range flat(t, after) {
				if before[leaf] != text && !within(t, leaf, at) {
					t.Errorf("%s as %s: %s changes %s", path, name, p.Remedy, leaf)
				}
			}
			kept := flat(t, after)
			for leaf := range before {
				if _, still := kept[leaf]; !still && !within(t, leaf, at) {
					t.Errorf("%s as %s: %s takes %s away", path, name, p.Remedy, leaf)
				}
			}
			if !within(t, at, path) && !within(t, path, at) {
				t.Errorf("%s as %s blames %s: %s", path, name, at, p.Problem)
			}
		}
	}
}

// flat are the leaves of a configuration by path.
func flat(t testing.TB, m config.Map) map[string]string {
	t.Helper()
	leaves := map[string]string{}
	var walk func(path string, v value)
	walk = func(path string, v value) {
		for name, m := range v.members {
			walk(member(path, name), m)
		}
		for i, e := range v.row {
			walk(index(path, i), e)
		}
		if v.kind != tree && v.kind != row {
			leaves[path] = fmt.Sprint(v.kind, v.text)
		}
	}
	for key, v := range m {
		read, err := fromStored(v)
		if err != nil {
			t.Fatal(err)
		}
		if read.kind == encrypted {
			raw, _ := v.Value(config.NopDecrypter)
			read.text = raw
		}
		walk(key.Name(), read)
	}
	return leaves
}

// within reports whether a path is another or lies below it.
func within(t testing.TB, path, other string) bool {
	t.Helper()
	below, err := resource.ParsePropertyPath(path)
	if err != nil {
		t.Fatal(err)
	}
	above, err := resource.ParsePropertyPath(other)
	if err != nil {
		t.Fatal(err)
	}
	return len(below) >= len(above) && reflect.DeepEqual(below[:len(above)], above)
}

// Whatever a stack file says, reading it fails or gives a configuration that can be judged.
func FuzzOpen(f *testing.F) {
	prod, err := os.ReadFile(filepath.Join("..", "..", "Pulumi.prod.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(prod))
	f.Add("config:\n  alorig:secrets:\n    psydge:\n      SECRET_KEY:\n        secure: v1:abc\n")
	f.Add("config:\n  alorig:x: &a [*a]\n")
	f.Add("config:\n  alorig:x: {secure: [1]}\n  alorig:config:y: ~\n")
	f.Add("config: {? [a] : b}\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Open(project(t, text), "dev")
		if err != nil {
			return
		}
		_, err = Parse(c, needs())
		if _, ok := err.(*Error); err != nil && !ok { //nolint:errorlint // not wrapped
			t.Errorf("not a settings error: %v", err)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		c, err := Open(filepath.Join("..", ".."), "prod")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Parse(c, needs()); err != nil {
			b.Fatal(err)
		}
	}
}
