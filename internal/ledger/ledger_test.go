package ledger

import (
	"slices"
	"strconv"
	"testing"
)

// The tests of this file restate the seed, figure by figure, and hold the ledger
// against it. They are written out on purpose: derived from the ledger they would
// agree with whatever it says.

func TestTheLedgerIsSound(t *testing.T) {
	t.Parallel()
	for _, f := range Alorig().Check() {
		t.Errorf("[%s] %s", f.Rule, f)
	}
}

func TestServerOfTheSeed(t *testing.T) {
	t.Parallel()
	want := Server{
		Memory: 16000, UpgradeTrigger: 13000, // §1, §10
		Connections: 80, RedisMemory: 2000, // §10
		Network: "alorig_net", // §1
	}
	if got := Alorig().Server; got != want {
		t.Errorf("server %+v, the seed says %+v", got, want)
	}
}

// seedApp is what sections 1, 2, 3 and 4 to 9 of the seed say about one app.
type seedApp struct {
	name       string
	budget     MiB
	redisDB    int
	prefix     string
	databases  []string
	containers []seedContainer
	routes     []seedRoute
}

type seedContainer struct {
	name, image string
	port        int
}

// seedRoute is a line of an app's "Caddy Routes": where, and what answers.
type seedRoute struct{ at, by string }

// seed is in deployment order (§2).
var seed = []seedApp{
	{
		name: "psydge", budget: 1750, redisDB: 2, prefix: "psydge:", databases: []string{"psydge_db"},
		containers: []seedContainer{
			{"psydge_backend", "psydge-backend", 8012},
			{"psydge_channels", "psydge-backend", 8013},
			{"psydge_celery_worker", "psydge-backend", 0},
			{"psydge_celery_beat", "psydge-backend", 0},
		},
		routes: []seedRoute{
			{"psydge.com", "static"},
			{"api.psydge.com", "psydge_backend:8012"},
			{"ws.psydge.com", "psydge_channels:8013 (WebSocket)"},
		},
	},
	{
		name: "snapify", budget: 700, redisDB: 3, prefix: "snapify:", databases: []string{"snapify_db"},
		containers: []seedContainer{
			{"snapify_backend", "snapify-backend", 8014},
			{"snapify_celery_worker", "snapify-backend", 0},
			{"snapify_celery_beat", "snapify-backend", 0},
		},
		routes: []seedRoute{
			{"snapify.pk", "snapify_backend:8014"},
			{"api.snapify.pk", "snapify_backend:8014/api"},
			{"app.snapify.pk", "static"},
			{"admin.snapify.pk", "static (IP-restricted)"},
		},
	},
	{
		name: "sitebuilder", budget: 1250, redisDB: 4, prefix: "sitebuilder:",
		databases: []string{"sitebuilder_db", "sitebuilder_payload_db"},
		containers: []seedContainer{
			{"sitebuilder_backend", "sitebuilder-backend", 8016},
			{"sitebuilder_payload", "sitebuilder-payload", 8017},
			{"sitebuilder_celery_worker", "sitebuilder-backend", 0},
			{"sitebuilder_celery_beat", "sitebuilder-backend", 0},
		},
		routes: []seedRoute{
			{"alorig.com/builder", "static"},
			{"api.alorig.com/builder", "sitebuilder_backend:8016"},
			{"cms.alorig.com", "sitebuilder_payload:8017"},
			{"*.sites.alorig.com", "sitebuilder_payload:8017"}, // docs/adr/0003
		},
	},
	{
		name: "observer", budget: 700, redisDB: 5, prefix: "observer:", databases: []string{"observer_db"},
		containers: []seedContainer{
			{"observer_backend", "observer-backend", 8018},
			{"observer_celery_worker", "observer-backend", 0},
			{"observer_celery_beat", "observer-backend", 0},
		},
		routes: []seedRoute{
			{"observeros.app", "static"},
			{"api.observeros.app", "observer_backend:8018"},
		},
	},
	{
		name: "astrotiming", budget: 400, redisDB: 6, prefix: "astrotiming:", databases: []string{"astrotiming_db"},
		containers: []seedContainer{
			{"astrotiming_backend", "astrotiming-backend", 8020},
			{"astrotiming_celery_worker", "astrotiming-backend", 0},
			{"astrotiming_celery_beat", "astrotiming-backend", 0},
		},
		routes: []seedRoute{
			{"astrotiming.com", "static"},
			{"api.astrotiming.com", "astrotiming_backend:8020"},
		},
	},
	{
		name: "asms", budget: 600, redisDB: 7, prefix: "asms:", databases: []string{"asms_db"},
		containers: []seedContainer{
			{"asms_backend", "asms-backend", 8022},
			{"asms_celery_worker", "asms-backend", 0},
			{"asms_celery_beat", "asms-backend", 0},
		},
		routes: []seedRoute{
			{"schools.alorig.com", "static"},
			{"api.schools.alorig.com", "asms_backend:8022"},
		},
	},
}

func TestAppsOfTheSeed(t *testing.T) {
	t.Parallel()
	l := Alorig()
	var order []string
	for _, want := range seed {
		order = append(order, want.name)
	}
	if got := l.AppNames(); !slices.Equal(got, order) {
		t.Fatalf("deployment order %v, the seed says %v", got, order)
	}
	for _, want := range seed {
		t.Run(want.name, func(t *testing.T) {
			t.Parallel()
			app, _ := l.App(want.name)
			if app.Budget != want.budget || app.Steady() != want.budget {
				t.Errorf("budget %d, its containers reserve %d; the seed says %d", app.Budget, app.Steady(), want.budget)
			}
			if app.RedisDB != want.redisDB || app.KeyPrefix != want.prefix {
				t.Errorf("Redis DB %d and prefix %q, the seed says %d and %q", app.RedisDB, app.KeyPrefix, want.redisDB, want.prefix)
			}
			if got := databaseNames(app); !slices.Equal(got, want.databases) {
				t.Errorf("databases %v, the seed says %v", got, want.databases)
			}
			if app.Blueprint == "" {
				t.Error("names no source blueprint, which acceptance asks for (§11)")
			}
			var containers []seedContainer
			for _, c := range app.Containers {
				containers = append(containers, seedContainer{ContainerName(app.Name, c.Role), c.Image, c.Port})
			}
			if !slices.Equal(containers, want.containers) {
				t.Errorf("containers %v, the seed says %v", containers, want.containers)
			}
			var routes []seedRoute
			for _, r := range app.Routes {
				routes = append(routes, seedRoute{r.Key(), answers(app, r)})
			}
			if !slices.Equal(routes, want.routes) {
				t.Errorf("routes %v, the seed says %v", routes, want.routes)
			}
		})
	}
}

// answers says what serves a route, in the seed's words.
func answers(a App, r Route) string {
	by := "static"
	if r.Upstream != "" {
		by = ContainerName(a.Name, r.Upstream) + ":" + strconv.Itoa(r.Port) + r.AddPrefix
	}
	if r.WebSocket {
		by += " (WebSocket)"
	}
	if r.Restricted {
		by += " (IP-restricted)"
	}
	return by
}

func TestSharedInfrastructureOfTheSeed(t *testing.T) {
	t.Parallel()
	l := Alorig()

	var infra MiB // "Shared infra (PG + Redis + Caddy + Portainer) ~2.5 GB"
	var names []string
	for _, s := range l.Services {
		names = append(names, s.Container)
		if !s.OnDemand {
			infra += s.Memory.Steady
		}
		if onDemand := s.Kind == Flower; s.OnDemand != onDemand {
			t.Errorf("%s on demand: %v, the seed says %v", s.Container, s.OnDemand, onDemand)
		}
	}
	if want := []string{"alorig_postgres", "alorig_redis", "alorig_caddy", "portainer", "flower"}; !slices.Equal(names, want) {
		t.Errorf("services %v, the seed says %v", names, want)
	}
	if infra != 2500 {
		t.Errorf("shared services take %d, the seed says 2500", infra)
	}

	reserved := map[string]Reservation{}
	for _, r := range l.Reserved {
		reserved[r.Name] = r
	}
	igny8, staging, os := reserved["igny8"], reserved["igny8-staging"], reserved["os"]
	if sum := igny8.Memory.Steady + staging.Memory.Steady; sum != 1800 {
		t.Errorf("IGNY8 takes %d, the seed says 1800", sum)
	}
	if os.Memory.Steady != 1000 {
		t.Errorf("the operating system takes %d, the seed says 1000", os.Memory.Steady)
	}
	if igny8.Port != 8011 || staging.Port != 8031 {
		t.Errorf("IGNY8 has the ports %d and %d, the seed says 8011 and 8031", igny8.Port, staging.Port)
	}
	if igny8.RedisDB == nil || *igny8.RedisDB != 0 || staging.RedisDB == nil || *staging.RedisDB != 1 || os.RedisDB != nil {
		t.Error("IGNY8 has the Redis databases 0 and 1, the operating system none (§3)")
	}
	if want := []string{"igny8_backend", "igny8_frontend", "igny8_celery_worker", "igny8_celery_beat", "igny8_celery_video_worker"}; !slices.Equal(igny8.Containers, want) {
		t.Errorf("IGNY8 has the containers %v, the seed says %v", igny8.Containers, want)
	}
}

// §2: the sum after each app, which the seed asks to be watched before the next one.
func TestLadderOfTheSeed(t *testing.T) {
	t.Parallel()
	want := []struct {
		after            string
		added, steady    MiB
		headroom, toTrig MiB
	}{
		{"", 5300, 5300, 10700, 7700},
		{"psydge", 1750, 7050, 8950, 5950},
		{"snapify", 700, 7750, 8250, 5250},
		{"sitebuilder", 1250, 9000, 7000, 4000},
		{"observer", 700, 9700, 6300, 3300},
		{"astrotiming", 400, 10100, 5900, 2900},
		{"asms", 600, 10700, 5300, 2300}, // "~10.7 GB / 16 GB", "~5 GB for spikes"
	}
	l := Alorig()
	ladder := l.Ladder()
	if len(ladder) != len(want) {
		t.Fatalf("%d rungs, want %d", len(ladder), len(want))
	}
	for i, w := range want {
		r := ladder[i]
		if r.After != w.after || r.Added != w.added || r.Steady != w.steady || r.Headroom != w.headroom || r.ToTrigger != w.toTrig {
			t.Errorf("rung %d is %+v, want %+v", i, r, w)
		}
		stage, ok := l.Through(w.after)
		if !ok {
			t.Fatalf("no stage after %q", w.after)
		}
		if total := stage.Totals(); total.Steady != r.Steady || total.Limits != r.Limits || total.Peak() != r.Peak {
			t.Errorf("after %q the totals are %+v, the ladder says %+v", w.after, total, r)
		}
		if r.Peak > l.Server.Memory {
			t.Errorf("after %q every hard limit at once takes %d, the server has %d", w.after, r.Peak, l.Server.Memory)
		}
	}
}

func TestThrough(t *testing.T) {
	t.Parallel()
	l := Alorig()
	for app, want := range map[string]int{"": 0, "psydge": 1, "sitebuilder": 3, "asms": 6} {
		stage, ok := l.Through(app)
		if !ok || len(stage.Apps) != want {
			t.Errorf("through %q: %d apps, %v; want %d", app, len(stage.Apps), ok, want)
		}
		if len(stage.Services) != len(l.Services) || len(stage.Reserved) != len(l.Reserved) {
			t.Errorf("through %q: the shared services are always there", app)
		}
	}
	if _, ok := l.Through("shop"); ok {
		t.Error("a stage after an app that the ledger does not have")
	}
	// What is added to a stage must not appear in the ledger it was cut from.
	stage, _ := l.Through("psydge")
	stage.Apps = append(stage.Apps, App{Name: "shop"})
	if l.Apps[1].Name != "snapify" {
		t.Error("appending to a stage writes into the ledger")
	}
}

func TestEveryLedgerIsItsOwnCopy(t *testing.T) {
	t.Parallel()
	changed := Alorig()
	changed.Apps[0].Containers[0].Port = 1
	*changed.Reserved[1].RedisDB = 9
	if l := Alorig(); l.Apps[0].Containers[0].Port != 8012 || *l.Reserved[1].RedisDB != 0 {
		t.Error("a change to one copy of the ledger shows in the next")
	}
}

func TestLookUps(t *testing.T) {
	t.Parallel()
	l := Alorig()
	if got, want := l.Zones(), []string{"alorig.com", "astrotiming.com", "observeros.app", "psydge.com", "snapify.pk"}; !slices.Equal(got, want) {
		t.Errorf("zones %v, want %v", got, want)
	}
	if got, want := l.Images(), []string{
		"asms-backend", "astrotiming-backend", "observer-backend", "psydge-backend",
		"sitebuilder-backend", "sitebuilder-payload", "snapify-backend",
	}; !slices.Equal(got, want) {
		t.Errorf("images %v, want %v", got, want)
	}
	if _, ok := l.App("shop"); ok {
		t.Error("finds an app that is not there")
	}
	if s, ok := l.Service(Redis); !ok || s.Container != "alorig_redis" {
		t.Errorf("the Redis service is %+v", s)
	}
	if _, ok := l.Service("mysql"); ok {
		t.Error("finds a service that is not there")
	}
	app, _ := l.App("snapify")
	if _, ok := app.Container(Channels); ok {
		t.Error("finds a container that is not there")
	}
	if _, ok := app.Database("psydge_db"); ok {
		t.Error("finds another app's database")
	}
	if app.Limits() != 900 {
		t.Errorf("the hard limits of Snapify come to %d, want 900", app.Limits())
	}
}

func TestIndex(t *testing.T) {
	t.Parallel()
	l := Alorig()
	twice := l.Apps[0] // a second owner of every name
	twice.Title = "Second"
	l.Apps = append(l.Apps, twice)
	x := NewIndex(l)
	if c, ok := x.ContainerNamed("psydge_channels"); !ok || c.App.Title != "Psydge" || c.Port != 8013 {
		t.Errorf("psydge_channels is %+v", c)
	}
	if d, ok := x.DatabaseNamed("sitebuilder_payload_db"); !ok || d.App.Name != "sitebuilder" || d.Role != "sitebuilder_payload" {
		t.Errorf("sitebuilder_payload_db is %+v", d)
	}
	if d, ok := x.RoleNamed("psydge"); !ok || d.Name != "psydge_db" || d.App.Title != "Psydge" {
		t.Errorf("the role psydge is %+v", d)
	}
	if h, ok := x.HostNamed("*.sites.alorig.com"); !ok || h.App.Name != "sitebuilder" || h.Proxied {
		t.Errorf("*.sites.alorig.com is %+v", h)
	}
	if s, ok := x.ServiceNamed("alorig_caddy"); !ok || s.Kind != Caddy {
		t.Errorf("alorig_caddy is %+v", s)
	}
	if r, ok := x.ReservedContainer("igny8_frontend"); !ok || r.Name != "igny8" {
		t.Errorf("igny8_frontend is %+v", r)
	}
	for name, found := range map[string]func(string) bool{
		"container": func(n string) bool { _, ok := x.ContainerNamed(n); return ok },
		"database":  func(n string) bool { _, ok := x.DatabaseNamed(n); return ok },
		"role":      func(n string) bool { _, ok := x.RoleNamed(n); return ok },
		"host":      func(n string) bool { _, ok := x.HostNamed(n); return ok },
		"service":   func(n string) bool { _, ok := x.ServiceNamed(n); return ok },
		"reserved":  func(n string) bool { _, ok := x.ReservedContainer(n); return ok },
	} {
		if found("nobody") {
			t.Errorf("finds a %s that is not there", name)
		}
	}
}
