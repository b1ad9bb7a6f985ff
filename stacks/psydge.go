package stacks

import (
	"time"

	"github.com/alorig/fleet/components"
	"github.com/alorig/fleet/internal/ledger"
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
		components.WorkloadSpec{Role: ledger.Backend, Process: components.Gunicorn{Workers: 3, Threads: 2}, Secrets: secrets},
		components.WorkloadSpec{Role: ledger.Channels, Process: components.Daphne{Threads: 2}, Secrets: secrets},
		// An AI call may take minutes, and a stop must not cut it off.
		components.WorkloadSpec{Role: ledger.Worker, Process: components.CeleryWorker{Concurrency: 4, Longest: 5 * time.Minute}, Secrets: secrets},
		components.WorkloadSpec{Role: ledger.Beat, Process: components.CeleryBeat{}, Secrets: secrets},
	)
}
