package engine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi-postgresql/sdk/v3/go/postgresql"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/policy/rules"
	"github.com/alorig/fleet/stacks"
)

// fleet is the committed production stack, complete, and what was read of its settings.
func fleet(t testing.TB) (Preview, settings.Settings) {
	t.Helper()
	config, err := settings.Open("../..", "prod")
	if err != nil {
		t.Fatal(err)
	}
	names := ledger.Alorig().AppNames()
	s, err := stacks.Alorig().Settings(config, names[len(names)-1])
	if err != nil {
		t.Fatal(err)
	}
	pack, err := rules.Pack(ledger.Alorig())
	if err != nil {
		t.Fatal(err)
	}
	return Preview{Project: settings.Project, Stack: "prod", Program: stacks.Alorig().OfflinePreview(s), Pack: pack}, s
}

// rogue declares the fleet, and what many rules refuse.
func rogue(t testing.TB) Preview {
	t.Helper()
	p, _ := fleet(t)
	committed := p.Program
	p.Program = func(ctx *pulumi.Context) error {
		if err := committed(ctx); err != nil {
			return err
		}
		role, err := postgresql.NewRole(ctx, "rogue", &postgresql.RoleArgs{
			Name: pulumi.String("rogue"), Superuser: pulumi.Bool(true), Login: pulumi.Bool(true),
			Password: pulumi.ToSecret(pulumi.String("rogue-canary-password")).(pulumi.StringOutput),
		})
		if err != nil {
			return err
		}
		database, err := postgresql.NewDatabase(ctx, "rogue", &postgresql.DatabaseArgs{Name: pulumi.String("rogue_db"), Owner: role.Name})
		if err != nil {
			return err
		}
		_, err = docker.NewContainer(ctx, "rogue", &docker.ContainerArgs{
			Name: pulumi.String("psydge_rogue"), Image: pulumi.String("nginx:latest"), Privileged: pulumi.Bool(true),
			NetworkMode: pulumi.String("host"), Memory: pulumi.Int(8000), Hostname: database.ID().ToStringOutput(),
			Ports: docker.ContainerPortArray{docker.ContainerPortArgs{Internal: pulumi.Int(5432), External: pulumi.Int(5432)}},
			Envs: pulumi.StringArray{
				pulumi.String("DATABASE_URL=postgres://psydge:plain-canary-password@elsewhere/snapify_db"),
				pulumi.String("REDIS_URL=redis://psydge@redis:6379/9"),
			},
			Labels: docker.ContainerLabelArray{docker.ContainerLabelArgs{Label: pulumi.String(ledger.LabelApp), Value: pulumi.String("psydge")}},
		})
		return err
	}
	return p
}

func TestTheFleetPasses(t *testing.T) {
	p, s := fleet(t)
	result, err := p.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Findings) != 0 || result.Refused() {
		t.Errorf("the committed fleet has findings: %v", result.Findings)
	}
	if len(result.Warnings) != 0 {
		t.Errorf("the committed fleet has warnings: %v", result.Warnings)
	}
	recorded, _, err := stacks.Alorig().Check("prod", s)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := result.Changes["create"], len(recorded)+1; got != want { // the stack itself
		t.Errorf("the Pulumi engine creates %d resources, the check sees %d and the stack", got, want-1)
	}
	if len(result.Changes) != 1 {
		t.Errorf("an empty server needs nothing but creation: %v", result.Changes)
	}
}

func TestARogueIsRefused(t *testing.T) {
	result, err := rogue(t).Run(t.Context())
	if err != nil {
		t.Fatalf("a refusal is a result: %v", err)
	}
	if !result.Refused() {
		t.Fatal("a rogue privileged container was not refused")
	}
	var refusing []string
	for _, f := range result.Findings {
		if f.Level == string(rules.Mandatory) {
			refusing = append(refusing, f.Rule)
		}
		if strings.Contains(f.Message, "canary") {
			t.Errorf("%s shows a secret: %s", f.Rule, f.Message)
		}
	}
	for _, want := range []string{
		"container-name", "container-hardening", "container-lifecycle", "container-network",
		"host-port", "redis-allocation", "database-allocation", "database-protection", "app-memory-budget",
	} {
		if !slices.Contains(refusing, want) {
			t.Errorf("%s did not refuse; these did: %v", want, slices.Compact(refusing))
		}
	}
}

// pack is one of a single rule about resources and one about stacks.
func pack(t testing.TB, resource func(policyx.AnalyzerResource), stack func([]policyx.AnalyzerResource)) policyx.PolicyPack {
	t.Helper()
	p, err := policyx.NewPolicyPack("test", semver.MustParse("1.0.0"), policyx.EnforcementLevelMandatory, []policyx.Policy{
		policyx.NewResourceValidationPolicy("one", policyx.ResourceValidationPolicyArgs{
			EnforcementLevel: policyx.EnforcementLevelMandatory,
			ValidateResource: func(_ context.Context, args policyx.ResourceValidationArgs) error {
				resource(args.Resource)
				return nil
			},
		}),
		policyx.NewStackValidationPolicy("whole", policyx.StackValidationPolicyArgs{
			EnforcementLevel: policyx.EnforcementLevelMandatory,
			ValidateStack: func(_ context.Context, args policyx.StackValidationArgs) error {
				stack(args.Resources)
				return nil
			},
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A resource rule sees inputs, a stack rule outputs; both see what is unknown or secret.
func TestWhatARuleSees(t *testing.T) {
	var input, output policyx.AnalyzerResource
	const container = "docker:index/container:Container"
	p := Preview{
		Project: "test", Stack: "test",
		Pack: pack(t, func(r policyx.AnalyzerResource) {
			if r.Type == container {
				input = r
			}
		}, func(rs []policyx.AnalyzerResource) {
			for _, r := range rs {
				if r.Type == container {
					output = r
				}
			}
		}),
		Program: func(ctx *pulumi.Context) error {
			group := &pulumi.ResourceState{}
			if err := ctx.RegisterComponentResourceV2("test:index:Group", "group", pulumi.Map{}, group); err != nil {
				return err
			}
			image, err := docker.NewRemoteImage(ctx, "image", &docker.RemoteImageArgs{Name: pulumi.String("shop:1")})
			if err != nil {
				return err
			}
			_, err = docker.NewContainer(ctx, "shop", &docker.ContainerArgs{
				Name: pulumi.String("shop"), Image: image.ImageId, Hostname: image.ID().ToStringOutput(),
				Envs: pulumi.StringArray{pulumi.String("A=1"), pulumi.ToSecret(pulumi.String("B=2")).(pulumi.StringOutput)},
			}, pulumi.Parent(group), pulumi.Protect(true))
			return err
		},
	}
	if _, err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for which, r := range map[string]policyx.AnalyzerResource{"resource": input, "stack": output} {
		if r.Name != "shop" || !strings.HasSuffix(r.Parent, "::group") || !r.Options.Protect {
			t.Errorf("the %s rule sees %s below %q, protected %v", which, r.Name, r.Parent, r.Options.Protect)
		}
		if name := r.Properties.Get("name"); !name.IsString() || name.AsString() != "shop" {
			t.Errorf("the %s rule sees the name %v", which, name)
		}
		if !r.Properties.Get("hostname").IsComputed() {
			t.Errorf("the %s rule sees a hostname before the update: %v", which, r.Properties.Get("hostname"))
		}
		secret := func(v property.Value) bool {
			return v.Secret() || v.IsArray() && v.AsArray().Get(1).Secret() && v.AsArray().Get(1).AsString() == "B=2"
		}
		if !secret(r.Properties.Get("envs")) {
			t.Errorf("the %s rule sees no secret: %v", which, r.Properties.Get("envs"))
		}
	}
}

func TestAFailingProgramIsAnErrorInItsOwnWords(t *testing.T) {
	p, _ := fleet(t)
	p.Program = func(*pulumi.Context) error { return errors.New("alorig:serverAddress is not set") }
	_, err := p.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "alorig:serverAddress is not set") {
		t.Errorf("want the program's own message, got: %v", err)
	}
}

// A refusal does not hide that the program failed, so that not every finding is there; nor
// does a clean verdict hide what the program logged.
func TestAVerdictHidesNoError(t *testing.T) {
	refused := rogue(t)
	declared := refused.Program
	refused.Program = func(ctx *pulumi.Context) error {
		return errors.Join(declared(ctx), errors.New("no such app"))
	}
	logging := Preview{Project: "test", Stack: "test", Program: func(ctx *pulumi.Context) error { return ctx.Log.Error("no such app", nil) }}
	for name, p := range map[string]Preview{"refused": refused, "clean": logging} {
		result, err := p.Run(t.Context())
		if err != nil || result.Refused() != (name == "refused") {
			t.Errorf("%s: refused %v, error %v", name, result.Refused(), err)
		}
		if len(result.Errors) != 1 || !strings.Contains(result.Errors[0], "no such app") {
			t.Errorf("%s: the errors are %q", name, result.Errors)
		}
	}
	if result, err := rogue(t).Run(t.Context()); err != nil || len(result.Errors) > 0 {
		t.Errorf("a refusal alone has the errors %q (%v)", result.Errors, err)
	}
}

func TestAPanicIsAnError(t *testing.T) {
	fine := func(*pulumi.Context) error { return nil }
	silent := func(policyx.AnalyzerResource) {}
	for name, p := range map[string]Preview{
		"the program panicked: dropped": {Program: func(*pulumi.Context) error { panic("dropped") }},
		"rule one panicked: dropped":    {Program: fine, Pack: pack(t, func(policyx.AnalyzerResource) { panic("dropped") }, nil)},
		"rule whole panicked: dropped":  {Program: fine, Pack: pack(t, silent, func([]policyx.AnalyzerResource) { panic("dropped") })},
	} {
		p.Project, p.Stack = "test", "test"
		if _, err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %q, got: %v", name, err)
		}
	}
}

// A program that never ends does not keep whoever presses Ctrl-C.
func TestAnInterruptedPreviewEndsAndSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, _ := fleet(t)
	forever := make(chan struct{})
	t.Cleanup(func() { close(forever) })
	p.Program = func(*pulumi.Context) error { cancel(); <-forever; return nil }
	began := time.Now()
	if _, err := p.Run(ctx); err == nil || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("an interrupted preview says %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s to end", took)
	}
}

func TestABadStackNameIsNamed(t *testing.T) {
	if _, err := (Preview{Project: "test", Stack: "a/b"}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), `"a/b"`) {
		t.Errorf("got %v", err)
	}
}

// What the caller has set for the Pulumi CLI changes nothing, is not seen by the program,
// and is there again afterwards. Nothing is written outside a temporary directory.
func TestTheCallersSettingsStayOut(t *testing.T) {
	home, temporary := t.TempDir(), t.TempDir()
	for key, value := range map[string]string{
		"HOME": home, "TMPDIR": temporary, "PULUMI_HOME": filepath.Join(home, "pulumi"),
		"PULUMI_OPTION_POLICY_PACK": "/nowhere", "PULUMI_OPTION_REFRESH": "true", "PULUMI_ACCESS_TOKEN": "canary",
		"PULUMI_BACKEND_URL": "https://example.invalid", "PULUMI_DEBUG_GRPC": filepath.Join(home, "grpc.json"),
		"PULUMI_PLUGINS": "true", "PULUMI_CONFIG": `{"alorig:rollout":"shop"}`, "PULUMI_STACK": "other",
	} {
		t.Setenv(key, value)
	}
	p, _ := fleet(t)
	committed := p.Program
	var seen []string
	p.Program = func(ctx *pulumi.Context) error {
		for _, entry := range os.Environ() {
			if strings.HasPrefix(entry, "PULUMI_") {
				seen = append(seen, entry)
			}
		}
		return committed(ctx)
	}
	result, err := p.Run(t.Context())
	if err != nil || result.Refused() {
		t.Errorf("refused %v, error %v", result.Findings, err)
	}
	if len(seen) > 0 {
		t.Errorf("the program sees %v", seen)
	}
	if os.Getenv("PULUMI_ACCESS_TOKEN") != "canary" {
		t.Error("the caller's settings are gone")
	}
	for _, directory := range []string{home, temporary} {
		if left, err := os.ReadDir(directory); err != nil || len(left) > 0 {
			t.Errorf("%s holds %v (%v)", directory, left, err)
		}
	}
}

// On a terminal the findings are shown by the Pulumi CLI's own display.
func TestATerminalIsShownTheFindings(t *testing.T) {
	var said bytes.Buffer
	p := rogue(t)
	p.Terminal = &said
	if _, err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"container-hardening", "psydge_rogue", "preview failed"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is not shown in %s", want, said.String()[max(0, said.Len()-1500):])
		}
	}
	if strings.Contains(said.String(), "canary") {
		t.Error("a secret is shown")
	}
}

func BenchmarkPreview(b *testing.B) {
	p, _ := fleet(b)
	for b.Loop() {
		if _, err := p.Run(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
