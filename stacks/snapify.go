package stacks

import (
	"time"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// Snapify (seed §5): the buyers' store is rendered by Django, the panels are static.
func init() {
	secrets := []string{
		"SECRET_KEY",
		"OPENAI_API_KEY",
		"WHATSAPP_ACCESS_TOKEN",
		"WHATSAPP_VERIFY_TOKEN",
		"META_GRAPH_TOKEN",
		"CLOUDINARY_API_SECRET",
		"SPACES_SECRET_KEY",
		"SENDGRID_API_KEY",
		"JAZZCASH_INTEGRITY_SALT_SECRET",
		"EASYPAISA_HASH_KEY",
	}
	define("snapify",
		workload.Spec{Role: ledger.Backend, Process: workload.Gunicorn{Workers: 2, Threads: 2}, Secrets: secrets},
		workload.Spec{Role: ledger.Worker, Process: workload.CeleryWorker{Concurrency: 3, Longest: 5 * time.Minute}, Secrets: secrets},
		workload.Spec{Role: ledger.Beat, Process: workload.CeleryBeat{}, Secrets: secrets},
	)
}
