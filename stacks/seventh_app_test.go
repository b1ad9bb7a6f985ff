package stacks

import (
	"maps"
	"testing"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/internal/workload"
)

// What the seventh app takes: one entry at the end of Apps in internal/ledger/alorig.go …
func seventhEntry() ledger.App {
	return ledger.App{
		Name: "seventh", Title: "Seventh",
		Blueprint: "a test",
		Budget:    300,
		Containers: []ledger.Container{
			{Role: ledger.Backend, Image: "seventh-backend", Port: 8024, Memory: ledger.Memory{Steady: 140, Limit: 190}, Database: "seventh_db", Connections: 2},
			{Role: ledger.Worker, Image: "seventh-backend", Memory: ledger.Memory{Steady: 90, Limit: 120}, Database: "seventh_db", Connections: 1},
			{Role: ledger.Beat, Image: "seventh-backend", Memory: ledger.Memory{Steady: 70, Limit: 90}, Database: "seventh_db", Connections: 1},
		},
		RedisDB: 8, KeyPrefix: "seventh:",
		Databases: []ledger.Database{{Name: "seventh_db", Role: "seventh", Connections: 4}},
		Hosts:     []ledger.Host{{Name: "seventh.alorig.com", Zone: "alorig.com", Proxied: true}},
		Routes:    []ledger.Route{{Host: "seventh.alorig.com", Upstream: ledger.Backend}},
	}
}

// … one file in stacks/ with a call of define …
func seventhWorkloads() []workload.Spec {
	secrets := []string{"SECRET_KEY"}
	return []workload.Spec{
		{Role: ledger.Backend, Process: workload.Gunicorn{Workers: 1, Threads: 2}, Secrets: secrets},
		{Role: ledger.Worker, Process: workload.CeleryWorker{Concurrency: 1}, Secrets: secrets},
		{Role: ledger.Beat, Process: workload.CeleryBeat{}, Secrets: secrets},
	}
}

// … and data in Pulumi.prod.yaml: its image, and how far the rollout has come.
func seventhSettings(t *testing.T) settings.Config {
	t.Helper()
	images := maps.Clone(settingsOf(t, Alorig(), production(t)).Images)
	images["seventh-backend"] = "registry.example.com/alorig/seventh-backend@sha256:20be73c9b7350d05f849acb668b7ede4991fa9d8f1173b0821a26fe8d2e0c064"
	return production(t).With("images", images).With("rollout", "seventh")
}

// withSeventh is the fleet with the app added. No component, no rule and none of the
// other apps changes for it.
func withSeventh(entry ledger.App) Fleet {
	f := Alorig()
	f.Ledger.Apps = append(f.Ledger.Apps, entry)
	f.Workloads[entry.Name] = seventhWorkloads()
	return f
}

func TestSeventhApp(t *testing.T) {
	t.Parallel()
	recorded, found, err := checked(t, withSeventh(seventhEntry()), seventhSettings(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Errorf("[%s] %s", f.Rule, f)
	}
	has := map[string]bool{}
	for _, r := range recorded {
		has[r.Type+" "+r.Name] = true
	}
	for _, want := range []string{
		ledger.TypeApp + " seventh",
		declared.TypeContainer + " seventh-backend", declared.TypeContainer + " seventh-celery-worker", declared.TypeContainer + " seventh-celery-beat",
		declared.TypeDatabase + " seventh-database-seventh-db", declared.TypeRole + " seventh-role-seventh",
		declared.TypeRecord + " seventh-dns-seventh.alorig.com",
		ledger.TypeMigration + " seventh-migration", declared.TypeRemoteCommand + " seventh-migrate",
		declared.TypeRemoteCommand + " seventh-backend-take", declared.TypeRemoteCommand + " seventh-backend-end",
		declared.TypeRemoteCommand + " seventh-redis-user", declared.TypeRemoteCommand + " seventh-site", declared.TypeRemoteCommand + " seventh-healthy",
	} {
		if !has[want] {
			t.Errorf("no %s is declared", want)
		}
	}
}

// The six others are declared to the letter as without it: adding an app changes none.
func TestSeventhAppChangesNoOther(t *testing.T) {
	t.Parallel()
	after := map[string]declared.Resource{}
	for _, r := range record(t, withSeventh(seventhEntry()), seventhSettings(t)) {
		after[r.URN] = r
	}
	for _, before := range record(t, Alorig(), production(t)) {
		if before.Type == ledger.TypeServer {
			continue // it carries the ledger
		}
		now, kept := after[before.URN]
		if !kept || !now.Props.Equals(before.Props) {
			t.Errorf("%s changes with the seventh app", before.URN)
		}
	}
}

func TestSeventhAppBeyondABudget(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		change     func(*ledger.App)
		rule, says string
	}{
		{"its own budget", func(a *ledger.App) { a.Containers[1].Memory.Steady = 91 }, "app-memory-budget", "301 MiB"},
		{"the upgrade trigger", func(a *ledger.App) {
			a.Budget, a.Containers[0].Memory = 2301, ledger.Memory{Steady: 2141, Limit: 2141}
		}, "fleet-memory-budget", "13001 MiB"},
		{"the server's memory", func(a *ledger.App) { a.Containers[0].Memory.Limit = 2000 }, "host-memory-ceiling", "all hard limits"},
		{"the server's connections", func(a *ledger.App) { a.Databases[0].Connections = 6 }, "connection-budget", "connections come to 81, with those of a handover"},
		{"another app's Redis DB", func(a *ledger.App) { a.RedisDB = 7 }, "redis-allocation", "which asms has"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			entry := seventhEntry()
			c.change(&entry)
			_, found, err := checked(t, withSeventh(entry), seventhSettings(t))
			if err != nil {
				t.Fatal(err)
			}
			mustRefuse(t, found, c.rule, c.says)
		})
	}
}

// A pack that does not know the seventh app yet refuses it by every way in.
func TestSeventhAppIsUnknownToTheOldPack(t *testing.T) {
	t.Parallel()
	found := judge(record(t, withSeventh(seventhEntry()), seventhSettings(t)))
	mustRefuse(t, found, "ledger-declared", "declares another ledger")
	mustRefuse(t, found, "container-name", "seventh_backend: is not in the ledger")
	mustRefuse(t, found, "database-allocation", "seventh_db: is not in the ledger")
	mustRefuse(t, found, "dns-allocation", "seventh.alorig.com: is a host that the ledger gives to no app")
	mustRefuse(t, found, "route-allocation", "is a route of seventh")
	mustRefuse(t, found, "redis-allocation", "who is no app")
}
