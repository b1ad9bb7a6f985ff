package settings

import (
	"errors"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/encoding"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

type nobody struct{}

func (nobody) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	return args.Name, args.Inputs, nil
}

func (nobody) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) { return args.Args, nil }

// inProgram parses the settings in a program that Pulumi runs in the directory.
func inProgram(t testing.TB, g given, others map[string]string, directory string) (s Settings, err error) {
	t.Helper()
	err = pulumi.RunErr(func(ctx *pulumi.Context) error {
		s, err = Parse(FromContext(ctx), needs())
		return err
	}, pulumi.WithMocks(Project, "dev", nobody{}), func(info *pulumi.RunInfo) {
		info.RootDirectory = directory
		info.Config = map[string]string{}
		for key, text := range g.values {
			info.Config[Project+":"+key] = text
			if g.secret[key] {
				info.ConfigSecretKeys = append(info.ConfigSecretKeys, Project+":"+key)
			}
		}
		for full, text := range others {
			info.Config[full] = text
		}
	})
	return s, err
}

// A program and a check say the same of one file: what Pulumi does not tell a program, the
// program reads there.
func TestAProgramReadsTheFileToo(t *testing.T) {
	t.Parallel()
	directory := func(m config.Map) string {
		text, err := encoding.YAML.Marshal(&workspace.ProjectStack{Config: m})
		if err != nil {
			t.Fatal(err)
		}
		return project(t, string(text))
	}
	clean := sealedFile(t)
	if s, err := inProgram(t, pulumiConfig(clean).given(t), nil, directory(clean)); err != nil || s.Secrets["psydge"]["SECRET_KEY"].Reveal() != "c4n4ry-psydge-SECRET_KEY" {
		t.Errorf("a clean stack: %v", err)
	}

	m := sealedFile(t)
	put(t, m, "secrets.asms.SECRET_KEY", config.NewValue("c4n4ry-plain"))
	m[config.MustMakeKey(Project, "caddyDirectoy")] = config.NewValue("/srv/x")
	m[config.MustMakeKey("alorg", "tls")] = config.NewSecureValue("v1:x")
	others := map[string]string{"alorig:caddyDirectoy": "/srv/x", "alorg:tls": "x"}
	g := pulumiConfig(m).given(t)
	delete(g.values, "caddyDirectoy")
	delete(g.values, "tls")
	_, err := inProgram(t, g, others, directory(m))
	c, openErr := Open(directory(m), "dev")
	if openErr != nil {
		t.Fatal(openErr)
	}
	_, checked := Parse(c, needs())
	var inFile *Error
	if !errors.As(checked, &inFile) || len(inFile.Problems) != 3 {
		t.Fatalf("the check says %v", checked)
	}
	if err == nil || !strings.Contains(err.Error(), checked.Error()) || strings.Contains(err.Error(), "c4n4ry") {
		t.Errorf("the program says %v\nthe check says %v", err, checked)
	}

	// Elsewhere there is nothing to see; what the program is given is judged all the same.
	for _, elsewhere := range []string{"", t.TempDir(), directory(config.Map{}), directory(clean)} {
		if _, err := inProgram(t, g, others, elsewhere); err != nil {
			t.Errorf("settings of another file: %v", err)
		}
		if _, err := inProgram(t, g.encrypted("secrets", false), others, elsewhere); err == nil {
			t.Error("plain secrets are accepted")
		}
	}
}

// What is written as one text has members for nobody: setting one would drop the others.
func TestAnObjectWrittenAsTextIsSeen(t *testing.T) {
	t.Parallel()
	m := sealedFile(t)
	full := config.MustMakeKey(Project, "secrets")
	whole := pulumiConfig(m).given(t).values["secrets"]
	m[full] = config.NewSecureValue(cipher + whole)
	g := pulumiConfig(m).given(t)
	text, err := encoding.YAML.Marshal(&workspace.ProjectStack{Config: m})
	if err != nil {
		t.Fatal(err)
	}
	_, err = inProgram(t, g, nil, project(t, string(text)))
	if err == nil || !strings.Contains(err.Error(), "alorig:secrets is one encrypted text, not an object") || strings.Contains(err.Error(), "c4n4ry") {
		t.Errorf("%v", err)
	}
}

func TestWith(t *testing.T) {
	t.Parallel()
	c := inUse().config()
	changed := c.With("tls", "none").With("adminCidrs", []string{"8.8.8.8"}).With("whatever", "x").With("other:key", "y")
	if got := keysOf(problemsOf(t, changed, needs())); strings.Join(got, " ") != "tls adminCidrs[0] whatever" {
		t.Errorf("%v", got)
	}
	if problems := problemsOf(t, c, needs()); problems != nil {
		t.Errorf("the first one changed too: %v", problems)
	}
	if s, err := Parse(Config{}.With("rollout", "none").With("platform", "existing").With("engine", "local").With("serverAddress", "8.8.8.8"), needs()); err != nil || s.Rollout != "" {
		t.Errorf("%v, %v", s, err)
	}
}
