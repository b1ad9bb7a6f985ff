package rules

import (
	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var hostMemoryCeiling = Rule{
	Name:    "host-memory-ceiling",
	Level:   Mandatory,
	Refuses: "hard limits that together exceed the server's memory",
	Why:     "When every container reaches its own limit at once, the server must still hold them, or the kernel kills one of its own choice. One transient counts on top: the largest of what runs on demand and of the next version that stands beside a serving container while it is replaced.",
	Seed:    "§1 VPS with 16 GB, §10 OOM kills",
	Unknown: "Refuses: a limit that is not known makes the sum a guess.",
	Remedy:  "Lower `Memory.Limit` of the containers with the widest gap between limit and steady state.",
	Stack: func(f *Fleet, rs []declared.Resource) []ledger.Finding {
		limits := memorySum{property: "memory"}
		var transient ledger.MiB
		for _, r := range f.Reserved {
			limits.total += r.Memory.Limit
		}
		for _, s := range undeclaredServices(f, rs) {
			if s.OnDemand {
				transient = max(transient, s.Memory.Limit)
			} else {
				limits.total += s.Memory.Limit
			}
		}
		for _, r := range rs {
			if r.Type != declared.TypeContainer {
				continue
			}
			if onDemand(f, r) {
				aside := memorySum{property: "memory"}
				transient = max(transient, aside.add(r))
				limits.findings = append(limits.findings, aside.findings...)
				continue
			}
			limit := limits.add(r)
			if c, ok := f.ContainerNamed(containerName(r)); ok && c.Role.Serves() {
				transient = max(transient, limit)
			}
		}
		if peak := limits.total + transient; peak > f.Server.Memory {
			limits.findings = append(limits.findings, ledger.Finding{
				Subject: "server",
				Problem: "all hard limits come to " + amount(limits.total) + ", and " + amount(transient) + " more while something runs on demand or is replaced",
				Ledger:  "the server has " + amount(f.Server.Memory),
				Remedy:  "Lower hard limits until every container can reach its own at once.",
			})
		}
		return limits.findings
	},
}
