package stacks

import (
	"github.com/alorig/fleet/components"
	"github.com/alorig/fleet/internal/ledger"
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
		components.WorkloadSpec{Role: ledger.Backend, Process: components.Gunicorn{Workers: 2, Threads: 2}, Secrets: secrets},
		components.WorkloadSpec{Role: ledger.Worker, Process: components.CeleryWorker{Concurrency: 2}, Secrets: secrets},
		components.WorkloadSpec{Role: ledger.Beat, Process: components.CeleryBeat{}, Secrets: secrets},
	)
}
