package engine_test

import (
	"bytes"
	"context"
	"errors"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/engine"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/policy/rules"
	"github.com/alorig/fleet/stacks"
)

// The engine starts this test binary as the policy pack, as it does with alorig.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == engine.PackCommand {
		if err := policyx.Main(rules.Pack(ledger.Alorig())); err != nil {
			log.Fatal(err)
		}
		return
	}
	os.Exit(m.Run())
}

// read reads the committed production stack, for the complete fleet.
func read(t testing.TB) settings.Settings {
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
	return s
}

// offline is the program of `alorig preview`.
func offline(t testing.TB) pulumi.RunFunc { return stacks.Alorig().OfflinePreview(read(t)) }

// preview prepares a preview of the committed production stack, complete.
func preview(t testing.TB, program pulumi.RunFunc) engine.Preview {
	t.Helper()
	return engine.Preview{
		Directory: "../..", Stack: "prod", Program: program,
		WithPack: true, BuildCLI: true, Progress: os.Stderr,
	}
}

func TestTheFleetPassesOnTheRealEngine(t *testing.T) {
	slow(t)
	result, err := preview(t, offline(t)).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Findings) != 0 {
		t.Errorf("the committed fleet has findings: %v", result.Findings)
	}
	recorded := checkedResources(t)
	if got, want := result.Changes["create"], len(recorded)+1; got != want { // the stack itself
		t.Errorf("the engine creates %d resources, the check in process sees %d and the stack", got, want-1)
	}
	if len(result.Changes) != 1 {
		t.Errorf("an empty server needs nothing but creation: %v", result.Changes)
	}
}

func TestTheRealEngineRefusesAsTheCheckDoes(t *testing.T) {
	slow(t)
	rogue := func(ctx *pulumi.Context) error {
		if err := offline(t)(ctx); err != nil {
			return err
		}
		_, err := docker.NewContainer(ctx, "rogue", &docker.ContainerArgs{
			Name: pulumi.String("rogue"), Image: pulumi.String("nginx:latest"), Privileged: pulumi.Bool(true),
		})
		return err
	}
	var said bytes.Buffer
	p := preview(t, rogue)
	p.Output = &said
	result, err := p.Run(t.Context())
	if err != nil {
		t.Fatalf("a refusal is a result: %v", err)
	}
	if !result.Refused() {
		t.Fatalf("a rogue privileged container was not refused:\n%s", said.String())
	}
	var refusing []string
	for _, f := range result.Findings {
		if f.Level == string(rules.Mandatory) {
			refusing = append(refusing, f.Rule)
		}
	}
	for _, want := range []string{"container-name", "container-memory", "container-hardening", "container-lifecycle", "container-network"} {
		if !slices.Contains(refusing, want) {
			t.Errorf("%s did not refuse; these did: %v", want, refusing)
		}
		if !strings.Contains(said.String(), want) {
			t.Errorf("the operator is not shown %s:\n%s", want, said.String())
		}
	}
}

func TestAFailingProgramIsAnErrorInTheEnginesWords(t *testing.T) {
	slow(t)
	_, err := preview(t, func(*pulumi.Context) error { return errors.New("not an address") }).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "not an address") {
		t.Errorf("want the program's own message, got: %v", err)
	}
}

func TestAnInterruptedPreviewSaysSo(t *testing.T) {
	slow(t)
	ctx, cancel := context.WithCancel(t.Context())
	p := preview(t, func(*pulumi.Context) error { cancel(); return nil })
	if _, err := p.Run(ctx); err == nil {
		t.Error("an interrupted preview gave a verdict")
	}
}

func TestAnOldCLIIsRefusedWithItsVersion(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\necho v3.100.0\n"
	if err := os.WriteFile(filepath.Join(dir, "pulumi"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	p := preview(t, offline(t))
	p.BuildCLI = false
	_, err := p.Run(t.Context())
	for _, want := range []string{"3.100.0", "3.258.0", "--build-cli"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in the message, got: %v", want, err)
		}
	}
}

func BenchmarkPreview(b *testing.B) {
	for name, p := range map[string]engine.Preview{
		"fleet": preview(b, offline(b)),
		"empty": func() engine.Preview {
			p := preview(b, func(*pulumi.Context) error { return nil })
			p.WithPack = false
			return p
		}(),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := p.Run(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func slow(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the real Pulumi engine, which the first run builds for minutes")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Fatal("no Go toolchain on the PATH")
	}
}

func checkedResources(t *testing.T) []declared.Resource {
	t.Helper()
	recorded, findings, err := stacks.Alorig().Check("prod", read(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(findings) != 0 {
		t.Errorf("the check in process has findings: %v", findings)
	}
	return recorded
}
