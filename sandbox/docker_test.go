package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/settings"
)

// TestOnDocker is what the end-to-end suite can try where the official providers are not
// installed: the first three apps of the fleet, as the real program declares them, on the
// real engine with real servers, brought up and updated by the stand-in for Pulumi.
func TestOnDocker(t *testing.T) {
	if os.Getenv("DOCKER_TESTS") == "" {
		t.Skip("it takes the whole Docker engine for some minutes; run it with `make test-docker`")
	}
	fleet, _ = ledger.Alorig().Through("sitebuilder")
	s := newSuite(t)
	s.modest = true
	playPulumi(t)
	s.runParts(t, choose(t, dockerParts, os.Getenv("PART")), os.Getenv("PART") != "")
}

var dockerParts = []part{
	{"up", (*suite).testUpOnDocker},
	{"previews", func(s *suite, t *testing.T) {
		if said, err := s.pulumi(t, "preview", "--expect-no-changes"); err != nil {
			t.Errorf("the preview after it is not empty: %v\n%s", err, said)
		}
	}},
	{"routes", (*suite).testRoutes},
	{"ports", (*suite).testPorts},
	{"isolation", (*suite).testIsolation},
	{"probes", (*suite).testProbes},
	{"redis", (*suite).testRedisMemory},
	{"postgres", (*suite).testPostgresMemory},
	// Before a container is left to be looked at, with the variables of its app.
	{"secrets", func(s *suite, t *testing.T) { s.searchContainers(t, s.secretCanaries(t)) }},
	{"handover", (*suite).testHandover},
	{"failures", func(s *suite, t *testing.T) {
		s.tryFaults(t, "sitebuilder", "https://api.alorig.com/builder", faults[3])
		// A migration that failed is kept, to look at, until the next one. None comes here.
		docker(t, "container", "rm", ledger.MigrationName("sitebuilder"))
	}},
	{"kills", func(s *suite, t *testing.T) {
		s.tryKills(t,
			kill{payloadUpdate, event{"sitebuilder_payload_next", "update"}},
			kill{payloadUpdate, event{"sitebuilder_payload_previous", "rename"}},
			kill{snapifyUpdate, event{"snapify_migrate", "start"}},
		)
		t.Run("a living holder keeps its lock", s.tryLivingHolder)
	}},
}

// playPulumi makes the binary of this test the pulumi of whoever looks on the PATH.
func playPulumi(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "pulumi")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

func (s *suite) testUpOnDocker(t *testing.T) {
	started := time.Now()
	if err := s.prepareServer(t.Context(), s.own); err != nil {
		t.Fatal(err)
	}
	if err := s.startCloudflare(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.buildVersions(t)
	t.Logf("images after %s", time.Since(started).Round(time.Second))
	if said, err := s.pulumi(t, "stack", "init", stack); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	s.config(t, "set", settings.Project+":rollout", fleet.Apps[len(fleet.Apps)-1].Name)
	started = time.Now()
	s.up(t)
	s.figures["up from nothing"] = time.Since(started)
	s.expectHealthy(t)
}
