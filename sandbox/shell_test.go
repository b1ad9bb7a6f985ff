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

// What runs on the server is put together from parameters, functions and steps, so
// shellcheck is given the whole text of each command, as the program declares it.
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
	"SC1003", // a quote within a quoted probe
	"SC2034", // a parameter that this step does not use
	"SC2317", // nor every function
	"SC2329",
	"SC2059", // names of the ledger and our own lists stand in formats on purpose
	"SC2154", // what exports the app's variables is evaluated
}

// declaredScripts are the different commands of an app with every kind of step, and those
// of both kinds of platform, by the resource that runs them.
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
			for _, when := range []string{"create", "delete"} {
				text := r.Props.Get(when)
				if !text.IsString() || slices.Contains(seen, text.AsString()) {
					continue
				}
				seen = append(seen, text.AsString())
				// One app is enough: those of the others differ in names alone.
				if app, _, _ := strings.Cut(r.Name, "-"); app == "psydge" || !isApp(app) {
					scripts[r.Name+" "+when] = text.AsString()
				}
			}
		}
	}
	if len(scripts) < 10 {
		t.Fatalf("only %d scripts are declared", len(scripts))
	}
	return scripts
}

func isApp(name string) bool {
	_, ok := stacks.Defined()[name]
	return ok
}
