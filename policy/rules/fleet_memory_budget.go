package rules

import (
	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var fleetMemoryBudget = Rule{
	Name:    "fleet-memory-budget",
	Level:   Mandatory,
	Refuses: "a server whose steady state comes above the upgrade trigger of 13 GB",
	Why:     "Above 13 GB the seed wants a larger server, and says to stop the rollout before that. Counted are the reservations of all declared containers, the shared services that run outside this stack, IGNY8, the operating system; what runs on demand is not steady state.",
	Seed:    "§10 upgrade triggers, §12 critical rule 8",
	Unknown: "Refuses: a reservation that is not known makes the sum a guess.",
	Remedy:  "Stop the rollout where it is: upgrade the server to KVM 8, or split the heaviest app. `bin/alorig ledger` shows the steady state after each app.",
	Stack: func(f *Fleet, rs []declared.Resource) []ledger.Finding {
		steady := memorySum{property: "memoryReservation"}
		for _, r := range f.Reserved {
			steady.total += r.Memory.Steady
		}
		for _, s := range undeclaredServices(f, rs) {
			if !s.OnDemand {
				steady.total += s.Memory.Steady
			}
		}
		for _, r := range rs {
			if r.Type == declared.TypeContainer && !onDemand(f, r) {
				steady.add(r)
			}
		}
		if steady.total > f.Server.UpgradeTrigger {
			steady.findings = append(steady.findings, ledger.Finding{
				Subject: "server",
				Problem: "steady state comes to " + amount(steady.total),
				Ledger:  "the upgrade trigger is " + amount(f.Server.UpgradeTrigger),
				Remedy:  "Stop the rollout: upgrade the server or split the heaviest app (seed §10).",
			})
		}
		return steady.findings
	},
}
