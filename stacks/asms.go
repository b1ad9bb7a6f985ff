package stacks

import (
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// ASMS Phase 1 (seed §9): school management for the pilot.
func init() {
	secrets := []string{"SECRET_KEY"}
	define("asms",
		workload.Spec{Role: ledger.Backend, Process: workload.Gunicorn{Workers: 2, Threads: 2}, Secrets: secrets},
		workload.Spec{Role: ledger.Worker, Process: workload.CeleryWorker{Concurrency: 2}, Secrets: secrets},
		workload.Spec{Role: ledger.Beat, Process: workload.CeleryBeat{}, Secrets: secrets},
	)
}
