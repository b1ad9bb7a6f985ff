package caddybuild_test

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/alorig/fleet/internal/caddybuild"
)

func TestBinaryHasTheCloudflareModule(t *testing.T) {
	if testing.Short() {
		t.Skip("builds Caddy when it is not built yet")
	}
	path, err := caddybuild.Binary(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	modules, err := exec.CommandContext(t.Context(), path, "list-modules").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, modules)
	}
	if !strings.Contains(string(modules), "dns.providers.cloudflare\n") {
		t.Errorf("%s has no dns.providers.cloudflare", path)
	}
	again, err := caddybuild.Binary(t.Context(), t.Output())
	if err != nil || again != path {
		t.Errorf("a second call returns %q, %v", again, err)
	}
}

func TestBinaryOutsideTheRepository(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := caddybuild.Binary(context.Background(), t.Output())
	if err == nil || !strings.Contains(err.Error(), "does not lie in the fleet repository") {
		t.Errorf("error is %v", err)
	}
}
