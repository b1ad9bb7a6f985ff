package stacks

import (
	"github.com/alorig/fleet/components"
	"github.com/alorig/fleet/internal/ledger"
)

// AstroTiming (seed §8): the lightest app.
func init() {
	secrets := []string{"SECRET_KEY", "OPENAI_API_KEY", "GOOGLE_CALENDAR_CLIENT_SECRET"}
	define("astrotiming",
		components.WorkloadSpec{Role: ledger.Backend, Process: components.Gunicorn{Workers: 1, Threads: 2}, Secrets: secrets},
		components.WorkloadSpec{Role: ledger.Worker, Process: components.CeleryWorker{Concurrency: 1}, Secrets: secrets},
		components.WorkloadSpec{Role: ledger.Beat, Process: components.CeleryBeat{}, Secrets: secrets},
	)
}
