package ledger

import (
	"slices"
	"testing"
)

func TestTheLedgerIsSound(t *testing.T) {
	t.Parallel()
	for _, f := range Alorig().Check() {
		t.Errorf("[%s] %s", f.Rule, f)
	}
}

// The sum after each app, which the plan wants watched before the next one.
func TestLadder(t *testing.T) {
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
