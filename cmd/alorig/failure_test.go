package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// With --json a failure is JSON too, in every verb that has the flag, and the exit code is
// that of the failure.
func TestFailuresAsJSON(t *testing.T) {
	t.Parallel()
	malformed := project(t, "203.0.113.10", "alorig.com")
	plain := project(t, "config:\n", "config:\n  alorig:redisPassword: hunter2\n")
	for _, tt := range []struct {
		name     string
		args     []string
		says     string
		problems []string
	}{
		{"check", []string{"check", "--json", "--dir", malformed}, "the settings of prod: 1 setting must be set or corrected", []string{"alorig:serverAddress"}},
		{"preview", []string{"preview", "--json", "--dir", malformed}, "the settings of prod: 1 setting must be", []string{"alorig:serverAddress"}},
		{"recover", []string{"recover", "--json", "--dir", malformed}, "the settings of prod: 1 setting must be", []string{"alorig:serverAddress"}},
		{"a secret", []string{"check", "--json", "--dir", plain}, "1 setting must be", []string{"alorig:redisPassword"}},
		{"no such stack", []string{"check", "--json=true", "--stack", "staging", "--dir", "../.."}, "Pulumi.staging.yaml", nil},
		{"no such app", []string{"preview", "--json", "--rollout", "shop", "--dir", "../.."}, `--rollout "shop" is no app`, nil},
		{"unknown flag", []string{"check", "--json", "--rolout", "asms"}, "unknown flag: --rolout", nil},
		{"unknown flag before", []string{"check", "--rolout", "asms", "--json"}, "unknown flag: --rolout", nil},
		{"unknown command", []string{"chekc", "--json"}, "", nil},
		{"a format", []string{"ledger", "--format", "json", "too much"}, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := alorig(t, tt.args...)
			if code != exitFault || stderr != "" {
				t.Errorf("exit code %d: %s", code, stderr)
			}
			var f failure
			decoder := json.NewDecoder(strings.NewReader(stdout))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&f); err != nil || decoder.More() {
				t.Fatalf("not one JSON value: %v: %s", err, stdout)
			}
			if f.Error == "" || !strings.Contains(f.Error, tt.says) || strings.Contains(f.Error, "\x1b") {
				t.Errorf("%q, want %q", f.Error, tt.says)
			}
			if len(f.Problems) != len(tt.problems) {
				t.Fatalf("%+v", f.Problems)
			}
			for i, key := range tt.problems {
				if f.Problems[i].Key != key || f.Problems[i].Remedy == "" || strings.Contains(f.Error, f.Problems[i].Remedy) {
					t.Errorf("%+v", f)
				}
			}
			if strings.Contains(stdout, "hunter2") {
				t.Error("shows a secret")
			}
		})
	}
	// Whoever does not ask for JSON gets none.
	for _, args := range [][]string{{"check", "--json=false", "--rollout", "shop"}, {"check", "--rollout", "shop"}} {
		if code, stdout, stderr := alorig(t, args...); code != exitFault || stdout != "" || !strings.HasPrefix(stderr, "alorig: ") {
			t.Errorf("%v: %d %s%s", args, code, stdout, stderr)
		}
	}
	var stderr strings.Builder
	if code := run(t.Context(), []string{"check", "--json", "--rollout", "shop"}, full{}, &stderr); code != exitFault || !strings.Contains(stderr.String(), "shop") || !strings.Contains(stderr.String(), "no space left") {
		t.Errorf("%d: %s", code, stderr.String())
	}
}

// PULUMI_STACK says which stack is meant, as it does for the Pulumi CLI; --stack goes first.
// The answer says which one was judged.
func TestTheStackOfTheEnvironment(t *testing.T) {
	t.Setenv(stackVariable, "organization/alorig/sandbox")
	code, stdout, stderr := alorig(t, "check", "--dir", "../..")
	if code != exitClean || !strings.Contains(stdout, "stack organization/alorig/sandbox:") {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
	code, stdout, stderr = alorig(t, "check", "--stack", "prod", "--json", "--dir", "../..")
	if code != exitClean || !strings.Contains(stdout, `"stack": "prod"`) {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
	t.Setenv(stackVariable, "staging")
	for _, verb := range []string{"check", "preview", "recover"} {
		if code, _, stderr := alorig(t, verb, "--dir", "../.."); code != exitFault || !strings.Contains(stderr, "Pulumi.staging.yaml") {
			t.Errorf("%s: %d %s", verb, code, stderr)
		}
	}
	t.Setenv(stackOption, "prod") // the CLI prefers it
	if code, stdout, stderr := alorig(t, "check", "--dir", "../.."); code != exitClean || !strings.Contains(stdout, "stack prod:") {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
	t.Setenv(stackOption, "")
	t.Setenv(stackVariable, "../prod")
	if code, _, stderr := alorig(t, "check", "--dir", "../.."); code != exitFault || !strings.Contains(stderr, `PULUMI_STACK "../prod" names no stack`) {
		t.Errorf("%d %s", code, stderr)
	}
}

// A directory may be relative, and its files may have the line ends of Windows.
func TestADirectoryByAnyName(t *testing.T) {
	dir := project(t, "", "")
	for _, name := range []string{"Pulumi.yaml", "Pulumi.prod.yaml"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(string(text), "\n", "\r\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Dir(dir))
	for _, named := range []string{filepath.Base(dir), "./" + filepath.Base(dir) + "/policy/..", dir} {
		if code, stdout, stderr := alorig(t, "check", "--dir", named); code != exitClean {
			t.Errorf("%s: %d %s%s", named, code, stdout, stderr)
		}
	}
	t.Chdir(filepath.Join(dir, "policy"))
	if code, stdout, stderr := alorig(t, "check"); code != exitClean {
		t.Errorf("from below: %d %s%s", code, stdout, stderr)
	}
}

// The rollout of the stack file is judged, though the complete fleet is looked at.
func TestTheRolloutOfTheFileIsJudged(t *testing.T) {
	t.Parallel()
	for to, says := range map[string]string{"psydg": "alorig:rollout is \"psydg\", did you mean psydge?", "''": "alorig:rollout is not set"} {
		dir := project(t, "alorig:rollout: psydge", "alorig:rollout: "+to)
		for _, args := range [][]string{{"check"}, {"check", "--rollout", "asms"}, {"preview"}} {
			code, _, stderr := alorig(t, append(args, "--dir", dir)...)
			if code != exitFault || !strings.Contains(stderr, says) || !strings.Contains(stderr, "1 setting must") {
				t.Errorf("%v of %s: %d %s", args, to, code, stderr)
			}
		}
	}
}

// What is encrypted without being a secret is judged by nobody, and said so.
func TestWhatIsNotJudgedIsNamed(t *testing.T) {
	t.Parallel()
	dir := project(t, "alorig:serverAddress: 203.0.113.10", "alorig:serverAddress: {secure: v1:hunter2}")
	code, stdout, _ := alorig(t, "check", "--dir", dir)
	if code != exitClean || !strings.Contains(stdout, "alorig:serverAddress: encrypted, not judged here") || strings.Contains(stdout, "hunter2") {
		t.Errorf("%d %s", code, stdout)
	}
	if _, stdout, _ = alorig(t, "check", "--json", "--dir", dir); !strings.Contains(stdout, `"notJudged": [`) {
		t.Error(stdout)
	}
	// The name of a member comes from the file too.
	strange := project(t, "alorig:images:\n", "alorig:images:\n    \"\\e[2J\\nNo rule\": {secure: v1:x}\n")
	if code, stdout, stderr := alorig(t, "check", "--dir", strange); code != exitClean || strings.Contains(stdout, "\x1b") || !strings.Contains(stdout, `alorig:images["\x1b[2J\nNo rule"]: encrypted`) {
		t.Errorf("%d %q%q", code, stdout, stderr)
	}
	code, _, stderr := alorig(t, "recover", "--dir", dir)
	if code != exitFault || !strings.Contains(stderr, "alorig:serverAddress is kept encrypted, and is needed here") {
		t.Errorf("%d %s", code, stderr)
	}
}
