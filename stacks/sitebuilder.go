package stacks

import (
	"time"

	"github.com/alorig/fleet/components"
	"github.com/alorig/fleet/internal/ledger"
)

// Alorig Site Builder (seed §6): Django beside Payload CMS on Node.js, which keeps a
// database of its own (docs/adr/0008-payload-database.md).
func init() {
	secrets := []string{"SECRET_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "PAYLOAD_SYNC_TOKEN"}
	define("sitebuilder",
		components.WorkloadSpec{Role: ledger.Backend, Process: components.Gunicorn{Workers: 2, Threads: 2}, Secrets: secrets},
		components.WorkloadSpec{
			Role: ledger.Payload, Process: components.PayloadCMS{Pool: 3, Heap: 400},
			Environment: map[string]string{"PAYLOAD_PUBLIC_SERVER_URL": "https://cms.alorig.com"},
			Secrets:     []string{"PAYLOAD_SECRET", "PAYLOAD_SYNC_TOKEN"},
		},
		components.WorkloadSpec{Role: ledger.Worker, Process: components.CeleryWorker{Concurrency: 3, Longest: 5 * time.Minute}, Secrets: secrets},
		components.WorkloadSpec{Role: ledger.Beat, Process: components.CeleryBeat{}, Secrets: secrets},
	)
}
