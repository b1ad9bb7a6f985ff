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

// project is a directory with the project in it, whose stack file is one of documentation
// values, changed. The committed one holds what the owner has set.
func project(t testing.TB, from, to string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"Pulumi.yaml", "Pulumi.prod.yaml", "policy/PulumiPolicy.yaml"} {
		source := filepath.Join("..", "..", name)
		if name == "Pulumi.prod.yaml" {
			source = filepath.Join("..", "..", "stacks", "testdata", name)
		}
		text, err := os.ReadFile(source)
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
		{"help of preview", []string{"preview", "--help"}, exitClean, "no network", ""},
		{"help of ledger", []string{"help", "ledger"}, exitClean, "--format", ""},
		{"clean fleet", []string{"check"}, exitClean, "No rule refuses this fleet.", ""},
		{"clean fleet after one app", []string{"check", "--rollout", "psydge"}, exitClean, "Server after Psydge, stack prod: ", ""},
		{"ledger", []string{"ledger"}, exitClean, "RAM LADDER", ""},

		{"an image of another app", []string{"check", "--dir", project(t, "alorig/psydge-backend@", "alorig/snapify-backend@")}, exitRefused, "refused container-name\n  psydge_backend: runs the image snapify-backend; the ledger gives it psydge-backend.", ""},
		{"advice alone", []string{"check", "--dir", project(t, "@sha256:", ":1.2 # ")}, exitClean, "advice  image-pinned\n", ""},

		{"unknown command", []string{"chekc"}, exitFault, "", `there is no command "chekc"; did you mean alorig check?`},
		{"unlike any command", []string{"deploy"}, exitFault, "", `there is no command "deploy"; there are check, `},
		{"help of an unknown command", []string{"help", "nope"}, exitFault, "", `there is no command "nope"; there are check, `},
		{"help of a misspelt command", []string{"help", "chekc"}, exitFault, "", `there is no command "chekc"; did you mean alorig check?`},
		{"help of too much", []string{"help", "check", "prod"}, exitFault, "", `there is no command "prod"`},
		{"help alone", []string{"help"}, exitClean, "Available Commands:", ""},
		{"unknown flag of the root", []string{"--nope"}, exitFault, "", "unknown flag: --nope"},
		{"unknown shorthand", []string{"check", "-x"}, exitFault, "", "unknown shorthand flag"},
		{"flag without its value", []string{"ledger", "--format"}, exitFault, "", "flag needs an argument: --format"},
		{"completion for no shell", []string{"completion", "nosh"}, exitFault, "", `unknown command "nosh" for "alorig completion"`},
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
  "resources": 206,
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
		{"check", "--dir", project(t, "alorig/psydge-backend@", "alorig/snapify-backend@")},
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

// A bare machine: no Pulumi CLI, no Go toolchain, no home.
func TestPreviewNeedsNothing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	code, stdout, stderr := alorig(t, "preview", "--dir", "../..")
	if code != exitClean || stderr != "" || !strings.Contains(stdout, "No rule refuses this fleet.") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

// Whoever has set the CLI's variables for updates previews the same.
func TestPreviewIgnoresTheCLIsVariables(t *testing.T) {
	t.Setenv("PULUMI_OPTION_POLICY_PACK", "/nowhere")
	t.Setenv("PULUMI_OPTION_EXPECT_NO_CHANGES", "true")
	t.Setenv("PULUMI_ACCESS_TOKEN", "canary")
	if code, stdout, stderr := alorig(t, "preview", "--dir", "../.."); code != exitClean || strings.Contains(stdout+stderr, "canary") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

// check and preview count the same resources and refuse the same.
func TestPreviewAndCheckAgree(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"../..", project(t, "alorig/psydge-backend@", "alorig/snapify-backend@")} {
		var verdicts [2]verdict
		var codes [2]int
		for i, verb := range []string{"check", "preview"} {
			var stdout, stderr string
			codes[i], stdout, stderr = alorig(t, verb, "--json", "--dir", dir)
			if err := json.Unmarshal([]byte(stdout), &verdicts[i]); err != nil {
				t.Fatalf("%s: %v: %s%s", verb, err, stdout, stderr)
			}
		}
		if codes[0] != codes[1] || verdicts[0].Refused != verdicts[1].Refused {
			t.Errorf("check ends with %d, preview with %d", codes[0], codes[1])
		}
		if !verdicts[0].Refused && verdicts[0].Resources != verdicts[1].Resources {
			t.Errorf("check counts %d resources, preview %d", verdicts[0].Resources, verdicts[1].Resources)
		}
		said := func(v verdict) (lines []string) {
			for _, f := range v.Findings {
				_, message, described := strings.Cut(f.Message, "\n") // a pack's finding begins with the rule's description
				if !described {
					message = f.Message
				}
				lines = append(lines, f.Rule+" "+f.Level+" "+f.URN+" "+message)
			}
			slices.Sort(lines)
			return lines
		}
		if c, p := said(verdicts[0]), said(verdicts[1]); !slices.Equal(c, p) {
			t.Errorf("check finds\n%s\npreview\n%s", strings.Join(c, "\n"), strings.Join(p, "\n"))
		}
	}
}

func TestAnInterruptedPreviewSaysSo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, []string{"preview", "--dir", "../.."}, &stdout, &stderr); code != exitFault || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("exit code %d: %s", code, stderr.String())
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

// A missing image leaves no verdict; a port that is taken twice is told all the same.
func TestWithoutAVerdictTheLedgersFaultsAreToldToo(t *testing.T) {
	t.Parallel()
	cause := errors.New("alorig:images is not set")
	l := ledger.Alorig()
	if err := unjudged(l, cause); !errors.Is(err, cause) || err.Error() != cause.Error() {
		t.Errorf("a sound ledger adds to the error: %v", err)
	}
	l.Apps[1].Containers[0].Port = l.Apps[0].Containers[0].Port
	err := unjudged(l, cause)
	if !errors.Is(err, cause) || !strings.HasPrefix(err.Error(), cause.Error()) || !strings.Contains(err.Error(), "\n- [port-allocation] ") {
		t.Errorf("it says %v", err)
	}
}
