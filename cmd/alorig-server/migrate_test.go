package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/events"

	"github.com/alorig/fleet/internal/containers"
	"github.com/alorig/fleet/internal/containers/containerstest"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
)

// migration is a migration that runs for a moment and ends with a code.
func migration(t *testing.T, app, code string) document.Migration {
	t.Helper()
	c := containerstest.Container(ledger.MigrationName(app), "BOOT=500ms", "EXIT="+code, "SECRET="+canary)
	c.Restart, c.Probe, c.CPUShares = "no", nil, document.BackgroundShares
	return document.Migration{
		Header: document.NewHeader(app, c.Name), Stack: containerstest.Stack, Container: c, Lock: filepath.Join(t.TempDir(), "lock"),
	}
}

func TestAMigration(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	t.Run("succeeds", func(t *testing.T) {
		t.Parallel()
		app := containerstest.Name(t)
		if did := mustDo(t, document.Migrate, migration(t, app, "0")).Did; strings.Join(did, ", ") != "the database of "+app+" migrated" {
			t.Errorf("%q", did)
		}
		expect(t, docker, app, map[string]string{})
	})
	t.Run("fails", func(t *testing.T) {
		t.Parallel()
		app := containerstest.Name(t)
		name := ledger.MigrationName(app)
		mustFail(t, document.Migrate, migration(t, app, "3"), "the migration of "+app+" ended with exit code 3", "go on with the version before", "docker logs "+name, "run the update again")
		expect(t, docker, app, map[string]string{name: "new exited"})
		// What was kept to be looked at does not stand in the way of the next update.
		mustDo(t, document.Migrate, migration(t, app, "0"))
		expect(t, docker, app, map[string]string{})
	})
	t.Run("does not start", func(t *testing.T) {
		t.Parallel()
		app := containerstest.Name(t)
		d := migration(t, app, "0")
		d.Container.Entrypoint, d.Container.Init = []string{"/missing"}, false
		mustFail(t, document.Migrate, d, "the migration of "+app+" did not start: ", "/missing", "go on with the version before", "run the update again")
		expect(t, docker, app, map[string]string{d.Container.Name: "new created"})
		mustDo(t, document.Migrate, migration(t, app, "0"))
		expect(t, docker, app, map[string]string{})
	})
	t.Run("beside somebody else's", func(t *testing.T) {
		t.Parallel()
		app := containerstest.Name(t)
		d := migration(t, app, "0")
		foreign := d.Container
		foreign.Labels = map[string]string{ledger.LabelStack: "staging"}
		if err := containers.Create(t.Context(), docker, foreign); err != nil {
			t.Fatal(err)
		}
		mustFail(t, document.Migrate, d, "the container "+foreign.Name+" stands in the way of a migration and does not belong to the stack "+containerstest.Stack)
		expect(t, docker, app, map[string]string{foreign.Name: "new created"})
	})
}

func TestAMigrationNeedsItsStores(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	app := containerstest.Name(t)
	runs, ended, missing := app+"_runs", app+"_ended", app+"_missing"
	containerstest.Start(t, docker, containerstest.Container(runs))
	containerstest.Start(t, docker, containerstest.Container(ended))
	if err := containers.Stop(t.Context(), docker, ended); err != nil {
		t.Fatal(err)
	}
	d := migration(t, app, "0")
	d.Needs = []string{runs, ended, missing}
	mustFail(t, document.Migrate, d, "nothing of "+app+" was changed",
		"- "+ended+" has ended with exit code", ": docker start "+ended, "- "+missing+" is missing: docker start "+missing, "run the update again")
	expect(t, docker, ledger.MigrationName(app), map[string]string{})
	d.Needs = []string{runs}
	mustDo(t, document.Migrate, d)
}

// However a migration was cut short, it ends before another one begins.
func TestAMigrationThatIsKilledIsTakenUp(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	for _, action := range []string{"create", "start", "die", "destroy"} {
		t.Run("at its "+action, func(t *testing.T) {
			t.Parallel()
			app := containerstest.Name(t)
			d := migration(t, app, "0")
			heard, all := listen(t, docker, d.Container.Name), listen(t, docker, d.Container.Name)
			p := begin(t, document.Migrate, d)
			p.await(heard, happening{d.Container.Name, action})
			p.kill()
			mustDo(t, document.Migrate, d)
			expect(t, docker, app, map[string]string{})
			neverTwo(t, all)
		})
	}
	t.Run("while it runs, and two come", func(t *testing.T) {
		t.Parallel()
		app := containerstest.Name(t)
		d := migration(t, app, "0")
		heard, all := listen(t, docker, d.Container.Name), listen(t, docker, d.Container.Name)
		p := begin(t, document.Migrate, d)
		p.await(heard, happening{d.Container.Name, "start"})
		p.kill()
		first, second := begin(t, document.Migrate, d), begin(t, document.Migrate, d)
		first.result()
		second.result()
		expect(t, docker, app, map[string]string{})
		neverTwo(t, all)
	})
}

// neverTwo holds what was heard of a migration that is over against one run at a time.
func neverTwo(t *testing.T, heard <-chan events.Message) {
	t.Helper()
	var order []string
	for quiet := false; !quiet; {
		select {
		case m := <-heard:
			if m.Action == "start" || m.Action == "die" {
				order = append(order, string(m.Action))
			}
			if code := m.Actor.Attributes["exitCode"]; m.Action == "die" && code != "0" {
				t.Errorf("a migration was cut off: it ended with exit code %s", code)
			}
		case <-time.After(500 * time.Millisecond):
			quiet = true
		}
	}
	for i, action := range order {
		if want := []string{"start", "die"}[i%2]; action != want {
			t.Errorf("two migrations at the same time: %q", order)
			return
		}
	}
	if len(order) < 2 {
		t.Errorf("no migration was seen: %q", order)
	}
}

// A migration that its program was told to leave goes on.
func TestAMigrationIsNotCutOff(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	app := containerstest.Name(t)
	d := migration(t, app, "0")
	d.Container.Environment["BOOT"] = "3s"
	heard := listen(t, docker, d.Container.Name)
	p := begin(t, document.Migrate, d)
	p.await(heard, happening{d.Container.Name, "start"})
	p.signal(syscall.SIGTERM)
	p.failure("terminated signal received", "run the update again")
	expect(t, docker, app, map[string]string{d.Container.Name: "new running"})
	began := time.Now()
	if code, err := containers.AwaitEnd(t.Context(), docker, d.Container.Name); err != nil || code != 0 || time.Since(began) > patience {
		t.Errorf("%d, %v", code, err)
	}
}
