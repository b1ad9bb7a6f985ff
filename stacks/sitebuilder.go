package stacks

import (
	"time"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// Alorig Site Builder (seed §6): Django beside Payload CMS on Node.js, which keeps a
// database of its own (docs/adr/0008-payload-database.md).
func init() {
	secrets := []string{"SECRET_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "PAYLOAD_SYNC_TOKEN"}
	define("sitebuilder",
		workload.Spec{Role: ledger.Backend, Process: workload.Gunicorn{Workers: 2, Threads: 2}, Secrets: secrets},
		workload.Spec{
			Role: ledger.Payload, Process: workload.PayloadCMS{Pool: 3, Heap: 400},
			Environment: map[string]string{"PAYLOAD_PUBLIC_SERVER_URL": "https://cms.alorig.com"},
			Secrets:     []string{"PAYLOAD_SECRET", "PAYLOAD_SYNC_TOKEN"},
		},
		workload.Spec{Role: ledger.Worker, Process: workload.CeleryWorker{Concurrency: 3, Longest: 5 * time.Minute}, Secrets: secrets},
		workload.Spec{Role: ledger.Beat, Process: workload.CeleryBeat{}, Secrets: secrets},
	)
}
