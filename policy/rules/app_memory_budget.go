package rules

import (
	"maps"
	"slices"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var appMemoryBudget = Rule{
	Name:    "app-memory-budget",
	Level:   Mandatory,
	Refuses: "an app whose containers together reserve more memory than its budget",
	Why:     "The seed gives each app a share of the server. The sum is taken over the containers really declared, so that one written past the components counts too.",
	Seed:    "§1 resource budget, §2 deployment order",
	Unknown: "Refuses: a reservation that is not known makes the sum a guess.",
	Remedy:  "Lower `Memory.Steady` of the app's containers in `internal/ledger/alorig.go`, or have the owner raise the app's `Budget`.",
	Stack: func(f *Fleet, rs []declared.Resource) []ledger.Finding {
		sums := map[string]*memorySum{}
		for _, r := range rs {
			if r.Type != declared.TypeContainer {
				continue
			}
			app := owningApp(f, r)
			if _, ok := f.appNamed(app); !ok {
				continue
			}
			if sums[app] == nil {
				sums[app] = &memorySum{property: "memoryReservation"}
			}
			sums[app].add(r)
		}
		var fs []ledger.Finding
		for _, name := range slices.Sorted(maps.Keys(sums)) {
			app, _ := f.appNamed(name)
			fs = append(fs, sums[name].findings...)
			if sums[name].total > app.Budget {
				fs = append(fs, ledger.Finding{
					Subject: name,
					Problem: "its containers reserve " + amount(sums[name].total),
					Ledger:  "its budget is " + amount(app.Budget),
					Remedy:  "Lower Memory.Steady of its containers, or have the owner raise the budget.",
				})
			}
		}
		return fs
	},
}
