package stacks

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/components"
	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/dryrun"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/internal/settings/settingstest"
	"github.com/alorig/fleet/policy/rules"
)

// Every case below is one wrong change to a fleet that has no findings, with the rule
// that must refuse it and a part of what that rule must say: a refusal for another
// reason would hide that the change itself goes unseen.

// bookings are wrong changes to the ledger that the program declares.
var bookings = []struct {
	name   string
	change func(*ledger.Ledger)
	rule   string
	says   string
}{
	{"port of another app", func(l *ledger.Ledger) { snapify(l).Containers[0].Port = 8012 }, "port-allocation", "takes port 8012, which psydge_backend has"},
	{"port of IGNY8", func(l *ledger.Ledger) { snapify(l).Containers[0].Port = 8011 }, "port-allocation", "takes port 8011, which igny8 has"},
	{"port of PostgreSQL", func(l *ledger.Ledger) { snapify(l).Containers[0].Port = 5432 }, "port-allocation", "which alorig_postgres has"},
	{"backend without a port", func(l *ledger.Ledger) { snapify(l).Containers[0].Port = 0 }, "port-allocation", "has port 0"},
	{"worker with a port", func(l *ledger.Ledger) { snapify(l).Containers[1].Port = 8015 }, "port-allocation", "has port 8015"},
	{"port beyond all ports", func(l *ledger.Ledger) { snapify(l).Containers[0].Port = 80140 }, "port-allocation", "has port 80140"},

	{"Redis DB of another app", func(l *ledger.Ledger) { snapify(l).RedisDB = 2 }, "redis-allocation", "takes Redis DB 2, which psydge has"},
	{"Redis DB of IGNY8", func(l *ledger.Ledger) { snapify(l).RedisDB = 0 }, "redis-allocation", "takes Redis DB 0, which igny8 has"},
	{"Redis DB of IGNY8's staging", func(l *ledger.Ledger) { snapify(l).RedisDB = 1 }, "redis-allocation", "takes Redis DB 1, which igny8-staging has"},
	{"key prefix of another app", func(l *ledger.Ledger) { snapify(l).KeyPrefix = "psydge:" }, "redis-allocation", "takes key prefix psydge:"},
	{"key prefix without a colon", func(l *ledger.Ledger) { snapify(l).KeyPrefix = "snapify" }, "redis-allocation", `has the key prefix "snapify"`},

	{"database of another app", func(l *ledger.Ledger) { snapify(l).Databases[0].Name = "psydge_db" }, "database-allocation", "takes database psydge_db"},
	{"role of another app", func(l *ledger.Ledger) { snapify(l).Databases[0].Role = "psydge" }, "database-allocation", "takes database role psydge"},
	{"superuser as owner", func(l *ledger.Ledger) { snapify(l).Databases[0].Role = "postgres" }, "database-allocation", `is owned by the role "postgres"`},
	{"database outside its pattern", func(l *ledger.Ledger) { snapify(l).Databases[0].Name = "snapify_store" }, "database-allocation", "is no database name of snapify"},
	{"container on another app's database", func(l *ledger.Ledger) { snapify(l).Containers[0].Database = "psydge_db" }, "database-allocation", `uses the database "psydge_db"`},

	{"role without a connection limit", func(l *ledger.Ledger) { snapify(l).Databases[0].Connections = 0 }, "connection-budget", "has the connection limit 0"},
	{"processes that hold more than their role", func(l *ledger.Ledger) { snapify(l).Containers[0].Connections = 9 }, "connection-budget", "its containers hold up to 13 connections"},
	{"more connections than the server has", func(l *ledger.Ledger) { snapify(l).Databases[0].Connections = 14 }, "connection-budget", "connections come to 81, with those of a handover"},

	{"name of another app", func(l *ledger.Ledger) { snapify(l).Name = "psydge" }, "container-name", "takes name psydge"},
	{"name of IGNY8", func(l *ledger.Ledger) { snapify(l).Name = "igny8" }, "container-name", "takes name igny8"},
	{"name outside its pattern", func(l *ledger.Ledger) { snapify(l).Name = "Snapify PK" }, "container-name", "is no app name"},
	{"container for a frontend", func(l *ledger.Ledger) { snapify(l).Containers[2].Role = "frontend" }, "container-name", `has the role "frontend"`},
	{"two containers of one role", func(l *ledger.Ledger) { snapify(l).Containers[2].Role = ledger.Worker }, "container-name", "takes container name snapify_celery_worker"},
	{"shared service named like an app's container", func(l *ledger.Ledger) { l.Services[0].Container = "psydge_backend" }, "container-name", "takes container name psydge_backend"},

	{"container without a hard limit", func(l *ledger.Ledger) { snapify(l).Containers[0].Memory.Limit = 0 }, "container-memory", "0 MiB hard limit"},
	{"container without a reservation", func(l *ledger.Ledger) { snapify(l).Containers[0].Memory.Steady = 0 }, "container-memory", "books 0 MiB steady"},
	{"hard limit below the reservation", func(l *ledger.Ledger) { snapify(l).Containers[0].Memory.Limit = 299 }, "container-memory", "hard limit of 299 MiB, below its steady state of 300"},
	{"app above its budget", func(l *ledger.Ledger) { snapify(l).Containers[0].Memory.Steady = 301 }, "app-memory-budget", "reserve 701 MiB"},
	{"server above its upgrade trigger", func(l *ledger.Ledger) {
		snapify(l).Budget += 2301
		snapify(l).Containers[0].Memory = ledger.Memory{Steady: 2601, Limit: 2601}
	}, "fleet-memory-budget", "steady state comes to 13001 MiB"},
	{"shared service above the upgrade trigger", func(l *ledger.Ledger) { l.Services[0].Memory = ledger.Memory{Steady: 3701, Limit: 3701} }, "fleet-memory-budget", "13001 MiB"},
	{"hard limits above the server's memory", func(l *ledger.Ledger) { snapify(l).Containers[1].Memory.Limit = 2000 }, "host-memory-ceiling", "all hard limits come to"},
	{"on-demand service above the server's memory", func(l *ledger.Ledger) { l.Services[4].Memory.Limit = 4000 }, "host-memory-ceiling", "4000 MiB more while something runs on demand"},
	{"more memory for the reserved", func(l *ledger.Ledger) { l.Reserved[1].Memory = ledger.Memory{Steady: 3551, Limit: 3551} }, "fleet-memory-budget", "13001 MiB"},

	{"host of another app", func(l *ledger.Ledger) { rename(snapify(l), "api.snapify.pk", "api.psydge.com", "psydge.com") }, "dns-allocation", "belongs to snapify and to psydge"},
	{"host outside its zone", func(l *ledger.Ledger) { rename(snapify(l), "api.snapify.pk", "api.snapify.com", "snapify.pk") }, "dns-allocation", "does not lie in zone snapify.pk"},
	{"no host name", func(l *ledger.Ledger) { rename(snapify(l), "api.snapify.pk", "API_1.snapify.pk", "snapify.pk") }, "dns-allocation", "is no host name"},
	{"proxied name two levels deep", func(l *ledger.Ledger) { l.Apps[5].Hosts[1].Proxied = true }, "dns-certificate", "is proxied and more than one level below alorig.com"},
	{"proxied wildcard two levels deep", func(l *ledger.Ledger) { l.Apps[2].Hosts[3].Proxied = true }, "dns-certificate", "*.sites.alorig.com: is proxied"},

	{"route of another app's host", func(l *ledger.Ledger) { snapify(l).Routes[1].Host = "api.psydge.com" }, "route-allocation", "is routed by snapify, which does not own the host"},
	{"route twice", func(l *ledger.Ledger) {
		snapify(l).Routes = append(snapify(l).Routes, ledger.Route{Host: "app.snapify.pk", Static: "admin"})
	}, "route-allocation", "is served twice"},
	{"route below another", func(l *ledger.Ledger) {
		l.Apps[2].Routes = append(l.Apps[2].Routes, ledger.Route{Host: "alorig.com", Path: "/builder/api", Static: "builder"})
	}, "route-allocation", "alorig.com/builder/api: is served twice"},
	{"upstream that the app does not have", func(l *ledger.Ledger) { snapify(l).Routes[1].Upstream = ledger.Payload }, "route-allocation", "goes to snapify_payload"},
	{"upstream that listens on nothing", func(l *ledger.Ledger) { snapify(l).Routes[1].Upstream = ledger.Worker }, "route-allocation", "goes to snapify_celery_worker, which listens on no port"},
	{"route without a target", func(l *ledger.Ledger) { snapify(l).Routes[2].Static = "" }, "route-allocation", "has no single target"},
	{"static build outside its directory", func(l *ledger.Ledger) { snapify(l).Routes[2].Static = "../psydge/web" }, "route-allocation", "names the static build"},
	{"path that is none", func(l *ledger.Ledger) { l.Apps[2].Routes[0].Path = "/builder/" }, "route-allocation", `has the path "/builder/"`},
	{"host that nothing serves", func(l *ledger.Ledger) { snapify(l).Routes = snapify(l).Routes[:3] }, "route-allocation", "admin.snapify.pk: belongs to snapify but nothing serves it"},

	{"host port twice", func(l *ledger.Ledger) { l.Services[3].HostPorts = []int{443} }, "host-port", "takes host port 443, which alorig_caddy has"},
}

func snapify(l *ledger.Ledger) *ledger.App { return &l.Apps[1] }

// rename gives a host of the app another name, in its route too.
func rename(a *ledger.App, from, to, zone string) {
	for i := range a.Hosts {
		if a.Hosts[i].Name == from {
			a.Hosts[i].Name, a.Hosts[i].Zone = to, zone
		}
	}
	for i := range a.Routes {
		if a.Routes[i].Host == from {
			a.Routes[i].Host = to
		}
	}
}

// The Server component is registered first, with the ledger as an input, so that a rule
// refuses a wrong booking before anything else exists. That holds for the pack of the
// reviewed commit, and for one that was built together with the wrong ledger.
func TestWrongBookingsAreRefusedEarly(t *testing.T) {
	t.Parallel()
	reviewed := rules.NewFleet(ledger.Alorig())
	for _, c := range bookings {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := ledger.Alorig()
			c.change(&l)
			server := declareServer(t, l)

			found := rules.JudgeResource(reviewed, server)
			mustRefuse(t, found, c.rule, c.says)
			mustRefuse(t, found, "ledger-declared", "declares another ledger")

			mustRefuse(t, rules.JudgeResource(rules.NewFleet(l), server), c.rule, c.says)
		})
	}
}

// What the program makes of a wrong booking never gets through: it cannot declare such
// a fleet at all, or the rules refuse what it declared.
func TestWrongBookingsAreRefusedWhole(t *testing.T) {
	t.Parallel()
	config := production(t)
	for _, c := range bookings {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := Alorig()
			c.change(&f.Ledger)
			declared, found, err := checked(t, f, config)
			if err != nil {
				// The program's own error ends the update too; what it must not be is a
				// setting that the case forgot.
				if !strings.Contains(err.Error(), "the program cannot declare the fleet") {
					t.Error(err)
				}
				return
			}
			mustRefuse(t, found, c.rule, c.says)
			mustRefuse(t, judge(declared), c.rule, c.says)
		})
	}
}

// declareServer records the root component over a ledger, as the program registers it.
func declareServer(t *testing.T, l ledger.Ledger) declared.Resource {
	t.Helper()
	recorded, err := dryrun.Record(settings.Project, "prod", func(ctx *pulumi.Context) error {
		_, err := components.NewServer(ctx, "server", &components.ServerArgs{Ledger: l, Rollout: "asms", Address: "203.0.113.10"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recorded {
		if r.Type == ledger.TypeServer {
			return r
		}
	}
	t.Fatal("no Server was declared")
	return declared.Resource{}
}

// mustRefuse asserts that a mandatory rule refuses, and why.
func mustRefuse(t *testing.T, found []ledger.Finding, rule, says string) {
	t.Helper()
	for _, f := range rules.Refusals(found) {
		if f.Rule == rule && strings.Contains(f.String(), says) {
			return
		}
	}
	t.Errorf("%s does not refuse it with %q; findings:", rule, says)
	for _, f := range found {
		t.Errorf("  [%s] %s", f.Rule, f)
	}
}

// declaration is what a program registers, open to one wrong change.
type declaration struct{ resources []declared.Resource }

func (d *declaration) find(typ, name string) int {
	i := slices.IndexFunc(d.resources, func(r declared.Resource) bool { return r.Type == typ && r.Name == name })
	if i < 0 {
		panic(fmt.Sprintf("the program declares no %s %q", typ, name))
	}
	return i
}

func (d *declaration) get(typ, name string) *declared.Resource {
	return &d.resources[d.find(typ, name)]
}

// copy declares a resource once more under another logical name, and returns it.
func (d *declaration) copy(typ, name, as string) *declared.Resource {
	r := *d.get(typ, name)
	r.URN, r.Name = strings.TrimSuffix(r.URN, name)+as, as
	d.resources = append(d.resources, r)
	return &d.resources[len(d.resources)-1]
}

// edit replaces what stands at a path of a resource's inputs; nil removes it.
func edit(r *declared.Resource, path string, value any) {
	var at property.Path
	if err := at.UnmarshalText([]byte(path)); err != nil {
		panic(fmt.Sprintf("%q: %v", path, err))
	}
	edited, err := at.Set(property.New(r.Props), propertyOf(value))
	if err != nil {
		panic(fmt.Sprintf("%s of %s: %v", path, r.Name, err))
	}
	r.Props = edited.AsMap()
}

// propertyOf turns plain Go values, with properties among them, into a property.
func propertyOf(v any) property.Value {
	switch v := v.(type) {
	case nil:
		return property.Value{}
	case property.Value:
		return v
	case int:
		return property.New(float64(v))
	case list:
		items := make([]property.Value, len(v))
		for i, item := range v {
			items[i] = propertyOf(item)
		}
		return property.New(items)
	case object:
		members := make(map[string]property.Value, len(v))
		for key, member := range v {
			members[key] = propertyOf(member)
		}
		return property.New(members)
	}
	plain, err := property.Any(v)
	if err != nil {
		panic(err)
	}
	return plain
}

// entry finds an environment entry of a container: its path and its text.
func entry(r *declared.Resource, key string) (path, text string) {
	for i, v := range r.Props.Get("envs").AsArray().All {
		if text := v.AsString(); strings.HasPrefix(text, key+"=") {
			return fmt.Sprintf("envs[%d]", i), text
		}
	}
	panic(fmt.Sprintf("%s has no %s", r.Name, key))
}

type change = func(*declaration)

func set(typ, name, path string, value any) change {
	return func(d *declaration) { edit(d.get(typ, name), path, value) }
}

// login changes the role that logs in as psydge.
func login(path string, value any) change {
	return func(d *declaration) { edit(d.login(), path, value) }
}

// login is the role that logs in as psydge, whatever its password makes its name.
func (d *declaration) login() *declared.Resource {
	for i := range d.resources {
		if r := &d.resources[i]; r.Type == role && strings.HasPrefix(r.Name, "psydge-login-") {
			return r
		}
	}
	panic("nobody logs in as psydge")
}

func container(name, path string, value any) change {
	return set(declared.TypeContainer, name, path, value)
}

// variable sets a variable of a container that is not secret.
func variable(name, key, value string) change {
	return func(d *declaration) {
		r := d.get(declared.TypeContainer, name)
		path, _ := entry(r, key)
		edit(r, path, key+"="+value)
	}
}

// reword changes the text of a secret variable, which stays secret.
func reword(name, key, from, to string) change {
	return func(d *declaration) {
		r := d.get(declared.TypeContainer, name)
		path, text := entry(r, key)
		if !strings.Contains(text, from) {
			panic(fmt.Sprintf("%s of %s does not hold %q", key, name, from))
		}
		edit(r, path, property.New(strings.Replace(text, from, to, 1)).WithSecret(true))
	}
}

// unset takes a variable out.
func unset(name, key string) change {
	return func(d *declaration) {
		r := d.get(declared.TypeContainer, name)
		path, _ := entry(r, key)
		edit(r, path, nil)
	}
}

func drop(typ, name string) change {
	return func(d *declaration) {
		i := d.find(typ, name)
		d.resources = slices.Delete(d.resources, i, i+1)
	}
}

// rogue declares a container past the components: a copy of a sound one, changed.
func rogue(name string, changes map[string]any) change {
	return func(d *declaration) {
		r := d.copy(declared.TypeContainer, "psydge-celery-beat", "rogue")
		edit(r, "name", name)
		for _, path := range slices.Sorted(maps.Keys(changes)) {
			edit(r, path, changes[path])
		}
	}
}

// raw declares a resource past the components.
func raw(typ, name string, props map[string]any) change {
	return func(d *declaration) {
		d.resources = append(d.resources, declared.Resource{
			URN: "urn:pulumi:prod::alorig::" + typ + "::" + name, Type: typ, Name: name, Props: propertyOf(props).AsMap(),
			Protect: true, RetainOnDelete: new(true),
		})
	}
}

func secret(text string) property.Value { return property.New(text).WithSecret(true) }

type (
	object = map[string]any
	list   = []any
)

var unknown = property.New(property.Computed)

// The resource types that the tables below change.
const (
	role      = declared.TypeRole
	database  = declared.TypeDatabase
	grant     = declared.TypeGrant
	extension = declared.TypeExtension
	dnsRecord = declared.TypeRecord
	command   = declared.TypeRemoteCommand
)

type mutation struct {
	name   string
	change change
	rule   string
	says   string
}

// declarations are wrong changes to what the production stack declares, where the
// shared services exist already.
var declarations = []mutation{
	// Which fleet it is, and how far it has come.
	{"no Server", drop(ledger.TypeServer, "server"), "ledger-declared", "declares 0 Server component"},
	{"two Servers", func(d *declaration) { d.copy(ledger.TypeServer, "server", "second") }, "ledger-declared", "declares 2 Server component"},
	{"another ledger", set(ledger.TypeServer, "server", "ledger.apps[1].title", "Snapify 2"), "ledger-declared", "declares another ledger: ledger.apps[1].title"},
	{"ledger of another version", set(ledger.TypeServer, "server", "ledger.server.cores", 4), "ledger-declared", "cannot be decoded"},
	{"rollout to no app", set(ledger.TypeServer, "server", "rollout", "psyche"), "ledger-declared", "has the rollout psyche"},
	{"app before the one before it", drop(ledger.TypeApp, "snapify"), "rollout-order", "snapify: is not declared"},
	{"app beyond the rollout", set(ledger.TypeServer, "server", "rollout", "astrotiming"), "rollout-order", "asms: is declared"},
	{"app that the ledger lacks", raw(ledger.TypeApp, "seventh", object{"app": "seventh"}), "rollout-order", "seventh: is declared as an app"},
	{"app without its worker", drop(declared.TypeContainer, "psydge-celery-worker"), "rollout-order", "lacks psydge_celery_worker"},
	{"app without its database", drop(database, "psydge-database-psydge-db"), "rollout-order", "lacks the database psydge_db"},
	{"app without its role", drop(role, "psydge-role-psydge"), "rollout-order", "lacks the role psydge"},
	{"app without its login", func(d *declaration) { drop(role, d.login().Name)(d) }, "rollout-order", "lacks a login of the role psydge"},
	{"app without its gate", drop(ledger.TypeGate, "psydge-gate"), "rollout-order", "psydge: has no gate"},
	{"gate that asks nothing", drop(command, "psydge-healthy"), "rollout-order", "psydge: has no gate"},

	// Containers past the components.
	{"container that the ledger lacks", rogue("psydge_metrics", nil), "container-name", "is not in the ledger"},
	{"frontend container", rogue("psydge_frontend", nil), "container-name", "is a frontend container"},
	{"web server in place of an app", container("psydge-backend", "image", "docker.io/library/nginx:1.27"), "container-name", "is a frontend container"},
	{"container of IGNY8", rogue("igny8_backend", nil), "container-name", "belongs to igny8"},
	{"container twice", func(d *declaration) { d.copy(declared.TypeContainer, "psydge-celery-beat", "again") }, "container-name", "is declared twice"},
	{"container in another app's name", container("psydge-backend", "labels[0].value", "snapify"), "container-name", "carries the label alorig.fleet.app=snapify"},
	{"another app's image", container("psydge-backend", "image", "registry.example.com/alorig/snapify-backend:1"), "container-name", "runs the image snapify-backend"},
	{"Swarm service", raw(declared.TypeSwarmService, "web", object{"name": "web"}), "container-name", "is a Swarm service"},

	// Networks.
	{"no network", container("psydge-backend", "networksAdvanced", list{}), "container-network", "joins no network"},
	{"another network", container("psydge-backend", "networksAdvanced[0].name", "bridge"), "container-network", "joins the network bridge"},
	{"second network", container("psydge-backend", "networksAdvanced", list{object{"name": "alorig_net"}, object{"name": "side"}}), "container-network", "joins the network side"},
	{"the server's own network", container("psydge-backend", "networkMode", "host"), "container-network", "has the network mode host"},
	{"network of another container", container("psydge-backend", "networkMode", "container:alorig_postgres"), "container-network", "network mode container:"},
	{"another app's name on the network", container("psydge-backend", "networksAdvanced[0].aliases", list{"snapify_backend"}), "container-network", "answers to the name snapify_backend"},
	{"another service's name on the network", container("psydge-backend", "networksAdvanced[0].aliases", list{"alorig_postgres"}), "container-network", "answers to the name alorig_postgres"},

	// Hardening.
	{"privileged", container("psydge-backend", "privileged", true), "container-hardening", "is privileged"},
	{"added capability", container("psydge-backend", "capabilities.adds", list{"SYS_ADMIN"}), "container-hardening", "adds the capability SYS_ADMIN"},
	{"kept capabilities", container("psydge-backend", "capabilities", nil), "container-hardening", "keeps capabilities"},
	{"Docker's socket", container("psydge-backend", "volumes", list{object{"hostPath": "/var/run/docker.sock", "containerPath": "/var/run/docker.sock"}}), "container-hardening", "which holds /var/run/docker.sock"},
	{"directory of Docker's socket", container("psydge-backend", "mounts", list{object{"type": "bind", "source": "/run", "target": "/host"}}), "container-hardening", "mounts /run, which holds"},
	{"the server's processes", container("psydge-backend", "pidMode", "host"), "container-hardening", "has pidMode host"},
	{"the server's shared memory", container("psydge-backend", "ipcMode", "host"), "container-hardening", "has ipcMode host"},
	{"the server's users", container("psydge-backend", "usernsMode", "host"), "container-hardening", "has usernsMode host"},
	{"new privileges", container("psydge-backend", "securityOpts", list{}), "container-hardening", "lacks no-new-privileges"},
	{"no seccomp profile", container("psydge-backend", "securityOpts", list{"no-new-privileges:true", "seccomp=unconfined"}), "container-hardening", "security option seccomp=unconfined"},
	{"device of the server", container("psydge-backend", "devices", list{object{"hostPath": "/dev/sda"}}), "container-hardening", "is given devices"},
	{"data of PostgreSQL", container("psydge-backend", "volumes", list{object{"volumeName": "alorig_postgres_data", "containerPath": "/data"}}), "container-hardening", "mounts the data of alorig_postgres"},
	{"volumes of another container", container("psydge-backend", "volumes", list{object{"fromContainer": "alorig_postgres"}}), "container-hardening", "takes over the mounts"},

	// Lifecycle.
	{"no restart", container("psydge-backend", "restart", nil), "container-lifecycle", "has no restart policy"},
	{"restart that ends", container("psydge-backend", "restart", "on-failure"), "container-lifecycle", "has the restart policy on-failure"},
	{"no health check", container("psydge-backend", "healthcheck", nil), "container-lifecycle", "has no health check"},
	{"health check off", container("psydge-backend", "healthcheck.tests", list{"NONE"}), "container-lifecycle", "has no health check"},
	{"killed when replaced", container("psydge-backend", "destroyGraceSeconds", nil), "container-lifecycle", "has no destroyGraceSeconds"},
	{"killed when stopped", container("psydge-backend", "stopTimeout", 0), "container-lifecycle", "has stopTimeout 0"},
	{"logs without end", container("psydge-backend", "logOpts", nil), "container-lifecycle", "has no logOpts max-size"},
	{"logs elsewhere", container("psydge-backend", "logDriver", "syslog"), "container-lifecycle", "has the log driver syslog"},
	{"deleted by a refresh", container("psydge-backend", "mustRun", true), "container-lifecycle", "has mustRun on"},
	{"deleted by a refresh, by default", container("psydge-backend", "mustRun", nil), "container-lifecycle", "has mustRun on"},

	// Memory.
	{"no hard limit", container("psydge-backend", "memory", nil), "container-memory", "has no memory;"},
	{"no reservation", container("psydge-backend", "memoryReservation", nil), "container-memory", "has no memoryReservation;"},
	{"swap", container("psydge-backend", "memorySwap", 1400), "container-memory", "has memorySwap 1400 MiB beside memory 700 MiB"},
	{"swap without end", container("psydge-backend", "memorySwap", -1), "container-memory", "has memorySwap -1"},
	{"limit below the reservation", container("psydge-backend", "memory", 549), "container-memory", "below its reservation"},
	{"other memory than booked", container("psydge-celery-beat", "memoryReservation", 149), "container-memory", "reserves 149 MiB"},
	{"app above its budget", container("psydge-backend", "memoryReservation", 551), "app-memory-budget", "its containers reserve 1751 MiB"},
	{"app above its budget by a container past the components", rogue("psydge_metrics", object{"memoryReservation": 1}), "app-memory-budget", "psydge: its containers reserve 1751 MiB"},
	{"server above its trigger by a container past the components", rogue("metrics", object{"memoryReservation": 2301, "memory": 2301}), "fleet-memory-budget", "steady state comes to 13001 MiB"},
	{"server above its memory by a container past the components", rogue("metrics", object{"memory": 3000}), "host-memory-ceiling", "all hard limits come to"},

	// Ports.
	{"another app's port", variable("psydge-backend", "PORT", "8014"), "port-allocation", "listens on port 8014"},
	{"port of IGNY8", variable("psydge-backend", "PORT", "8011"), "port-allocation", "listens on port 8011"},
	{"port on the command line", container("psydge-backend", "command[3]", "0.0.0.0:8014"), "port-allocation", "listens on port 8014 by command"},
	{"port twice", variable("psydge-channels", "PORT", "8012"), "port-allocation", "psydge_channels: listens on port 8012, as psydge_backend does"},
	{"worker that listens", container("psydge-celery-worker", "command", list{"gunicorn", "--bind", "0.0.0.0:8015"}), "port-allocation", "the ledger gives it no port"},
	{"published port", container("psydge-backend", "ports", list{object{"internal": 8012, "external": 8012}}), "host-port", "publishes port 8012/tcp"},
	{"port published on loopback", container("psydge-backend", "ports", list{object{"internal": 8012, "external": 8012, "ip": "127.0.0.1"}}), "host-port", "publishes port 8012/tcp"},
	{"Caddy's port", container("psydge-backend", "ports", list{object{"internal": 443, "external": 443}}), "host-port", "publishes port 443/tcp"},
	{"all ports published", container("psydge-backend", "publishAllPorts", true), "host-port", "publishes all its ports"},

	// Redis.
	{"another app's Redis DB", reword("psydge-backend", "REDIS_URL", ":6379/2", ":6379/3"), "redis-allocation", "for DB 3"},
	{"Redis DB of IGNY8, by default", reword("psydge-backend", "REDIS_URL", ":6379/2", ":6379"), "redis-allocation", "for DB 0"},
	{"Redis DB in the query", reword("psydge-backend", "REDIS_URL", ":6379/2", ":6379/2?db=3"), "redis-allocation", "whose query sets db"},
	{"another app's Redis user", reword("psydge-backend", "REDIS_URL", "redis://psydge:", "redis://snapify:"), "redis-allocation", "for another user"},
	{"another Redis", reword("psydge-backend", "REDIS_URL", "alorig_redis", "cache"), "redis-allocation", "points at another server"},
	{"no Redis", unset("psydge-celery-worker", "REDIS_URL"), "redis-allocation", "has no Redis URL"},
	{"no prefix of the broker", unset("psydge-backend", "CELERY_BROKER_KEY_PREFIX"), "redis-allocation", "has no CELERY_BROKER_KEY_PREFIX"},
	{"no prefix of the results", unset("psydge-backend", "CELERY_RESULT_KEY_PREFIX"), "redis-allocation", "has no CELERY_RESULT_KEY_PREFIX"},
	{"no prefix of the cache", unset("psydge-backend", "DJANGO_CACHE_KEY_PREFIX"), "redis-allocation", "has no DJANGO_CACHE_KEY_PREFIX"},
	{"no prefix of the channels", unset("psydge-backend", "CHANNELS_REDIS_PREFIX"), "redis-allocation", "has no CHANNELS_REDIS_PREFIX"},
	{"another app's prefix of the broker", variable("psydge-backend", "CELERY_BROKER_KEY_PREFIX", "snapify:"), "redis-allocation", "(CELERY_BROKER_KEY_PREFIX)"},
	{"another app's prefix of the results", variable("psydge-backend", "CELERY_RESULT_KEY_PREFIX", "snapify:"), "redis-allocation", "(CELERY_RESULT_KEY_PREFIX)"},
	{"another app's prefix of the cache", variable("psydge-backend", "DJANGO_CACHE_KEY_PREFIX", "snapify:"), "redis-allocation", "(DJANGO_CACHE_KEY_PREFIX)"},
	{"another app's prefix of the channels", variable("psydge-backend", "CHANNELS_REDIS_PREFIX", "snapify:"), "redis-allocation", "(CHANNELS_REDIS_PREFIX)"},
	{"Redis user with every key", replaceSecret(command, "psydge-redis-user", "stdin", "~psydge:*", "~*"), "redis-allocation", "gives the Redis user psydge in stdin other permissions"},
	{"Redis user with another app's keys", replaceSecret(command, "psydge-redis-user", "stdin", `"~psydge:*"`, `"~psydge:*","~snapify:*"`), "redis-allocation", "other permissions than its own"},
	{"Redis user with another app's DB", replaceSecret(command, "psydge-redis-user", "stdin", "+select|2", "+select|3"), "redis-allocation", "other permissions than its own"},
	{"Redis user without a password", replaceSecret(command, "psydge-redis-user", "stdin", `"~psydge:*"`, `"nopass","~psydge:*"`), "redis-allocation", "other permissions than its own"},
	{"no Redis user", drop(command, "psydge-redis-user"), "redis-allocation", "psydge: has no Redis user"},

	// PostgreSQL.
	{"another app's database", reword("psydge-backend", "DATABASE_URL", "/psydge_db", "/snapify_db"), "database-allocation", "a database of snapify"},
	{"another app's role", reword("psydge-backend", "DATABASE_URL", "postgres://psydge_", "postgres://snapify_"), "database-allocation", "for another role"},
	{"superuser", reword("psydge-backend", "DATABASE_URL", "postgres://psydge_", "postgres://postgres_"), "database-allocation", "for another role"},
	{"owner's own name", func(d *declaration) {
		name := d.login().Props.Get("name").AsString()
		reword("psydge-backend", "DATABASE_URL", "postgres://"+name+":", "postgres://psydge:")(d)
	}, "database-allocation", "for another role than the login of its password"},
	{"another password", reword("psydge-backend", "DATABASE_URL", "@alorig_postgres", "x@alorig_postgres"), "database-allocation", "for another role than the login of its password"},
	{"another PostgreSQL", reword("psydge-backend", "DATABASE_URL", "@alorig_postgres", "@igny8_postgres"), "database-allocation", "points at another server"},
	{"database of the app's other half", reword("sitebuilder-backend", "DATABASE_URL", "sitebuilder_db", "sitebuilder_payload_db"), "database-allocation", "for sitebuilder_payload_db"},
	{"no database", unset("psydge-celery-worker", "DATABASE_URL"), "database-allocation", "has no URL of its database"},
	{"database that the ledger lacks", raw(database, "x", object{"name": "x_db", "owner": "psydge"}), "database-allocation", "x_db: is not in the ledger"},
	{"role that the ledger lacks", raw(role, "x", object{"name": "x", "connectionLimit": 1, "password": secret("x")}), "database-allocation", "is a role that is not in the ledger"},
	{"database owned by another app", set(database, "psydge-database-psydge-db", "owner", "snapify"), "database-allocation", "is owned by snapify"},
	{"role that makes databases", set(role, "psydge-role-psydge", "createDatabase", true), "database-allocation", "has createDatabase"},
	{"role that is superuser", set(role, "psydge-role-psydge", "superuser", true), "database-allocation", "has superuser"},
	{"role within another app's", set(role, "psydge-role-psydge", "roles", list{"snapify"}), "database-allocation", "is a member of the role snapify"},
	{"owner that logs in", set(role, "psydge-role-psydge", "login", true), "database-allocation", "psydge: logs in, or may"},
	{"owner with a password", set(role, "psydge-role-psydge", "password", secret("x")), "database-allocation", "psydge: has a password"},
	{"login that makes databases", login("createDatabase", true), "database-allocation", "has createDatabase"},
	{"login within another app's", login("roles", list{"psydge", "snapify"}), "database-allocation", "is a member of the role snapify"},
	{"login within nothing", login("roles", nil), "database-allocation", "is no member of the role psydge"},
	{"login that acts as itself", login("assumeRole", nil), "database-allocation", "does not act as the role psydge"},
	{"login that acts as another", login("assumeRole", "snapify"), "database-allocation", "is a member of the role snapify"},
	{"login that cannot", login("login", nil), "database-allocation", "has no login"},
	{"login without a password", login("password", nil), "database-allocation", "has no password"},
	{"login that keeps its name", login("password", secret("another")), "database-allocation", "is not named after its password"},
	{"login that stays", func(d *declaration) { d.login().Protect = true }, "database-protection", ": is protected"},
	{"login that is left", func(d *declaration) { d.login().RetainOnDelete = new(true) }, "database-protection", ": is retained on delete"},
	{"second login", func(d *declaration) {
		edit(d.copy(role, d.login().Name, "again"), "name", "psydge_0000")
	}, "connection-budget", "psydge: has several logins: psydge_0000, "},
	{"grant to another app", raw(grant, "x", object{"database": "psydge_db", "role": "snapify", "objectType": "database", "privileges": list{"CONNECT"}}), "database-allocation", "lets snapify into psydge_db"},
	{"extension that is not booked", raw(extension, "x", object{"database": "psydge_db", "name": "dblink"}), "database-allocation", "installs dblink in psydge_db"},
	{"extension in another database", set(extension, "snapify-extension-pg-trgm", "database", "psydge_db"), "database-allocation", "installs pg_trgm in psydge_db"},
	{"PUBLIC not revoked", drop(grant, "psydge-revoke-public-psydge-db"), "database-isolation", "psydge_db: lets every role of the server connect"},
	{"PUBLIC revoked elsewhere", set(grant, "psydge-revoke-public-psydge-db", "database", "snapify_db"), "database-isolation", "psydge_db: lets every role"},
	{"PUBLIC revoked on a schema", set(grant, "psydge-revoke-public-psydge-db", "objectType", "schema"), "database-isolation", "psydge_db: lets every role"},
	{"PUBLIC may connect", set(grant, "psydge-revoke-public-psydge-db", "privileges", list{"CONNECT"}), "database-isolation", "gives PUBLIC privileges"},
	{"database not protected", func(d *declaration) { d.get(database, "psydge-database-psydge-db").Protect = false }, "database-protection", "psydge_db: is not protected"},
	{"role not protected", func(d *declaration) { d.get(role, "psydge-role-psydge").Protect = false }, "database-protection", "psydge: is not protected"},
	{"database not retained", func(d *declaration) { d.get(database, "psydge-database-psydge-db").RetainOnDelete = new(false) }, "database-protection", "psydge_db: is not retained"},
	{"role not retained", func(d *declaration) { d.get(role, "psydge-role-psydge").RetainOnDelete = new(false) }, "database-protection", "psydge: is not retained"},
	{"no connection limit", login("connectionLimit", nil), "connection-budget", "has no connectionLimit;"},
	{"connections without end", login("connectionLimit", -1), "connection-budget", "has the connection limit -1"},
	{"more connections than booked", login("connectionLimit", 20), "connection-budget", "has the connection limit 20"},
	{"no room for a handover", login("connectionLimit", 13), "connection-budget", "has the connection limit 13"},
	{"more connections than the server has", login("connectionLimit", 25), "connection-budget", "connections come to 81, with those of a handover"},

	// DNS.
	{"record of a host that the ledger lacks", raw(dnsRecord, "x", object{"name": "new.psydge.com", "type": "A", "content": "203.0.113.10", "proxied": true, "ttl": 1, "zoneId": "00000000000000000000000000000004"}), "dns-allocation", "is a host that the ledger gives to no app"},
	{"record elsewhere", set(dnsRecord, "psydge-dns-psydge.com", "content", "203.0.113.11"), "dns-allocation", "points at 203.0.113.11; the server is 203.0.113.10"},
	{"record of another type", set(dnsRecord, "psydge-dns-psydge.com", "type", "CNAME"), "dns-allocation", "is a record of type CNAME"},
	{"record in another zone", set(dnsRecord, "psydge-dns-psydge.com", "zoneId", "00000000000000000000000000000001"), "dns-allocation", "lies in another zone than psydge.com"},
	{"record twice", func(d *declaration) { d.copy(dnsRecord, "psydge-dns-psydge.com", "again") }, "dns-allocation", "is declared twice"},
	{"name relative to its zone", set(dnsRecord, "psydge-dns-api.psydge.com", "name", "api"), "dns-allocation", "has a name relative to its zone"},
	{"proxied against the ledger", set(dnsRecord, "asms-dns-api.schools.alorig.com", "proxied", true), "dns-allocation", "has proxied true"},
	{"proxied name two levels deep", set(dnsRecord, "asms-dns-api.schools.alorig.com", "proxied", true), "dns-certificate", "is proxied and more than one level below alorig.com"},
	{"TTL of a proxied record", set(dnsRecord, "psydge-dns-psydge.com", "ttl", 300), "dns-certificate", "is proxied with the TTL 300"},
	{"host without a record", drop(dnsRecord, "psydge-dns-ws.psydge.com"), "dns-certificate", "no record answers for it"},
	{"host cut off from its wildcard", func(d *declaration) {
		drop(dnsRecord, "asms-dns-api.schools.alorig.com")(d)
		edit(d.copy(dnsRecord, "sitebuilder-dns-alorig.com", "wildcard"), "name", "*.alorig.com")
	}, "dns-certificate", "the record of schools.alorig.com cuts it off from its wildcard *.alorig.com"},

	// Routes.
	{"another app's upstream", replace(ledger.TypeRoute, "psydge-route", "site", "psydge_backend:8012", "snapify_backend:8014"), "route-allocation", "snapify_backend:8014"},
	{"another port of the upstream", replace(ledger.TypeRoute, "psydge-route", "site", "psydge_backend:8012", "psydge_backend:8013"), "route-allocation", "psydge_backend:8013"},
	{"another app's host", replace(ledger.TypeRoute, "psydge-route", "site", "api.psydge.com", "api.snapify.pk"), "route-allocation", "api.snapify.pk"},
	{"site file changed on its way", replace(command, "psydge-site", "stdin", "psydge_backend:8012", "snapify_backend:8014"), "route-allocation", "snapify_backend:8014"},
	{"site file that came from elsewhere", set(command, "psydge-site", "stdin", nil), "route-allocation", "has no stdin"},
	{"second site file", func(d *declaration) { d.copy(ledger.TypeRoute, "psydge-route", "again") }, "route-allocation", "is a second Route of psydge"},
	{"no site file", drop(ledger.TypeRoute, "psydge-route"), "route-allocation", "psydge: has no Route"},
	{"site file that nothing puts in place", drop(command, "psydge-site"), "route-allocation", "psydge: has a site file that no command puts in place"},
	{"site file of no app", set(ledger.TypeRoute, "psydge-route", "app", "seventh"), "route-allocation", "is a route of seventh"},
	{"site file for other administrators", set(ledger.TypeRoute, "snapify-route", "adminCidrs", list{"192.0.2.0/24"}), "route-allocation", "Route snapify-route: has"},
	{"route past the components", raw(command, "x", object{"create": "echo 'x.psydge.com { reverse_proxy snapify_backend:8014 }' > /srv/alorig/caddy/sites/x.caddy"}), "route-allocation", "configures a reverse proxy in create"},

	// Secrets.
	{"secret that is not marked", unmark("psydge-backend", "STRIPE_SECRET_KEY"), "secret-handling", "(STRIPE_SECRET_KEY) that is not marked secret"},
	{"URL with a password that is not marked", unmark("psydge-backend", "DATABASE_URL"), "secret-handling", "(DATABASE_URL) that is not marked secret"},
	{"role's password that is not marked", func(d *declaration) { unmarkProperty(role, d.login().Name, "password")(d) }, "secret-handling", "has the credential password"},
	{"Redis passwords that are not marked", unmarkProperty(command, "psydge-redis-user", "stdin"), "secret-handling", "holds a credential in stdin"},
	{"Cloudflare token that is not marked", unmarkProperty("pulumi:providers:cloudflare", "cloudflare", "apiToken"), "secret-handling", "has the credential apiToken"},
	{"PostgreSQL password that is not marked", unmarkProperty("pulumi:providers:postgresql", "postgresql", "password"), "secret-handling", "has the credential password"},
	{"private key that is not marked", unmarkProperty(command, "psydge-site", "connection"), "secret-handling", "has the credential connection.privateKey"},
	{"secret on a container's command line", func(d *declaration) {
		r := d.get(declared.TypeContainer, "psydge-celery-worker")
		_, text := entry(r, "REDIS_URL")
		edit(r, "command[1]", secret("--broker="+strings.TrimPrefix(text, "REDIS_URL=")))
	}, "secret-handling", "carries a secret in command"},
	{"secret in a label", container("psydge-backend", "labels[0].value", secret("psydge")), "secret-handling", "carries a secret in labels"},
	{"secret in a health check", container("psydge-backend", "healthcheck.tests[1]", secret("REDIS_PASSWORD")), "secret-handling", "carries a secret in healthcheck"},
	{"secret on a command line", set(command, "psydge-healthy", "create", secret("docker login --password x")), "secret-handling", "carries a secret in create"},
	{"secret that is logged", set(command, "psydge-redis-user", "logging", "stdoutAndStderr"), "secret-handling", "may log"},
	{"secret that is logged, by default", set(command, "psydge-redis-user", "logging", nil), "secret-handling", "may log"},
	{"any host key", func(d *declaration) {
		r := d.get(command, "psydge-site")
		edit(r, "connection", r.Props.Get("connection").WithSecret(false))
		edit(r, "connection.hostKey", nil)
		edit(r, "connection.privateKey", secret("key"))
	}, "secret-handling", "has no connection.hostKey"},
}

// unknowns are changes that leave what must be decided at preview to the update. A
// value that cannot be judged is refused.
var unknowns = []mutation{
	{"ledger", set(ledger.TypeServer, "server", "ledger", unknown), "ledger-declared", "known at preview"},
	{"part of the ledger", set(ledger.TypeServer, "server", "ledger.apps[0].budget", unknown), "ledger-declared", "ledger.apps[0].budget is not known"},
	{"rollout", set(ledger.TypeServer, "server", "rollout", unknown), "rollout-order", "rollout is not known"},
	{"server's address", set(ledger.TypeServer, "server", "serverAddress", unknown), "dns-allocation", "has no serverAddress that is known"},
	{"zones", set(ledger.TypeServer, "server", "zones", unknown), "dns-allocation", "zones is not known"},
	{"app", set(ledger.TypeApp, "psydge", "app", unknown), "rollout-order", "has no app that is known"},
	{"container's name", container("psydge-backend", "name", unknown), "container-name", "has no name that is known"},
	{"container's labels", container("psydge-backend", "labels", unknown), "container-name", "has no label alorig.fleet.app that is known"},
	{"network", container("psydge-backend", "networksAdvanced[0].name", unknown), "container-network", "has no name that is known"},
	{"network mode", container("psydge-backend", "networkMode", unknown), "container-network", "networkMode is not known"},
	{"privileges", container("psydge-backend", "privileged", unknown), "container-hardening", "is privileged, or may be"},
	{"capabilities", container("psydge-backend", "capabilities.adds", unknown), "container-hardening", "capabilities.adds is not known"},
	{"mounts", container("psydge-backend", "volumes", list{object{"hostPath": unknown}}), "container-hardening", "volumes[0].hostPath is not known"},
	{"security options", container("psydge-backend", "securityOpts", unknown), "container-hardening", "securityOpts is not known"},
	{"process namespace", container("psydge-backend", "pidMode", unknown), "container-hardening", "pidMode is not known"},
	{"health check", container("psydge-backend", "healthcheck", unknown), "container-lifecycle", "has no health check that is known"},
	{"restart policy", container("psydge-backend", "restart", unknown), "container-lifecycle", "has no restart policy that is known"},
	{"stop grace", container("psydge-backend", "destroyGraceSeconds", unknown), "container-lifecycle", "has no destroyGraceSeconds that is known"},
	{"hard limit", container("psydge-backend", "memory", unknown), "container-memory", "has no memory that is known"},
	{"swap", container("psydge-backend", "memorySwap", unknown), "container-memory", "has no memorySwap that is known"},
	{"reservation, for the app", container("psydge-backend", "memoryReservation", unknown), "app-memory-budget", "the sum is a guess"},
	{"reservation, for the server", container("psydge-backend", "memoryReservation", unknown), "fleet-memory-budget", "the sum is a guess"},
	{"hard limit, for the server", container("psydge-backend", "memory", unknown), "host-memory-ceiling", "the sum is a guess"},
	{"port", variableUnknown("psydge-backend", "PORT"), "port-allocation", "may hold a port"},
	{"command", container("psydge-backend", "command", unknown), "port-allocation", "command is not known"},
	{"published ports", container("psydge-backend", "ports", unknown), "host-port", "ports is not known"},
	{"Redis URL", variableUnknown("psydge-backend", "REDIS_URL"), "redis-allocation", "may hold a Redis URL"},
	{"key prefix", variableUnknown("psydge-backend", "CELERY_BROKER_KEY_PREFIX"), "redis-allocation", "may hold a Redis URL"},
	{"permissions of the Redis user", set(command, "psydge-redis-user", "stdin", unknown), "redis-allocation", "has no stdin that is known"},
	{"database URL", variableUnknown("psydge-backend", "DATABASE_URL"), "database-allocation", "may hold a database URL"},
	{"environment", container("psydge-backend", "envs", unknown), "database-allocation", "envs is not known"},
	{"environment, as a secret", container("psydge-backend", "envs", unknown.WithSecret(true)), "redis-allocation", "envs is not known"},
	{"environment that is not marked", variableUnknown("psydge-backend", "ALORIG_APP"), "secret-handling", "is not marked secret"},
	{"database's name", set(database, "psydge-database-psydge-db", "name", unknown), "database-allocation", "has no database name that is known"},
	{"database's owner", set(database, "psydge-database-psydge-db", "owner", unknown), "database-allocation", "has no owner that is known"},
	{"role's name", set(role, "psydge-role-psydge", "name", unknown), "database-allocation", "has no role name that is known"},
	{"role's memberships", set(role, "psydge-role-psydge", "roles", unknown), "database-allocation", "roles is not known"},
	{"login's memberships", login("roles", unknown), "database-allocation", "roles is not known"},
	{"whom a login acts as", login("assumeRole", unknown), "database-allocation", "assumeRole is not known"},
	{"login", login("login", unknown), "database-allocation", "has no login that is known"},
	{"owner's login", set(role, "psydge-role-psydge", "login", unknown), "database-allocation", "psydge: logs in, or may"},
	{"login's password", login("password", unknown.WithSecret(true)), "database-allocation", "has no password that is known"},
	{"connection limit", login("connectionLimit", unknown), "connection-budget", "has no connectionLimit that is known"},
	{"grantee", set(grant, "psydge-revoke-public-psydge-db", "role", unknown), "database-allocation", "has no role that is known"},
	{"granted privileges", set(grant, "psydge-revoke-public-psydge-db", "privileges", unknown), "database-isolation", "gives PUBLIC privileges, or may"},
	{"extension", set(extension, "snapify-extension-pg-trgm", "name", unknown), "database-allocation", "that is known at preview"},
	{"role's password", login("password", unknown), "secret-handling", "has the credential password"},
	{"record's name", set(dnsRecord, "psydge-dns-psydge.com", "name", unknown), "dns-allocation", "has no name that is known"},
	{"record's address", set(dnsRecord, "psydge-dns-psydge.com", "content", unknown), "dns-allocation", "has no content that is known"},
	{"record's zone", set(dnsRecord, "psydge-dns-psydge.com", "zoneId", unknown), "dns-allocation", "has no zoneId that is known"},
	{"record's type", set(dnsRecord, "psydge-dns-psydge.com", "type", unknown), "dns-allocation", "has no type that is known"},
	{"proxied", set(dnsRecord, "psydge-dns-psydge.com", "proxied", unknown), "dns-certificate", "proxied is not known"},
	{"TTL", set(dnsRecord, "psydge-dns-psydge.com", "ttl", unknown), "dns-certificate", "ttl is not known"},
	{"site file", set(ledger.TypeRoute, "psydge-route", "site", unknown), "route-allocation", "has no site that is known"},
	{"site file on its way", set(command, "psydge-site", "stdin", unknown), "route-allocation", "has no stdin that is known"},
	{"app of a site file", set(ledger.TypeRoute, "psydge-route", "app", unknown), "route-allocation", "has no app that is known"},
}

// services are wrong changes to the shared services of a new server.
var services = []mutation{
	{"published database", container("postgres", "ports", list{object{"internal": 5432, "external": 5432}}), "host-port", "alorig_postgres: publishes port 5432/tcp"},
	{"published Redis", container("redis", "ports", list{object{"internal": 6379, "external": 6379}}), "host-port", "alorig_redis: publishes port 6379/tcp"},
	{"published Portainer", container("portainer", "ports", list{object{"internal": 9000, "external": 9000}}), "host-port", "portainer: publishes port 9000/tcp"},
	{"Caddy's admin endpoint", container("caddy", "ports[1]", object{"internal": 2019, "external": 443}), "host-port", "alorig_caddy: publishes port 443/tcp"},
	{"Docker's socket in Caddy", container("caddy", "volumes[1]", object{"hostPath": "/var/run/docker.sock", "containerPath": "/var/run/docker.sock"}), "container-hardening", "alorig_caddy: mounts /var/run/docker.sock"},
	{"the whole server in Portainer", container("portainer", "volumes[1].hostPath", "/"), "container-hardening", "portainer: mounts /"},
	{"PostgreSQL killed when replaced", container("postgres", "destroyGraceSeconds", nil), "container-lifecycle", "alorig_postgres: has no destroyGraceSeconds"},
	{"more memory for PostgreSQL", container("postgres", "memory", 2001), "container-memory", "the ledger books 1400 MiB with a limit of 2000 MiB"},
	{"server above its trigger by a shared service", container("postgres", "memoryReservation", 3701), "fleet-memory-budget", "13001 MiB"},
	{"superuser's password that is not marked", unmark("postgres", "POSTGRES_PASSWORD"), "secret-handling", "(POSTGRES_PASSWORD) that is not marked secret"},
	{"Redis on another port", container("redis", "command", list{"redis-server", "--port", "8012"}), "port-allocation", "listens on port 8012"},
	{"Caddy outside the network", container("caddy", "networkMode", "host"), "container-network", "network mode host"},
}

// advisory are changes that are pointed at and refused by nothing.
var advisory = []mutation{
	{"latest", container("psydge-backend", "image", "registry.example.com/alorig/psydge-backend:latest"), "image-pinned", "whose tag is latest"},
	{"no tag", container("psydge-backend", "image", "registry.example.com/alorig/psydge-backend"), "image-pinned", "whose tag is latest"},
	{"tag", set(declared.TypeRemoteImage, "psydge-image-psydge-backend", "name", "registry.example.com/alorig/psydge-backend:1.4"), "image-pinned", "which has no digest"},
}

// replace changes a text within a property.
func replace(typ, name, path, from, to string) change {
	return func(d *declaration) {
		r := d.get(typ, name)
		edit(r, path, property.New(replaced(r, path, from, to)))
	}
}

// replaceSecret changes a text within a secret, which stays one.
func replaceSecret(typ, name, path, from, to string) change {
	return func(d *declaration) {
		r := d.get(typ, name)
		edit(r, path, secret(replaced(r, path, from, to)))
	}
}

func replaced(r *declared.Resource, path, from, to string) string {
	text := r.Props.Get(path).AsString()
	if !strings.Contains(text, from) {
		panic(fmt.Sprintf("%s of %s does not hold %q", path, r.Name, from))
	}
	return strings.Replace(text, from, to, 1)
}

// unmark takes the mark off a secret variable.
func unmark(name, key string) change {
	return func(d *declaration) {
		r := d.get(declared.TypeContainer, name)
		path, text := entry(r, key)
		edit(r, path, text)
	}
}

// unmarkProperty takes the mark off a secret property.
func unmarkProperty(typ, name, key string) change {
	return func(d *declaration) {
		r := d.get(typ, name)
		edit(r, key, r.Props.Get(key).WithSecret(false))
	}
}

// variableUnknown leaves a whole environment entry to the update.
func variableUnknown(name, key string) change {
	return func(d *declaration) {
		r := d.get(declared.TypeContainer, name)
		path, _ := entry(r, key)
		edit(r, path, unknown)
	}
}

func TestWrongDeclarationsAreRefused(t *testing.T) {
	t.Parallel()
	existing, managed := record(t, Alorig(), production(t)), record(t, Alorig(), newServer(t))
	for _, table := range []struct {
		name      string
		clean     []declared.Resource
		mutations []mutation
	}{
		{"declared", existing, declarations},
		{"unknown", existing, unknowns},
		{"service", managed, services},
	} {
		for _, m := range table.mutations {
			t.Run(table.name+"/"+m.name, func(t *testing.T) {
				t.Parallel()
				mustRefuse(t, judge(mutated(table.clean, m)), m.rule, m.says)
			})
		}
	}
}

// mutated is a copy of what was declared, with one wrong change. Properties are
// immutable, so that a copy of the list is one of everything.
func mutated(clean []declared.Resource, m mutation) []declared.Resource {
	d := &declaration{slices.Clone(clean)}
	m.change(d)
	return d.resources
}

func TestUnpinnedImagesAreAdvised(t *testing.T) {
	t.Parallel()
	clean := record(t, Alorig(), production(t))
	for _, m := range advisory {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			found := judge(mutated(clean, m))
			if !slices.ContainsFunc(found, func(f ledger.Finding) bool { return f.Rule == m.rule && strings.Contains(f.String(), m.says) }) {
				t.Errorf("no finding of %s says %q: %v", m.rule, m.says, found)
			}
			if refused := rules.Refusals(found); len(refused) > 0 {
				t.Errorf("advice refuses: %v", refused)
			}
		})
	}
}

func TestEveryMandatoryRuleRefusesSomething(t *testing.T) {
	t.Parallel()
	cases := map[string]int{}
	for _, c := range bookings {
		cases[c.rule]++
	}
	for _, m := range slices.Concat(declarations, unknowns, services) {
		cases[m.rule]++
	}
	total := 0
	for _, rule := range rules.All() {
		if rule.Level != rules.Mandatory {
			continue
		}
		if cases[rule.Name] == 0 {
			t.Errorf("no mutation expects %s", rule.Name)
		}
		t.Logf("%3d %s", cases[rule.Name], rule.Name)
		total += cases[rule.Name]
		delete(cases, rule.Name)
	}
	for name := range cases {
		t.Errorf("mutations expect %s, which is no mandatory rule", name)
	}
	t.Logf("%3d mutations", total)
}

// Whatever is wrong, no finding shows a secret: not even one that lost its mark.
func TestNoFindingShowsASecret(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry-5e9d"
	for _, table := range []struct {
		name      string
		config    settings.Config
		mutations []mutation
	}{
		{"existing", production(t), slices.Concat(declarations, unknowns, advisory)},
		{"managed", newServer(t), services},
	} {
		clean, err := Alorig().dryRun("prod", planted(settingsOf(t, Alorig(), table.config), canary))
		if err != nil {
			t.Fatal(err)
		}
		if n := holding(clean, canary); n < 40 {
			t.Fatalf("%s: only %d resources hold the canary", table.name, n)
		}
		for _, m := range table.mutations {
			t.Run(table.name+"/"+m.name, func(t *testing.T) {
				t.Parallel()
				for _, f := range judge(mutated(clean, m)) {
					if strings.Contains(fmt.Sprintf("%+v", f), canary) {
						t.Errorf("[%s] %s", f.Rule, f)
					}
				}
			})
		}
	}
}

// planted gives every secret of the settings a value with the canary in it.
func planted(s settings.Settings, canary string) settings.Settings {
	s.Secrets = map[string]map[string]settings.Secret{}
	for app, secrets := range settingstest.Secrets(ledger.Alorig(), Defined(), canary) {
		s.Secrets[app] = map[string]settings.Secret{}
		for name, value := range secrets {
			s.Secrets[app][name] = settings.NewSecret(value)
		}
	}
	s.RedisPassword, s.CloudflareToken = settings.NewSecret(canary+"-redis"), settings.NewSecret(canary+"-cloudflare")
	s.Postgres.Password, s.SSH.PrivateKey = settings.NewSecret(canary+"-postgres"), settings.NewSecret(canary+"-ssh")
	return s
}

// holding counts the resources whose inputs hold the text.
func holding(rs []declared.Resource, text string) int {
	n := 0
	for _, r := range rs {
		if strings.Contains(fmt.Sprintf("%v", r.Props), text) {
			n++
		}
	}
	return n
}
