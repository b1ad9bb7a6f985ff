package main

import (
	"context"

	"github.com/alorig/fleet/internal/document"
)

// putSite puts an app's site file in place, and Caddy loads it, or all is as before.
func putSite(ctx context.Context, s *server, d *document.Site) error {
	return s.configuration(d.Directory, d.Caddy).PutSite(ctx, d.File, d.Text)
}

// removeSite takes an app's site file away, and Caddy loads what is left, or all is as before.
func removeSite(ctx context.Context, s *server, d *document.Site) error {
	return s.configuration(d.Directory, d.Caddy).RemoveSite(ctx, d.File)
}
