package rules

import (
	"fmt"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var containerMemory = Rule{
	Name:    "container-memory",
	Level:   Mandatory,
	Refuses: "a container without a hard memory limit or a reservation, with a limit below its reservation, with swap, or with other amounts than the ledger books",
	Why:     "Without a hard limit one leaking worker takes the server down for everybody. Docker gives a container without a swap limit as much swap as memory, which turns the limit into twice itself.",
	Seed:    "§1 resource budget, §10 upgrade triggers",
	Unknown: "Refuses: memory decides what fits on the server, so it must be known at preview.",
	Remedy:  "Declare the container through `components.Workload`. To give a container other amounts, change `Memory` of its entry in `internal/ledger/alorig.go`; the budgets are checked with it.",
	Resource: func(f *Fleet, r declared.Resource) []ledger.Finding {
		if r.Type != declared.TypeContainer {
			return nil
		}
		p := ledger.Report{Subject: containerSubject(r)}
		read := func(property string) (ledger.MiB, bool) {
			n, state := declared.ReadInt(r.Props, property)
			if state == declared.Known && n > 0 {
				return ledger.MiB(n), true
			}
			problem := "has no " + property + describe(state)
			if state == declared.Known {
				problem = fmt.Sprintf("has %s %d", property, n)
			}
			p.Add(problem, "every container has memory, memoryReservation and memorySwap, in MiB, above zero",
				"Declare it through components.Workload, which takes all three from the ledger.")
			return 0, false
		}
		limit, hasLimit := read("memory")
		reservation, hasReservation := read("memoryReservation")
		swap, hasSwap := read("memorySwap")
		if hasLimit && hasReservation && limit < reservation {
			p.Add(fmt.Sprintf("has a memory limit of %d MiB below its reservation of %d MiB", limit, reservation),
				"a limit is at least the reservation", "Take both from the ledger.")
		}
		if hasLimit && hasSwap && swap != limit {
			p.Add(fmt.Sprintf("has memorySwap %d MiB beside memory %d MiB", swap, limit),
				"memorySwap counts memory and swap together, and no container may swap", "Set memorySwap equal to memory.")
		}
		booked, inLedger := bookedMemory(f, r)
		if inLedger && hasLimit && hasReservation && (limit != booked.Limit || reservation != booked.Steady) {
			p.Add(fmt.Sprintf("reserves %d MiB with a limit of %d MiB", reservation, limit),
				fmt.Sprintf("the ledger books %d MiB with a limit of %d MiB", booked.Steady, booked.Limit),
				"Change the ledger, not the container: internal/ledger/alorig.go.")
		}
		return p.Findings
	},
}
