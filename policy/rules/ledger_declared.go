package rules

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var ledgerDeclared = Rule{
	Name:    "ledger-declared",
	Level:   Mandatory,
	Refuses: "a stack without exactly one Server component, a Server whose declared ledger is not the one this pack was built with, and a rollout that names no app",
	Why:     "The program and the pack each carry the ledger. If they differ, one of the two was built from another version, and every other verdict is about a fleet that does not exist.",
	Seed:    "§11 acceptance criteria: assignments verified",
	Unknown: "Refuses: the ledger is plain data and always known.",
	Remedy:  "Build the program and the policy pack from the same commit.",
	Resource: func(f *Fleet, r declared.Resource) []ledger.Finding {
		if r.Type != ledger.TypeServer {
			return nil
		}
		p := ledger.Report{Subject: "Server"}
		const says = "the program declares the ledger that this pack was built with"
		const remedy = "Build the program and the pack from the same commit."
		plain, err := plainLedger(r)
		if err != nil {
			p.Add(err.Error(), says, remedy)
		} else if paths := differences(nil, "ledger", plain, f.plain); len(paths) > 0 {
			problem := "declares another ledger: " + few(paths)
			if _, err := ledger.FromPlain(plain); err != nil {
				problem = "declares a ledger that cannot be decoded: " + few(paths)
			}
			p.Add(problem, says, remedy)
		}
		rollout, state := declared.Read[string](r.Props, "rollout")
		if problem := unreadable("rollout", state); problem != "" {
			p.Add(problem, "it names the app that the server has come to", "Set alorig:rollout in the configuration.")
		} else if _, ok := f.place[rollout]; !ok && rollout != "" {
			p.Add("has the rollout "+rollout, "the apps are "+strings.Join(f.AppNames(), ", "), "Set alorig:rollout to one of them.")
		}
		return p.Findings
	},
	Stack: func(_ *Fleet, rs []declared.Resource) []ledger.Finding {
		servers := ofType(rs, ledger.TypeServer)
		if len(servers) == 1 {
			return nil
		}
		p := ledger.Report{Subject: "stack"}
		p.Add(fmt.Sprintf("declares %d Server component", len(servers)), "one stack is one server and declares its ledger once", "Declare exactly one components.Server.")
		return p.Findings
	},
}

// differences collects the paths at which two plain values differ, sorted.
func differences(paths []string, path string, a, b any) []string {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok {
			return append(paths, path)
		}
		keys := map[string]bool{}
		for k := range a {
			keys[k] = true
		}
		for k := range b {
			keys[k] = true
		}
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			paths = differences(paths, path+"."+k, a[k], b[k])
		}
		return paths
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return append(paths, path)
		}
		for i := range a {
			paths = differences(paths, fmt.Sprintf("%s[%d]", path, i), a[i], b[i])
		}
		return paths
	}
	if !reflect.DeepEqual(a, b) {
		paths = append(paths, path)
	}
	return paths
}

func few(all []string) string {
	const shown = 5
	if len(all) <= shown {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:shown], ", "), len(all)-shown)
}
