package stacks

import (
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// AstroTiming (seed §8): the lightest app.
func init() {
	secrets := []string{"SECRET_KEY", "OPENAI_API_KEY", "GOOGLE_CALENDAR_CLIENT_SECRET"}
	define("astrotiming",
		workload.Spec{Role: ledger.Backend, Process: workload.Gunicorn{Workers: 1, Threads: 2}, Secrets: secrets},
		workload.Spec{Role: ledger.Worker, Process: workload.CeleryWorker{Concurrency: 1}, Secrets: secrets},
		workload.Spec{Role: ledger.Beat, Process: workload.CeleryBeat{}, Secrets: secrets},
	)
}
