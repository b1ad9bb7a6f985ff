package stacks

import (
	"time"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// Psydge (seed §4): real-time, so Daphne serves WebSockets beside Gunicorn.
func init() {
	secrets := []string{
		"SECRET_KEY",
		"ANTHROPIC_API_KEY",
		"METAAPI_TOKEN",
		"STRIPE_SECRET_KEY",
		"STRIPE_WEBHOOK_SECRET",
		"BROKER_ENCRYPTION_KEY", // broker credentials are encrypted at rest
	}
	define("psydge",
		workload.Spec{Role: ledger.Backend, Process: workload.Gunicorn{Workers: 3, Threads: 2}, Secrets: secrets},
		workload.Spec{Role: ledger.Channels, Process: workload.Daphne{Threads: 2}, Secrets: secrets},
		// An AI call may take minutes, and a stop must not cut it off.
		workload.Spec{Role: ledger.Worker, Process: workload.CeleryWorker{Concurrency: 4, Longest: 5 * time.Minute}, Secrets: secrets},
		workload.Spec{Role: ledger.Beat, Process: workload.CeleryBeat{}, Secrets: secrets},
	)
}
