package stacks

import (
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// Observer OS (seed §7).
func init() {
	secrets := []string{
		"SECRET_KEY",
		"JOURNAL_ENCRYPTION_KEY", // journal entries are encrypted at rest
		"OPENAI_API_KEY",
		"ANTHROPIC_API_KEY",
		"ELEVENLABS_API_KEY",
		"RUNWARE_API_KEY",
	}
	define("observer",
		workload.Spec{Role: ledger.Backend, Process: workload.Gunicorn{Workers: 2, Threads: 2}, Secrets: secrets},
		workload.Spec{Role: ledger.Worker, Process: workload.CeleryWorker{Concurrency: 2}, Secrets: secrets},
		workload.Spec{Role: ledger.Beat, Process: workload.CeleryBeat{}, Secrets: secrets},
	)
}
