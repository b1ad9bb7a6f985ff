package ledger

import (
	"strings"
	"testing"
)

// edit returns the real ledger with one mistake in it.
func edit(change func(l *Ledger)) Ledger {
	l := Alorig()
	change(&l)
	return l
}

func TestCheck(t *testing.T) {
	t.Parallel()
	psydge := func(change func(a *App)) Ledger { return edit(func(l *Ledger) { change(&l.Apps[0]) }) }
	backend := func(change func(c *Container)) Ledger {
		return psydge(func(a *App) { change(&a.Containers[0]) })
	}
	tests := []struct {
		name    string
		ledger  Ledger
		rule    string
		subject string
		says    string // stands in the finding
	}{
		// Names.
		{"app name", psydge(func(a *App) { a.Name = "Psydge" }), "container-name", `"Psydge"`, "is no app name"},
		{"app name of one letter", psydge(func(a *App) { a.Name = "p" }), "container-name", `"p"`, "two to 31"},
		{"key prefix of another app", psydge(func(a *App) { a.KeyPrefix = "snapify:" }), "redis-allocation", "psydge", `"psydge:"`},
		{"key prefix without its colon", psydge(func(a *App) { a.KeyPrefix = "psydge" }), "redis-allocation", "psydge", "a colon"},
		{"database of another app", psydge(func(a *App) { a.Databases[0].Name = "shop_db" }), "database-allocation", "shop_db", "no database name of psydge"},
		{"database without its ending", psydge(func(a *App) { a.Databases[0].Name = "psydge_data" }), "database-allocation", "psydge_data", `"_db"`},
		{"role of another app", psydge(func(a *App) { a.Databases[0].Role = "shop" }), "database-allocation", "psydge_db", `role "shop"`},
		{"role that only starts alike", psydge(func(a *App) { a.Databases[0].Role = "psydgex" }), "database-allocation", "psydge_db", "named after its app"},
		{"role PostgreSQL would quote", psydge(func(a *App) { a.Databases[0].Role = "psydge_A" }), "database-allocation", "psydge_db", "Rename the role"},
		{"role too long for its login", psydge(func(a *App) { a.Databases[0].Role = "psydge_" + strings.Repeat("x", 52) }), "database-allocation", "psydge_db", "58 characters at most"},
		{"role named like a login of another", psydge(func(a *App) {
			a.Databases = append(a.Databases, Database{Name: "psydge_files_db", Role: "psydge_cafe", Connections: 1})
		}), "database-allocation", "psydge_files_db", "logins of the role psydge"},
		{"frontend container", backend(func(c *Container) { c.Role = "frontend" }), "container-name", "psydge_frontend", "static files under Caddy"},
		{"serving container without a port", backend(func(c *Container) { c.Port = 0 }), "port-allocation", "psydge_backend", "has port 0"},
		{"port out of range", backend(func(c *Container) { c.Port = 65536 }), "port-allocation", "psydge_backend", "1 to 65535"},
		{"negative port", backend(func(c *Container) { c.Port = -1 }), "port-allocation", "psydge_backend", "has port -1"},
		{"worker with a port", psydge(func(a *App) { a.Containers[2].Port = 9999 }), "port-allocation", "psydge_celery_worker", "the others have none"},
		{"database the app does not have", backend(func(c *Container) { c.Database = "snapify_db" }), "database-allocation", "psydge_backend", "psydge has psydge_db"},

		// Everything is allocated once.
		{"reservation twice", edit(func(l *Ledger) { l.Reserved[2].Name = "igny8" }), "container-name", "igny8", "takes name igny8"},
		{"app named like a reservation", psydge(func(a *App) { a.Name = "os" }), "container-name", "os", "which os has"},
		{"app twice", edit(func(l *Ledger) { l.Apps[1].Name = "psydge" }), "container-name", "psydge", "takes name psydge"},
		{"container of a reservation", edit(func(l *Ledger) { l.Reserved[1].Containers[0] = "psydge_backend" }), "container-name", "psydge_backend", "which igny8 has"},
		{"container of a service", edit(func(l *Ledger) { l.Services[4].Container = "alorig_caddy" }), "container-name", "alorig_caddy", "container name"},
		{"role twice in an app", psydge(func(a *App) { a.Containers[1].Role, a.Containers[1].Port = Backend, 8013 }), "container-name", "psydge_backend", "container name psydge_backend"},
		{"port of another app", backend(func(c *Container) { c.Port = 8014 }), "port-allocation", "snapify_backend", "takes port 8014, which psydge_backend has"},
		{"port of IGNY8", backend(func(c *Container) { c.Port = 8011 }), "port-allocation", "psydge_backend", "which igny8 has"},
		{"port of a service", backend(func(c *Container) { c.Port = 6379 }), "port-allocation", "psydge_backend", "which alorig_redis has"},
		{"published port twice", edit(func(l *Ledger) { l.Services[3].HostPorts = []int{443} }), "host-port", "portainer", "takes host port 443, which alorig_caddy has"},
		{"Redis DB of another app", edit(func(l *Ledger) { l.Apps[1].RedisDB = 2 }), "redis-allocation", "snapify", "takes Redis DB 2, which psydge has"},
		{"Redis DB of IGNY8", psydge(func(a *App) { a.RedisDB = 0 }), "redis-allocation", "psydge", "which igny8 has"},
		{"key prefix twice", edit(func(l *Ledger) { l.Apps[1].KeyPrefix = "psydge:" }), "redis-allocation", "snapify", "takes key prefix psydge:"},
		{"database twice", edit(func(l *Ledger) { l.Apps[1].Databases[0].Name = "psydge_db" }), "database-allocation", "snapify", "takes database psydge_db"},
		{"role twice", edit(func(l *Ledger) { l.Apps[1].Databases[0].Role = "psydge" }), "database-allocation", "snapify", "takes database role psydge"},

		// Connections.
		{"no connection limit", psydge(func(a *App) { a.Databases[0].Connections = 0 }), "connection-budget", "psydge_db", "positive limit"},
		{"unlimited connections", psydge(func(a *App) { a.Databases[0].Connections = -1 }), "connection-budget", "psydge_db", "connection limit -1"},
		{"containers need more than their role has", psydge(func(a *App) { a.Databases[0].Connections = 12 }), "connection-budget", "psydge_db", "hold up to 13 connections"},
		{"more connections than the server has", psydge(func(a *App) { a.Databases[0].Connections = 19 }), "connection-budget", "server", "come to 81, with those of a handover"},
		{"more connections than the server has during a handover", backend(func(c *Container) { c.Connections = 12 }), "connection-budget", "server", "come to 81"},

		// Memory.
		{"no steady state", backend(func(c *Container) { c.Memory.Steady = 0 }), "container-memory", "psydge_backend", "positive amount"},
		{"no hard limit", backend(func(c *Container) { c.Memory.Limit = 0 }), "container-memory", "psydge_backend", "0 MiB hard limit"},
		{"negative amount", edit(func(l *Ledger) { l.Services[0].Memory.Steady = -100 }), "container-memory", "alorig_postgres", "-100 MiB"},
		{"limit below the steady state", backend(func(c *Container) { c.Memory.Limit = 549 }), "container-memory", "psydge_backend", "below its steady state of 550"},
		{"Redis holds more than a rewrite leaves room for", edit(func(l *Ledger) { l.Services[1].Memory.Steady = 991 }), "container-memory", "alorig_redis", "it may hold 990 MiB"},
		{"Redis is killed before it is reviewed", edit(func(l *Ledger) { l.Services[1].Memory.Limit = 1999 }), "container-memory", "alorig_redis", "reviewed when it takes 2000 MiB"},
		{"reservation without an amount", edit(func(l *Ledger) { l.Reserved[0].Memory = Memory{} }), "container-memory", "os", "books 0 MiB"},
		{"app above its budget", backend(func(c *Container) { c.Memory.Steady = 551 }), "app-memory-budget", "psydge", "reserve 1751 MiB"},
		{"steady state above the trigger", edit(func(l *Ledger) { l.Reserved[0].Memory = Memory{3301, 3301} }), "fleet-memory-budget", "server", "13001 MiB"},
		{"limits above the server", backend(func(c *Container) { c.Memory.Limit = 1201 }), "host-memory-ceiling", "server", "come to 15301 MiB, and 1201 MiB more"},

		// Hosts and routes.
		{"malformed host", psydge(func(a *App) { a.Hosts[0].Name = "psydge..com" }), "dns-allocation", "psydge..com", "is no host name"},
		{"wildcard inside a host", psydge(func(a *App) { a.Hosts[1].Name = "a.*.psydge.com" }), "dns-allocation", "a.*.psydge.com", "at most at the start"},
		{"host of another app", edit(func(l *Ledger) { l.Apps[1].Hosts[0] = Host{"psydge.com", "psydge.com", true} }), "dns-allocation", "psydge.com", "to snapify and to psydge"},
		{"host outside its zone", psydge(func(a *App) { a.Hosts[1].Zone = "snapify.pk" }), "dns-allocation", "api.psydge.com", "does not lie in zone snapify.pk"},
		{"proxied too deep", edit(func(l *Ledger) { l.Apps[5].Hosts[1].Proxied = true }), "dns-certificate", "api.schools.alorig.com", "one level"},
		{"host nothing serves", psydge(func(a *App) { a.Hosts = append(a.Hosts, Host{"go.psydge.com", "psydge.com", true}) }), "route-allocation", "go.psydge.com", "nothing serves it"},
		{"route of another app's host", psydge(func(a *App) { a.Routes[0].Host = "snapify.pk" }), "route-allocation", "snapify.pk", "does not own the host"},
		{"malformed path", psydge(func(a *App) { a.Routes[0].Path = "/a/" }), "route-allocation", "psydge.com/a/", "ends without one"},
		{"no target", psydge(func(a *App) { a.Routes[0].Static = "" }), "route-allocation", "psydge.com", "no single target"},
		{"two targets", psydge(func(a *App) { a.Routes[1].Static = "web" }), "route-allocation", "api.psydge.com", "no single target"},
		{"static build outside its directory", psydge(func(a *App) { a.Routes[0].Static = "../web" }), "route-allocation", "psydge.com", `"../web"`},
		{"upstream the app does not have", psydge(func(a *App) { a.Routes[1].Upstream = Payload }), "route-allocation", "api.psydge.com", "psydge_payload, which psydge does not have"},
		{"upstream that serves nothing", psydge(func(a *App) { a.Routes[1].Upstream = Worker }), "route-allocation", "api.psydge.com", "psydge_celery_worker, which listens on no port"},
		{"route twice", psydge(func(a *App) { a.Routes = append(a.Routes, Route{Host: "psydge.com", Path: "/app", Static: "app"}) }), "route-allocation", "psydge.com/app", "also as psydge.com by psydge"},
		{"route of two apps", edit(func(l *Ledger) {
			l.Apps[5].Hosts = append(l.Apps[5].Hosts, Host{"alorig.com", "alorig.com", true})
			l.Apps[5].Routes = append(l.Apps[5].Routes, Route{Host: "alorig.com", Path: "/builder/new", Static: "web"})
		}), "route-allocation", "alorig.com/builder/new", "also as alorig.com/builder by sitebuilder"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			findings := tt.ledger.Check()
			for _, f := range findings {
				if f.Rule == tt.rule && f.Subject == tt.subject && strings.Contains(f.String(), tt.says) {
					if f.Problem == "" || f.Ledger == "" || f.Remedy == "" {
						t.Errorf("says too little: %+v", f)
					}
					return
				}
			}
			t.Errorf("no finding of %s about %s says %q; found %v", tt.rule, tt.subject, tt.says, findings)
		})
	}
}

// One more MiB or connection than allowed is refused; the last allowed one is not.
func TestLimitsAreInclusive(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]Ledger{
		"13 GB steady":       edit(func(l *Ledger) { l.Reserved[0].Memory = Memory{3300, 3300}; l.Server.Memory = 20 * GB }),
		"80 connections":     edit(func(l *Ledger) { l.Apps[0].Databases[0].Connections = 18 }),
		"the server is full": edit(func(l *Ledger) { l.Server.Memory = l.Totals().Peak() }),
	} {
		for _, f := range l.Check() {
			t.Errorf("%s: [%s] %s", name, f.Rule, f)
		}
	}
}

// Check says the same of the same ledger, sorted, and all of it at once.
func TestCheckReportsEverythingSorted(t *testing.T) {
	t.Parallel()
	broken := edit(func(l *Ledger) {
		l.Apps[0].RedisDB = 0
		l.Apps[2].Containers[0].Port = 8011
		l.Apps[5].Hosts[1].Proxied = true
		l.Apps[3].Containers[1].Memory.Limit = 1
		l.Apps[4].Routes[1].Upstream = Worker
	})
	want := []string{"container-memory", "dns-certificate", "port-allocation", "redis-allocation", "route-allocation"}
	for range 5 {
		findings := broken.Check()
		if len(findings) != len(want) {
			t.Fatalf("%d findings, want %d: %v", len(findings), len(want), findings)
		}
		for i, f := range findings {
			if f.Rule != want[i] {
				t.Errorf("finding %d is of %s, want %s", i, f.Rule, want[i])
			}
		}
	}
}

func TestSortFindingsDropsRepetitions(t *testing.T) {
	t.Parallel()
	a, b := Finding{Rule: "a", Subject: "1"}, Finding{Rule: "b"}
	got := SortFindings([]Finding{b, a, b, a})
	if len(got) != 2 || got[0] != a || got[1] != b {
		t.Errorf("sorted to %v", got)
	}
}

func TestConnectionTotal(t *testing.T) {
	t.Parallel()
	// The shares of seven databases, 12 and 4 for IGNY8, 2 for the operator, and the
	// next version of psydge_backend: the largest that a handover adds.
	if got := Alorig().ConnectionTotal(); got != 13+8+8+3+7+5+7+12+4+2+6 {
		t.Errorf("%d connections", got)
	}
}

// A role may hold its share and what the next version of one of its containers holds.
func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	want := map[string]int{
		"psydge_db": 13 + 6, "snapify_db": 8 + 4, "sitebuilder_db": 8 + 4, "sitebuilder_payload_db": 3 + 3,
		"observer_db": 7 + 4, "astrotiming_db": 5 + 2, "asms_db": 7 + 4,
	}
	for _, a := range Alorig().Apps {
		for _, d := range a.Databases {
			if got := a.ConnectionLimit(d); got != want[d.Name] {
				t.Errorf("%s: %d, want %d", d.Name, got, want[d.Name])
			}
		}
	}
	worker := App{Containers: []Container{{Role: Worker, Database: "a_db", Connections: 9}}}
	if got := worker.HandoverConnections("a_db"); got != 0 {
		t.Errorf("a worker, which is never handed over, adds %d", got)
	}
}
