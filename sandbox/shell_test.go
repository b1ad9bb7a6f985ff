package main

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/workload"
	"github.com/alorig/fleet/stacks"
)

// What puts the server's program in its place is put together from parameters and steps, so
// shellcheck is given the whole text, as the program declares it.
func TestTheScriptsOfTheProgramAreSound(t *testing.T) {
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Skip("shellcheck is missing (Debian: shellcheck)")
	}
	for name, script := range declaredScripts(t) {
		cmd := exec.CommandContext(t.Context(), "shellcheck", "--shell=sh", "--format=gcc", "--exclude="+strings.Join(accepted, ","), "-")
		cmd.Stdin = strings.NewReader(script)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, bytes.TrimSpace(said))
		}
	}
}

// accepted are findings that do not fit scripts put together from parts.
var accepted = []string{
	"SC2034", // a parameter that this step does not use
	"SC2317", // nor every function
	"SC2329",
}

// declaredScripts are the different scripts that are declared, by the resource that runs them.
func declaredScripts(t *testing.T) map[string]string {
	t.Helper()
	read, err := testSandbox(t).settings()
	if err != nil {
		t.Fatal(err)
	}
	scripts, seen := map[string]string{}, []string{}
	for _, mode := range []workload.PlatformMode{workload.Managed, workload.Existing} {
		read.Platform = mode
		recorded, _, err := stacks.Alorig().Check(stack, read)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range recorded {
			if r.Type != declared.TypeLocalCommand {
				continue
			}
			// All else is the server's program with a document.
			if r.Props.Get("create").AsString() != "/bin/sh -s" {
				continue
			}
			if text := r.Props.Get("stdin").AsString(); !slices.Contains(seen, text) {
				seen = append(seen, text)
				scripts[r.Name] = text
			}
		}
	}
	if len(scripts) == 0 {
		t.Fatal("no script is declared")
	}
	return scripts
}
