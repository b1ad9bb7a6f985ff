package caddysite_test

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alorig/fleet/internal/caddysite"
	"github.com/alorig/fleet/internal/ledger"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

var admins = []netip.Prefix{netip.MustParsePrefix("2001:db8::/48"), netip.MustParsePrefix("203.0.113.7/32")}

func TestRender(t *testing.T) {
	for _, app := range ledger.Alorig().Apps {
		t.Run(app.Name, func(t *testing.T) {
			golden(t, ledger.SiteFile(app.Name), render(t, app, caddysite.Options{TLS: caddysite.Cloudflare, AdminCIDRs: admins}))
		})
	}
	sitebuilder, _ := ledger.Alorig().App("sitebuilder")
	golden(t, "sitebuilder.internal.caddy", render(t, sitebuilder, caddysite.Options{TLS: caddysite.Internal}))
}

func TestRenderMain(t *testing.T) {
	for name, o := range map[string]caddysite.MainOptions{
		"Caddyfile":          {TLS: caddysite.Cloudflare, Email: "ops@alorig.com"},
		"internal.Caddyfile": {TLS: caddysite.Internal},
	} {
		text, err := caddysite.RenderMain(o)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, text)
	}
}

func TestRenderIsDeterministic(t *testing.T) {
	app, _ := ledger.Alorig().App("snapify")
	backwards := []netip.Prefix{admins[1], admins[0], admins[1]}
	a := render(t, app, caddysite.Options{TLS: caddysite.Cloudflare, AdminCIDRs: admins})
	b := render(t, app, caddysite.Options{TLS: caddysite.Cloudflare, AdminCIDRs: backwards})
	if a != b {
		t.Errorf("the order of the address ranges shows in the file:\n%s\n%s", a, b)
	}
}

func TestRenderRefuses(t *testing.T) {
	valid := caddysite.Options{TLS: caddysite.Cloudflare, AdminCIDRs: admins}
	backend := ledger.Route{Host: "api.example.com", Upstream: ledger.Backend}
	with := func(change func(*ledger.Route)) []ledger.Route {
		r := backend
		change(&r)
		return []ledger.Route{r}
	}
	for name, c := range map[string]struct {
		app     string
		routes  []ledger.Route
		options caddysite.Options
		want    string // the error names the value and what is accepted
	}{
		"unknown TLS":      {routes: with(func(*ledger.Route) {}), options: caddysite.Options{TLS: "letsencrypt"}, want: `TLS is "letsencrypt"; it is "cloudflare"`},
		"no TLS":           {routes: with(func(*ledger.Route) {}), options: caddysite.Options{}, want: `TLS is ""`},
		"no admins":        {routes: with(func(r *ledger.Route) { r.Restricted = true }), options: caddysite.Options{TLS: caddysite.Internal}, want: "route api.example.com is restricted to administrators, but no address range is given"},
		"admins anywhere":  {routes: with(func(*ledger.Route) {}), options: caddysite.Options{TLS: caddysite.Internal, AdminCIDRs: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}, want: `"0.0.0.0/0" restricts nothing`},
		"zero admin":       {routes: with(func(*ledger.Route) {}), options: caddysite.Options{TLS: caddysite.Internal, AdminCIDRs: []netip.Prefix{{}}}, want: "restricts nothing"},
		"app with newline": {app: "x\n}", routes: with(func(*ledger.Route) {}), options: valid, want: `the app "x\n}" cannot be written into a Caddyfile`},
		"host with block":  {routes: with(func(r *ledger.Route) { r.Host = "a.com {" }), options: valid, want: `the host "a.com {"`},
		"host placeholder": {routes: with(func(r *ledger.Route) { r.Host = "{$HOME}.com" }), options: valid, want: `the host "{$HOME}.com"`},
		"two hosts":        {routes: with(func(r *ledger.Route) { r.Host = "a.com,b.com" }), options: valid, want: `the host "a.com,b.com"`},
		"host with port":   {routes: with(func(r *ledger.Route) { r.Host = "a.com:80" }), options: valid, want: `the host "a.com:80"`},
		"inner wildcard":   {routes: with(func(r *ledger.Route) { r.Host = "a.*.com" }), options: valid, want: `the host "a.*.com"`},
		"path with star":   {routes: with(func(r *ledger.Route) { r.Path = "/*" }), options: valid, want: `the path "/*"`},
		"path upwards":     {routes: with(func(r *ledger.Route) { r.Path = "/a/../b" }), options: valid, want: `the path "/a/../b"`},
		"prefix":           {routes: with(func(r *ledger.Route) { r.AddPrefix = "/api {env.TOKEN}" }), options: valid, want: `the added prefix "/api {env.TOKEN}"`},
		"static":           {routes: []ledger.Route{{Host: "a.com", Static: "../../etc"}}, options: valid, want: `the static build "../../etc"`},
		"static socket":    {routes: []ledger.Route{{Host: "a.com", Static: "web", WebSocket: true}}, options: valid, want: "takes neither a prefix nor WebSockets"},
		"upstream":         {routes: with(func(r *ledger.Route) { r.Upstream = "x y" }), options: valid, want: `the upstream "x y"`},
		"port":             {routes: with(func(r *ledger.Route) { r.Upstream = ledger.Worker }), options: valid, want: "goes to seventh_celery_worker, whose port is 0; ports are 1 to 65535"},
		"no container":     {routes: with(func(r *ledger.Route) { r.Upstream = ledger.Channels }), options: valid, want: "goes to seventh_channels, which seventh does not have"},
		"no target":        {routes: []ledger.Route{{Host: "a.com"}}, options: valid, want: "exactly one of the two"},
		"two targets":      {routes: with(func(r *ledger.Route) { r.Static = "web" }), options: valid, want: "exactly one of the two"},
		"twice":            {routes: []ledger.Route{backend, backend}, options: valid, want: `"api.example.com" is routed twice`},
		"nothing":          {options: valid, want: "has no routes"},
	} {
		t.Run(name, func(t *testing.T) {
			app := ledger.App{Name: "seventh", Containers: []ledger.Container{{Role: ledger.Backend, Port: 8099}, {Role: ledger.Worker}}, Routes: c.routes}
			if c.app != "" {
				app.Name = c.app
			}
			text, err := caddysite.Render(app, c.options)
			if err == nil {
				t.Fatalf("rendered:\n%s", text)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is\n%s\nand does not say\n%s", err, c.want)
			}
		})
	}
}

func TestRenderMainRefuses(t *testing.T) {
	for want, o := range map[string]caddysite.MainOptions{
		`TLS is "none"`:                {TLS: "none"},
		`"a@b.com\n}"`:                 {TLS: caddysite.Cloudflare, Email: "a@b.com\n}"},
		`"::/0" would let any client`:  {TLS: caddysite.Cloudflare, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("::/0")}},
		`the e-mail address "a@{env}"`: {TLS: caddysite.Cloudflare, Email: "a@{env}"},
	} {
		if text, err := caddysite.RenderMain(o); err == nil {
			t.Errorf("rendered:\n%s", text)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("error is\n%s\nand does not say\n%s", err, want)
		}
	}
}

func render(t *testing.T, app ledger.App, o caddysite.Options) string {
	t.Helper()
	text, err := caddysite.Render(app, o)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is out of date; look at the difference and run `go test ./internal/caddysite -update`:\n%s", path, got)
	}
}
