package stacks

import (
	"github.com/alorig/fleet/components"
	"github.com/alorig/fleet/internal/fleet"
)

// ASMS Phase 1 (seed §9): school management for the pilot.
func init() {
	secrets := []string{"SECRET_KEY"}
	define("asms",
		components.WorkloadSpec{Role: fleet.Backend, Process: components.Gunicorn{Workers: 2, Threads: 2}, Secrets: secrets},
		components.WorkloadSpec{Role: fleet.Worker, Process: components.CeleryWorker{Concurrency: 2}, Secrets: secrets},
		components.WorkloadSpec{Role: fleet.Beat, Process: components.CeleryBeat{}, Secrets: secrets},
	)
}
