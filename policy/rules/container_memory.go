package rules

import (
	"fmt"

	"github.com/alorig/fleet/internal/fleet"
)

var containerMemory = Rule{
	Name:    "container-memory",
	Level:   Mandatory,
	Refuses: "a container without a hard memory limit or a reservation, with a limit below its reservation, with swap, or with other amounts than the ledger books",
	Why:     "Without a hard limit one leaking worker takes the server down for everybody. Docker gives a container without a swap limit as much swap as memory, which turns the limit into twice itself.",
	Seed:    "§1 resource budget, §10 upgrade triggers",
	Unknown: "refuses: memory decides what fits on the server, so it must be known at preview",
	Resource: func(f *Fleet, r Resource) []fleet.Finding {
		if r.Type != TypeContainer {
			return nil
		}
		subject := containerSubject(r)
		var fs []fleet.Finding
		amount := func(property string) (fleet.MiB, bool) {
			n, state := Read[float64](r.Props, property)
			if state == Known && n > 0 {
				return fleet.MiB(n), true
			}
			fs = append(fs, fleet.Finding{
				Subject: subject, Problem: "has no " + property + describe(state),
				Ledger: "every container has memory, memoryReservation and memorySwap, in MiB",
				Remedy: "Declare it through components.Workload, which takes all three from the ledger.",
			})
			return 0, false
		}
		limit, hasLimit := amount("memory")
		reservation, hasReservation := amount("memoryReservation")
		swap, hasSwap := amount("memorySwap")
		if hasLimit && hasReservation && limit < reservation {
			fs = append(fs, fleet.Finding{
				Subject: subject, Problem: fmt.Sprintf("has a memory limit of %d MiB below its reservation of %d MiB", limit, reservation),
				Ledger: "a limit is at least the reservation", Remedy: "Take both from the ledger.",
			})
		}
		if hasLimit && hasSwap && swap != limit {
			fs = append(fs, fleet.Finding{
				Subject: subject, Problem: fmt.Sprintf("has memorySwap %d MiB beside memory %d MiB", swap, limit),
				Ledger: "memorySwap counts memory and swap together, and no container may swap", Remedy: "Set memorySwap equal to memory.",
			})
		}
		booked, inLedger := bookedMemory(f, r)
		if inLedger && hasLimit && hasReservation && (limit != booked.Limit || reservation != booked.Steady) {
			fs = append(fs, fleet.Finding{
				Subject: subject, Problem: fmt.Sprintf("reserves %d MiB with a limit of %d MiB", reservation, limit),
				Ledger: fmt.Sprintf("the ledger books %d MiB with a limit of %d MiB", booked.Steady, booked.Limit),
				Remedy: "Change the ledger, not the container: internal/fleet/alorig.go.",
			})
		}
		return fs
	},
}
