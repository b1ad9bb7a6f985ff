package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/settings"
)

const astrotiming = "https://api.astrotiming.com"

// ids are the ids of all containers of the stack by name, but for what stands beside them.
func (s *suite) ids(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, line := range lines(docker(t, "ps", "--all", "--no-trunc", "--format", "{{.Names}} {{.ID}}", "--filter", "label="+ledger.LabelStack+"="+stack)) {
		name, id, _ := strings.Cut(line, " ")
		if !transient(name) {
			found[name] = id
		}
	}
	return found
}

// transient tells the containers that stand beside others for a while.
func transient(name string) bool {
	return strings.HasSuffix(name, "_next") || strings.HasSuffix(name, "_migrate") || strings.HasSuffix(name, "_previous")
}

// expectSame expects that nothing was replaced.
func expectSame(t *testing.T, before, after map[string]string) {
	t.Helper()
	for name, id := range before {
		if after[name] != id {
			t.Errorf("%s was %.12s and is %.12s", name, id, after[name])
		}
	}
}

// fault is a version that cannot do its work, and what the update says of it; %[1]s is the
// app.
type fault struct {
	name, version string
	says          []string
}

var faults = []fault{
	{"no such image", "none", []string{"alorig-sandbox/django:none"}},
	{"crashes", "crash", []string{"the next version of %[1]s_backend did not become ready", "%[1]s_backend has not been touched and goes on serving", "docker logs %[1]s_backend_next"}},
	{"never healthy", "sick", []string{"the next version of %[1]s_backend did not become ready", "docker logs %[1]s_backend_next"}},
	{"migration fails", "broken-migration", []string{"the migration of %[1]s ended with exit code 1", "docker logs %[1]s_migrate"}},
}

func (s *suite) testFailuresLeaveTheOldVersion(t *testing.T) {
	s.tryFaults(t, "astrotiming", astrotiming, faults...)
}

// A version that cannot do its work leaves the one before at its own, whatever is wrong.
func (s *suite) tryFaults(t *testing.T, app, site string, faults ...fault) {
	t.Helper()
	client := browser(t)
	for _, bad := range faults {
		t.Run(bad.name, func(t *testing.T) {
			before := s.ids(t)
			load := startAttack(browser(t), 20, append(otherApps(app), site+"/"), []string{site + "/jobs"})
			s.setImage(t, app+"-backend", image(bad.version))
			var says []string
			for _, text := range bad.says {
				says = append(says, strings.ReplaceAll(text, "%[1]s", app))
			}
			s.upFails(t, says...)
			load.stop()
			load.expectClean(t)
			expectSame(t, before, s.ids(t))
			expectVersion(t, client, site, "1")
		})
	}
	before := s.ids(t)
	s.setImage(t, app+"-backend", image("1"))
	s.up(t)
	expectSame(t, before, s.ids(t))
	s.expectHealthy(t)
}

// What the apps rely on is down, or what Caddy should load is refused.
func (s *suite) testOutages(t *testing.T) {
	t.Run("site file", func(t *testing.T) {
		foreign := filepath.Join(s.caddy(), "sites", "foreign.caddy")
		if err := os.WriteFile(foreign, []byte("admin.snapify.pk {\n\trespond foreign\n}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(foreign)
		site := filepath.Join(s.caddy(), "sites", ledger.SiteFile("snapify"))
		old, err := os.ReadFile(site)
		if err != nil {
			t.Fatal(err)
		}
		before := s.ids(t)
		load := startAttack(browser(t), 20, otherApps(""), nil)
		s.config(t, "set", "--path", settings.Project+":adminCidrs[1]", "172.30.0.32/27")
		s.upFails(t, "The site file snapify.caddy was refused; the one before it is back", "admin.snapify.pk")
		load.stop()
		load.expectClean(t)
		expectSame(t, before, s.ids(t))
		if now, err := os.ReadFile(site); err != nil || string(now) != string(old) {
			t.Errorf("the site file changed (%v):\n%s", err, now)
		}
		if err := os.Remove(foreign); err != nil {
			t.Fatal(err)
		}
		s.up(t)
		if now, err := os.ReadFile(site); err != nil || !strings.Contains(string(now), "172.30.0.32/27") {
			t.Errorf("the next update did not put the site file there (%v):\n%s", err, now)
		}
	})
	for _, service := range []string{"alorig_postgres", "alorig_redis", "alorig_caddy"} {
		t.Run(service, func(t *testing.T) {
			client := browser(t)
			kept := countJobs(t, client, astrotiming)
			docker(t, "stop", service)
			if said, err := s.alorig(t, "state"); err == nil || !strings.Contains(said, service+": does not run") {
				t.Errorf("alorig state: %v: %s", err, said)
			}
			next := astrotimingUpdate.change(s, t)
			// The update starts it before anything else.
			if said := s.up(t); !strings.Contains(said, "Started, since it did not run: "+service) {
				t.Errorf("it does not say that it has started %s:\n%s", service, said)
			}
			astrotimingUpdate.expect(t, client, next)
			if now := countJobs(t, client, astrotiming); now != kept {
				t.Errorf("%v is kept of %v", now, kept)
			}
			s.expectHealthy(t)
			expectWorkers(t, client) // health tells a minute later
		})
	}
}

func (s *suite) config(t *testing.T, args ...string) {
	t.Helper()
	if said, err := s.pulumi(t, append([]string{"config"}, args...)...); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
}

// What somebody does by hand on the server. An update sees it before its first change.
func (s *suite) testDrift(t *testing.T) {
	t.Run("stopped", func(t *testing.T) {
		before := s.ids(t)
		docker(t, "stop", "observer_backend")
		if said, err := s.pulumi(t, "refresh", "--yes", "--skip-preview", "--suppress-progress"); err != nil {
			t.Errorf("%v: %s", err, said)
		}
		expectSame(t, before, s.ids(t))
		s.up(t)
		waitFor(t, "observer_backend", func() error {
			if c := condition(t, "observer_backend"); c != "ready" {
				return fmt.Errorf("it is %s", c)
			}
			return nil
		})
		expectSame(t, before, s.ids(t))
	})
	for name, mend := range map[string]func(*testing.T){
		"refresh": func(t *testing.T) {
			if said, err := s.pulumi(t, "refresh", "--yes", "--skip-preview", "--suppress-progress"); err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			s.up(t)
		},
		"recover": func(t *testing.T) {
			said, err := s.recover(t, "--yes")
			t.Logf("alorig recover:\n%s", said)
			if err != nil {
				t.Errorf("recover: %v", err)
			}
			s.up(t)
		},
	} {
		t.Run("removed, and mended by "+name, func(t *testing.T) {
			docker(t, "rm", "--force", "observer_celery_beat")
			watched := watchEvents(t)
			s.upFails(t, "observer_celery_beat: is missing, and the state has it", "alorig recover", "nothing was changed")
			mend(t)
			watched().only(t, "observer_celery_beat")
			s.expectHealthy(t)
		})
	}
	t.Run("a site file is lost, and edited", func(t *testing.T) {
		site := filepath.Join(s.caddy(), "sites", ledger.SiteFile("observer"))
		if err := os.Remove(site); err != nil {
			t.Fatal(err)
		}
		docker(t, "exec", "alorig_caddy", "caddy", "reload", "--config", "/etc/caddy/Caddyfile") // and nobody serves it
		if said, err := s.alorig(t, "state"); err == nil || !strings.Contains(said, "site file observer.caddy: is missing") {
			t.Errorf("alorig state: %v: %s", err, said)
		}
		if said := s.up(t); !strings.Contains(said, "Put in its place again, since it was missing: site file observer.caddy") {
			t.Errorf("it does not say that the site file was missing:\n%s", said)
		}
		expectVersion(t, browser(t), "https://api.observeros.app", "1")
		if err := os.WriteFile(site, []byte("observeros.app {\n\trespond hello\n}\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		s.upFails(t, "site file observer.caddy: was changed by hand", "remove "+site)
		if err := os.Remove(site); err != nil {
			t.Fatal(err)
		}
		s.up(t)
		if said, err := s.alorig(t, "state"); err != nil {
			t.Errorf("alorig state: %v: %s", err, said)
		}
	})
}

// A destroy takes what holds no data, stops at what is protected, and the data is there
// when the fleet is up again.
func (s *suite) testDestroy(t *testing.T) {
	client := browser(t)
	kept := map[string]jobs{}
	for _, site := range []string{"https://snapify.pk", astrotiming, "https://api.psydge.com"} {
		kept[site] = countJobs(t, client, site)
	}
	said, err := s.pulumi(t, "destroy", "--yes", "--skip-preview", "--suppress-progress")
	if err == nil || !strings.Contains(said, "protect") {
		t.Errorf("a destroy of protected databases ended with %v:\n%s", err, said)
	}
	if said, err := s.pulumi(t, "destroy", "--yes", "--skip-preview", "--suppress-progress", "--exclude-protected"); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if c := condition(t, "psydge_backend"); c != "missing" {
		t.Errorf("psydge_backend is %s after a destroy", c)
	}
	databases := docker(t, "exec", "alorig_postgres", "psql", "-U", "postgres", "-Atc", "SELECT datname FROM pg_database ORDER BY 1")
	for _, app := range fleet.Apps {
		for _, d := range app.Databases {
			if !strings.Contains("\n"+databases+"\n", "\n"+d.Name+"\n") {
				t.Errorf("%s is gone; there are\n%s", d.Name, databases)
			}
		}
	}
	s.up(t)
	s.expectHealthy(t)
	client = browser(t)
	for site, was := range kept {
		if now := countJobs(t, client, site); now != was {
			t.Errorf("%s keeps %v of %v", site, now, was)
		}
	}
}
