package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/pinned"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/stacks"
)

// alorig runs one command line.
func alorig(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, &out, &err)
	for _, text := range []string{out.String(), err.String()} {
		for _, trace := range []string{"goroutine ", "panic:", ".go:"} {
			if strings.Contains(text, trace) {
				t.Errorf("alorig %v shows a stack trace: %s", args, text)
			}
		}
	}
	return code, out.String(), err.String()
}

// project is a directory with the committed project in it, whose stack file is changed.
func project(t testing.TB, from, to string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"Pulumi.yaml", "Pulumi.prod.yaml", "policy/PulumiPolicy.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "Pulumi.prod.yaml" {
			if from != "" && !bytes.Contains(text, []byte(from)) {
				t.Fatalf("%s does not hold %q", name, from)
			}
			text = bytes.ReplaceAll(text, []byte(from), []byte(to))
		}
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	unreadable := project(t, "config:", "config: [")
	for _, tt := range []struct {
		name   string
		args   []string
		code   int
		stdout string // stands in it
		stderr string
	}{
		{"nothing asked", nil, exitClean, "Available Commands:", ""},
		{"help", []string{"--help"}, exitClean, "Exit codes: 0 clean, 1 a rule refuses the fleet, 2 the input", ""},
		{"help of check", []string{"check", "--help"}, exitClean, "alorig check --rollout snapify", ""},
		{"help of preview", []string{"preview", "--help"}, exitClean, "--build-cli", ""},
		{"help of ledger", []string{"help", "ledger"}, exitClean, "--format", ""},
		{"clean fleet", []string{"check"}, exitClean, "No rule refuses this fleet.", ""},
		{"clean fleet after one app", []string{"check", "--rollout", "psydge"}, exitClean, "Server after Psydge, stack prod: ", ""},
		{"ledger", []string{"ledger"}, exitClean, "RAM LADDER", ""},

		{"an image of another app", []string{"check", "--dir", project(t, "alorig/psydge-backend@", "alorig/snapify-backend@")}, exitRefused, "refused container-name\n  psydge_backend: runs the image snapify-backend; the ledger gives it psydge-backend.", ""},
		{"advice alone", []string{"check", "--dir", project(t, "@sha256:", ":1.2 # ")}, exitClean, "advice  image-pinned\n", ""},

		{"unknown command", []string{"chekc"}, exitFault, "", `there is no command "chekc"; did you mean alorig check?`},
		{"unlike any command", []string{"deploy"}, exitFault, "", `there is no command "deploy"; alorig --help lists the commands`},
		{"argument too many", []string{"check", "prod"}, exitFault, "", `unknown command "prod"`},
		{"unknown flag", []string{"check", "--rolout", "asms"}, exitFault, "", "unknown flag: --rolout"},
		{"unknown format", []string{"ledger", "--format", "pdf"}, exitFault, "", `--format "pdf"; accepted: table, markdown, json, svg`},
		{"rollout of no app", []string{"check", "--rollout", "shop"}, exitFault, "", `--rollout "shop" is no app of the ledger; accepted: psydge, snapify,`},
		{"rollout of no app, in a preview", []string{"preview", "--rollout", "shop"}, exitFault, "", "accepted: psydge, snapify,"},
		{"unknown stack", []string{"check", "--stack", "staging"}, exitFault, "", "Pulumi.staging.yaml; run this in the project's directory, or name a stack"},
		{"path for a stack", []string{"check", "--stack", "../prod"}, exitFault, "", `--stack "../prod" names no stack`},
		{"no stack", []string{"check", "--stack", ""}, exitFault, "", "names no stack"},
		{"no project", []string{"check", "--dir", empty}, exitFault, "", "Pulumi.yaml; run this in the project's directory, or name it with --dir"},
		{"unreadable settings", []string{"check", "--dir", unreadable}, exitFault, "", "is not a Pulumi stack file"},
		{"unreadable settings, in a preview", []string{"preview", "--dir", unreadable}, exitFault, "", "is not a Pulumi stack file"},
		{"malformed settings", []string{"check", "--dir", project(t, "203.0.113.10", "alorig.com")}, exitFault, "", `alorig:serverAddress is "alorig.com"; accepted: the server's public IPv4 address`},
		{"malformed settings, in a preview", []string{"preview", "--dir", project(t, "203.0.113.10", "alorig.com")}, exitFault, "", "pulumi config set 'alorig:serverAddress'"},
		{"secret in plain text", []string{"check", "--dir", project(t, "config:\n", "config:\n  alorig:redisPassword: hunter2\n")}, exitFault, "", "alorig:redisPassword is stored in plain text"},
		{"misspelt key", []string{"check", "--dir", project(t, "alorig:adminCidrs", "alorig:adminCIDRs")}, exitFault, "", "alorig:adminCIDRs is read by nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := slices.Clone(tt.args)
			if len(args) > 0 && (args[0] == "check" || args[0] == "preview") && !slices.Contains(args, "--dir") {
				args = append(args, "--dir", "../..")
			}
			code, stdout, stderr := alorig(t, args...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d\n%s%s", code, tt.code, stdout, stderr)
			}
			if !strings.Contains(stdout, tt.stdout) || (tt.stdout == "") != (stdout == "") {
				t.Errorf("prints %q, want %q in it", stdout, tt.stdout)
			}
			if !strings.Contains(stderr, tt.stderr) || (tt.stderr == "") != (stderr == "") {
				t.Errorf("complains %q, want %q in it", stderr, tt.stderr)
			}
			if strings.Contains(stdout+stderr, "hunter2") {
				t.Errorf("shows a secret: %s%s", stdout, stderr)
			}
			if tt.code == exitFault && !strings.HasPrefix(stderr, "alorig: ") {
				t.Errorf("does not say who complains: %s", stderr)
			}
		})
	}
}

func TestTheRepositoryIsFoundFromBelow(t *testing.T) {
	t.Parallel()
	// The tests run in cmd/alorig.
	if code, stdout, stderr := alorig(t, "check"); code != exitClean {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

func TestOutsideTheRepository(t *testing.T) {
	t.Chdir(t.TempDir())
	code, _, stderr := alorig(t, "check")
	if code != exitFault || !strings.Contains(stderr, "does not lie in the fleet repository") || !strings.Contains(stderr, "--dir") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestCheckAsJSON(t *testing.T) {
	t.Parallel()
	code, first, stderr := alorig(t, "check", "--json", "--dir", "../..")
	if code != exitClean || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	// A golden of the whole: scripts read this.
	const want = `{
  "stack": "prod",
  "rollout": "asms",
  "resources": 177,
  "refused": false,
  "findings": [],
  "memory": {
    "steady": 10700,
    "limits": 14800,
    "transient": 700
  }
}
`
	if first != want {
		t.Errorf("prints\n%s, want\n%s", first, want)
	}

	dir := project(t, "alorig/psydge-backend@", "alorig/snapify-backend@")
	code, stdout, stderr := alorig(t, "check", "--json", "--dir", dir)
	if code != exitRefused || stderr != "" {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	var v verdict
	decoder := json.NewDecoder(strings.NewReader(stdout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil || decoder.More() {
		t.Fatalf("not one JSON value: %v", err)
	}
	if !v.Refused || len(v.Findings) != 4 {
		t.Errorf("%+v", v)
	}
	for _, f := range v.Findings {
		if f.Rule != "container-name" || f.Level != "mandatory" || f.Message == "" || !strings.HasPrefix(f.URN, "urn:pulumi:prod::alorig::") {
			t.Errorf("%+v", f)
		}
	}
	if _, again, _ := alorig(t, "check", "--json", "--dir", dir); again != stdout {
		t.Error("two checks of one fleet print differently")
	}
}

func TestVerdictForPeople(t *testing.T) {
	t.Parallel()
	v := verdict{Stack: "prod", Rollout: "psydge", Resources: 7, Refused: true, Findings: []finding{
		{Rule: "port-allocation", Level: "mandatory", Message: "one\ntwo"},
		{Rule: "image-pinned", Level: "advisory", Message: "three"},
		{Rule: "port-allocation", Level: "mandatory", Message: "four"},
	}}
	var out bytes.Buffer
	if err := v.report(&out, ledger.Alorig(), false); !errors.Is(err, errRefused) {
		t.Errorf("a refusal ends as %v", err)
	}
	const want = `advice  image-pinned
  three
refused port-allocation
  one
  two
  four
Server after Psydge, stack prod: 7 resources; steady state 7.05 GB of 13 GB; hard limits at their peak 10.8 GB of 16 GB.
Refused. docs/policies.md explains each rule.
`
	if out.String() != want {
		t.Errorf("prints\n%s, want\n%s", out.String(), want)
	}
	if err := v.report(io.Discard, ledger.Alorig(), true); !errors.Is(err, errRefused) {
		t.Errorf("as JSON a refusal ends as %v", err)
	}
	v.Refused = false
	if err := v.report(io.Discard, ledger.Alorig(), true); err != nil {
		t.Error(err)
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestAFailingWriteIsAFault(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"check", "--json", "--dir", "../.."},
		{"check", "--dir", "../.."},
		{"ledger"},
		{"ledger", "--json"},
		{"ledger", "--format", "svg"},
		{"ledger", "--format", "markdown"},
	} {
		var stderr bytes.Buffer
		if code := run(t.Context(), args, full{}, &stderr); code != exitFault || !strings.Contains(stderr.String(), "no space left") {
			t.Errorf("alorig %v: exit code %d, %s", args, code, stderr.String())
		}
	}
}

// preview with a CLI that is too old, or none and nothing to build it with, says what
// to do. The engine itself is tested in internal/engine.
func TestPreviewNeedsACLI(t *testing.T) {
	script := func(text string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "pulumi"), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for _, tt := range []struct {
		name, path string
		says       []string
	}{
		{"too old", script("echo v3.100.0\n"), []string{"is version 3.100.0", "3.258.0 or newer", "--build-cli"}},
		{"one release too old", script("echo v3.257.9\n"), []string{"3.257.9"}},
		{"says no version", script("echo hello\n"), []string{"Pulumi CLI"}},
		{"does not run", script("echo broken >&2; exit 1\n"), []string{"Pulumi CLI"}},
		{"no CLI and no Go", t.TempDir(), []string{"no Go toolchain on the PATH; install Go 1.26 or newer from https://go.dev/dl"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("PATH", tt.path)
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			code, _, stderr := alorig(t, "preview", "--dir", "../..")
			if code != exitFault {
				t.Errorf("exit code %d", code)
			}
			for _, want := range tt.says {
				if !strings.Contains(stderr, want) {
					t.Errorf("does not say %q: %s", want, stderr)
				}
			}
		})
	}
	t.Run("no place to build in", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		t.Setenv("XDG_CACHE_HOME", "")
		t.Setenv("HOME", "")
		code, _, stderr := alorig(t, "preview", "--dir", "../..")
		if code != exitFault || !strings.Contains(stderr, "set HOME or XDG_CACHE_HOME") {
			t.Errorf("exit code %d: %s", code, stderr)
		}
	})
}

func TestInterruptedBuildSaysSo(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, []string{"preview", "--build-cli", "--dir", "../.."}, &stdout, &stderr); code != exitFault {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
	if !strings.Contains(stderr.String(), "context canceled") {
		t.Errorf("says %s", stderr.String())
	}
}

// Fleet.Check and the command agree on what is recorded; the command only reports it.
func TestCheckReportsWhatStacksFound(t *testing.T) {
	t.Parallel()
	f := stacks.Alorig()
	for _, app := range f.Ledger.AppNames() {
		config, err := settings.Open("../..", "prod")
		if err != nil {
			t.Fatal(err)
		}
		read, err := f.Settings(config, app)
		if err != nil {
			t.Fatal(err)
		}
		recorded, _, err := f.Check("prod", read)
		if err != nil {
			t.Fatal(err)
		}
		code, stdout, _ := alorig(t, "check", "--rollout", app, "--dir", "../..")
		if code != exitClean || !strings.Contains(stdout, fmt.Sprintf(": %d resources;", len(recorded))) {
			t.Errorf("after %s: %d resources recorded; %s", app, len(recorded), stdout)
		}
	}
}

func TestVersion(t *testing.T) {
	code, stdout, stderr := alorig(t, "--version")
	if code != exitClean || !strings.HasPrefix(stdout, "alorig version ") || !strings.Contains(stdout, "Pulumi "+pinned.PulumiVersion) || stderr != "" {
		t.Errorf("%d %q %q, want the version of alorig and of Pulumi", code, stdout, stderr)
	}
}
