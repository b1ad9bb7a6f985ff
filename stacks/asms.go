package stacks

import (
	"github.com/alorig/fleet/components"
	"github.com/alorig/fleet/internal/ledger"
)

// ASMS Phase 1 (seed §9): school management for the pilot.
func init() {
	secrets := []string{"SECRET_KEY"}
	define("asms",
		components.WorkloadSpec{Role: ledger.Backend, Process: components.Gunicorn{Workers: 2, Threads: 2}, Secrets: secrets},
		components.WorkloadSpec{Role: ledger.Worker, Process: components.CeleryWorker{Concurrency: 2}, Secrets: secrets},
		components.WorkloadSpec{Role: ledger.Beat, Process: components.CeleryBeat{}, Secrets: secrets},
	)
}
