package stacks

import (
	"fmt"
	"testing"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/internal/workload"
	"github.com/alorig/fleet/policy/rules"
)

// syntheticFleet is a clean fleet of n apps with three containers, a database and two
// hosts each, on a server that is large enough, and its configuration.
func syntheticFleet(b *testing.B, n int) (Fleet, settings.Config) {
	b.Helper()
	f := Fleet{Ledger: ledger.Alorig(), Workloads: workload.Apps{}}
	f.Ledger.Server.Memory, f.Ledger.Server.UpgradeTrigger, f.Ledger.Server.Connections = 1<<30, 1<<30, 1<<20
	f.Ledger.Reserved, f.Ledger.Apps = f.Ledger.Reserved[:1], nil
	zones, images := map[string]string{}, map[string]string{}
	for i := range n {
		name := fmt.Sprintf("app%d", i)
		zone, port := name+".com", 10000+i
		f.Ledger.Apps = append(f.Ledger.Apps, ledger.App{
			Name: name, Title: name, Blueprint: "a benchmark", Budget: 300,
			Containers: []ledger.Container{
				{Role: ledger.Backend, Image: name + "-backend", Port: port, Memory: ledger.Memory{Steady: 140, Limit: 190}, Database: name + "_db", Connections: 2},
				{Role: ledger.Worker, Image: name + "-backend", Memory: ledger.Memory{Steady: 90, Limit: 120}, Database: name + "_db", Connections: 1},
				{Role: ledger.Beat, Image: name + "-backend", Memory: ledger.Memory{Steady: 70, Limit: 90}, Database: name + "_db", Connections: 1},
			},
			RedisDB: 2 + i, KeyPrefix: name + ":",
			Databases: []ledger.Database{{Name: name + "_db", Role: name, Connections: 4}},
			Hosts:     []ledger.Host{{Name: zone, Zone: zone, Proxied: true}, {Name: "api." + zone, Zone: zone, Proxied: true}},
			Routes:    []ledger.Route{{Host: zone, Static: "web"}, {Host: "api." + zone, Upstream: ledger.Backend}},
		})
		secrets := []string{"SECRET_KEY"}
		f.Workloads[name] = []workload.Spec{
			{Role: ledger.Backend, Process: workload.Gunicorn{Workers: 1, Threads: 2}, Secrets: secrets},
			{Role: ledger.Worker, Process: workload.CeleryWorker{Concurrency: 1}, Secrets: secrets},
			{Role: ledger.Beat, Process: workload.CeleryBeat{}, Secrets: secrets},
		}
		zones[zone] = fmt.Sprintf("%032x", i+1)
		images[name+"-backend"] = "registry.example.com/alorig/" + name + "-backend@sha256:20be73c9b7350d05f849acb668b7ede4991fa9d8f1173b0821a26fe8d2e0c064"
	}
	config := production(b).With("zones", zones).With("images", images)
	return f, config.With("rollout", f.Ledger.Apps[n-1].Name)
}

// BenchmarkCheck is the whole way of `alorig check`: the settings read, the program
// recorded by a dry run, every rule asked.
func BenchmarkCheck(b *testing.B) {
	check := func(f Fleet, config settings.Config) func(*testing.B) {
		return func(b *testing.B) {
			declared, found, err := checked(b, f, config)
			if err != nil || len(found) > 0 {
				b.Fatalf("the fleet is not clean: %v %v", err, found)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := checked(b, f, config); err != nil {
					b.Fatal(err)
				}
			}
			report(b, len(f.Ledger.Apps), len(declared))
		}
	}
	b.Run("alorig", check(Alorig(), production(b)))
	for _, n := range []int{10, 100, 1000} {
		f, config := syntheticFleet(b, n)
		b.Run(fmt.Sprint(n), check(f, config))
	}
}

// BenchmarkDryRun is the part of [BenchmarkCheck] that Pulumi's SDK takes.
func BenchmarkDryRun(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		f, config := syntheticFleet(b, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := settingsOf(b, f, config)
			b.ReportAllocs()
			resources := 0
			for b.Loop() {
				declared, err := f.dryRun("prod", s)
				if err != nil {
					b.Fatal(err)
				}
				resources = len(declared)
			}
			report(b, n, resources)
		})
	}
}

// BenchmarkJudge is the part of [BenchmarkCheck] that the rules take.
func BenchmarkJudge(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		f, config := syntheticFleet(b, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			declared, _, err := checked(b, f, config)
			if err != nil {
				b.Fatal(err)
			}
			pack := rules.NewFleet(f.Ledger)
			b.ReportAllocs()
			for b.Loop() {
				rules.Judge(pack, declared)
			}
			report(b, n, len(declared))
		})
	}
}

// BenchmarkLedgerCheck is the ledger's own check.
func BenchmarkLedgerCheck(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		f, _ := syntheticFleet(b, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if found := f.Ledger.Check(); len(found) > 0 {
					b.Fatal(found)
				}
			}
			report(b, n, 0)
		})
	}
}

// report adds the cost of one app, which shows whether the cost is linear.
func report(b *testing.B, apps, resources int) {
	b.ReportMetric(b.Elapsed().Seconds()*1e6/float64(b.N)/float64(apps), "µs/app")
	if resources > 0 {
		b.ReportMetric(float64(resources), "resources")
	}
}
