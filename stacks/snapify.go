package stacks

import (
	"time"

	"github.com/alorig/fleet/components"
	"github.com/alorig/fleet/internal/ledger"
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
		components.WorkloadSpec{Role: ledger.Backend, Process: components.Gunicorn{Workers: 2, Threads: 2}, Secrets: secrets},
		components.WorkloadSpec{Role: ledger.Worker, Process: components.CeleryWorker{Concurrency: 3, Longest: 5 * time.Minute}, Secrets: secrets},
		components.WorkloadSpec{Role: ledger.Beat, Process: components.CeleryBeat{}, Secrets: secrets},
	)
}
