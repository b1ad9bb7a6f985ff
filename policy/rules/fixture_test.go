package rules

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"github.com/alorig/fleet/internal/caddysite"
	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
)

type (
	object = map[string]any
	list   = []any
	secret struct{ of any }
)

// unknown stands for a value that is not known at preview.
var unknown = property.New(property.Computed)

// value turns plain Go values into a property.
func value(v any) property.Value {
	switch v := v.(type) {
	case nil:
		return property.Value{}
	case property.Value:
		return v
	case secret:
		return value(v.of).WithSecret(true)
	case string:
		return property.New(v)
	case bool:
		return property.New(v)
	case int:
		return property.New(float64(v))
	case float64:
		return property.New(v)
	case list:
		vs := make([]property.Value, len(v))
		for i, e := range v {
			vs[i] = value(e)
		}
		return property.New(property.NewArray(vs))
	case object:
		m := make(map[string]property.Value, len(v))
		for k, e := range v {
			m[k] = value(e)
		}
		return property.New(property.NewMap(m))
	default:
		panic(fmt.Sprintf("no property of %T", v))
	}
}

// draft is a resource whose properties a test can still change.
type draft struct {
	declared.Resource
	props object
}

func (d *draft) resource() declared.Resource {
	r := d.Resource
	r.Props = value(d.props).AsMap()
	return r
}

// env replaces, or adds, an environment entry; nil removes it.
func (d *draft) env(key string, v any) {
	envs := slices.DeleteFunc(slices.Clone(d.props["envs"].(list)), func(e any) bool {
		if s, ok := e.(secret); ok {
			e = s.of
		}
		text, _ := e.(string)
		return strings.HasPrefix(text, key+"=")
	})
	if v != nil {
		envs = append(envs, v)
	}
	d.props["envs"] = envs
}

// stack is everything that one server declares.
type stack struct {
	t   testing.TB
	all []*draft
}

func (s *stack) add(typ, name string, parent *draft, props object) *draft {
	d := &draft{props: props}
	chain := typ
	if parent != nil {
		d.Parent = parent.URN
		chain = strings.SplitN(parent.URN, "::", 4)[2] + "$" + typ
	}
	d.Type, d.Name = typ, name
	d.URN = "urn:pulumi:test::alorig::" + chain + "::" + name
	s.all = append(s.all, d)
	return d
}

// get returns the resource of the type with the logical name.
func (s *stack) get(typ, name string) *draft {
	for _, d := range s.all {
		if d.Type == typ && d.Name == name {
			return d
		}
	}
	panic(fmt.Sprintf("the fixture has no %s %q", typ, name))
}

func (s *stack) container(name string) *draft { return s.get(declared.TypeContainer, name) }
func (s *stack) drop(d *draft) {
	s.all = slices.DeleteFunc(s.all, func(o *draft) bool { return o == d })
}

func (s *stack) resources() []declared.Resource {
	rs := make([]declared.Resource, len(s.all))
	for i, d := range s.all {
		rs[i] = d.resource()
	}
	return rs
}

const (
	serverAddress = "203.0.113.10"
	digest        = "@sha256:90ba51de318dbf02c28f9c9e2d3eb76fe2cb15592f3e7aabe18c81ccf0aac7aa"
	admins        = "198.51.100.0/28"
)

// compliant is a server on which everything up to the last app is as the ledger says.
func compliant(t testing.TB, l ledger.Ledger) *stack {
	s := &stack{t: t}
	plain, err := l.Plain()
	if err != nil {
		t.Fatal(err)
	}
	zones := object{}
	for _, z := range l.Zones() {
		zones[z] = "zone of " + z
	}
	rollout := ""
	if len(l.Apps) > 0 {
		rollout = l.Apps[len(l.Apps)-1].Name
	}
	host := s.add(ledger.TypeServer, "server", nil, object{
		"ledger": plain, "rollout": rollout, "serverAddress": serverAddress, "zones": zones,
	})
	s.add("pulumi:providers:docker", "docker", nil, object{
		"host": "ssh://server", "registryAuth": list{object{"address": "registry.example.com", "password": secret{"registry pw"}}},
	})
	s.add("pulumi:providers:postgresql", "postgresql", nil, object{"password": secret{"admin pw"}})
	s.add("pulumi:providers:cloudflare", "cloudflare", nil, object{"apiToken": secret{"cloudflare token"}})
	for _, svc := range l.Services {
		if !svc.OnDemand {
			s.addService(host, svc)
		}
	}
	for _, a := range l.Apps {
		s.addApp(host, a, zones)
	}
	return s
}

func containerProps(l string, name, image string, m ledger.Memory) object {
	return object{
		"name": name, "image": image + digest, "networksAdvanced": list{object{"name": l}}, "networkMode": "bridge",
		"memory": int(m.Limit), "memoryReservation": int(m.Steady), "memorySwap": int(m.Limit),
		"restart": "unless-stopped", "stopTimeout": 30, "destroyGraceSeconds": 30, "mustRun": false,
		"healthcheck": object{"tests": list{"CMD", "true"}}, "logDriver": "json-file",
		"logOpts": object{"max-size": "10m", "max-file": "3"}, "securityOpts": list{"no-new-privileges:true"},
		"capabilities": object{"drops": list{"ALL"}, "adds": list{}},
		"labels":       list{object{"label": "com.docker.compose.service", "value": name}},
		"envs":         list{}, "ports": list{}, "volumes": list{},
	}
}

func (s *stack) addService(host *draft, svc ledger.Service) {
	props := containerProps("alorig_net", svc.Container, string(svc.Kind), svc.Memory)
	switch svc.Kind {
	case ledger.Caddy:
		props["ports"] = list{object{"internal": 80, "external": 80}, object{"internal": 443, "external": 443, "protocol": "udp"}}
		props["capabilities"] = object{"drops": list{"ALL"}, "adds": list{"NET_BIND_SERVICE"}}
	case ledger.Portainer:
		props["volumes"] = list{object{"hostPath": "/var/run/docker.sock", "containerPath": "/var/run/docker.sock"}}
	case ledger.Postgres, ledger.Redis, ledger.Flower:
		props["envs"] = list{secret{"POSTGRES_PASSWORD=admin pw"}}
	}
	s.add(declared.TypeContainer, svc.Container, host, props)
}

func (s *stack) addApp(host *draft, a ledger.App, zones object) {
	app := s.add(ledger.TypeApp, a.Name, host, object{"app": a.Name})
	roles := map[string]string{}
	for _, d := range a.Databases {
		roles[d.Name] = d.Role
		s.add(declared.TypeRole, d.Role, app, object{"name": d.Role}).Protect = true
		s.add(declared.TypeRole, d.Role+"-login", app, object{
			"name": ledger.LoginRole(d.Role, databasePassword), "login": true, "password": secret{databasePassword},
			"roles": list{d.Role}, "assumeRole": d.Role, "connectionLimit": a.ConnectionLimit(d),
		})
		s.add(declared.TypeDatabase, d.Name, app, object{"name": d.Name, "owner": d.Role}).Protect = true
		s.add(declared.TypeGrant, "revoke-"+d.Name, app, object{"database": d.Name, "role": "public", "objectType": "database", "privileges": list{}})
		for _, e := range d.Extensions {
			s.add(declared.TypeExtension, d.Name+"-"+e, app, object{"database": d.Name, "name": e})
		}
	}
	for _, c := range a.Containers {
		name := ledger.ContainerName(a.Name, c.Role)
		props := containerProps("alorig_net", name, "registry.example.com/alorig/"+c.Image, c.Memory)
		props["labels"] = list{object{"label": ledger.LabelApp, "value": a.Name}}
		envs := list{
			secret{databaseURL("DATABASE_URL", roles[c.Database], "alorig_postgres:5432/"+c.Database)},
			secret{fmt.Sprintf("REDIS_URL=redis://%s:redis%%40pw@alorig_redis:6379/%d", a.Name, a.RedisDB)},
			secret{"SECRET_KEY=x9f8e7d6"},
			"LANG=C.UTF-8",
		}
		for _, key := range ledger.KeyPrefixVariables {
			envs = append(envs, key+"="+a.KeyPrefix)
		}
		if c.Port != 0 {
			envs = append(envs, fmt.Sprintf("PORT=%d", c.Port))
			props["command"] = list{"gunicorn", "--bind", fmt.Sprintf("0.0.0.0:%d", c.Port)}
		}
		props["envs"] = envs
		s.add(declared.TypeContainer, name, app, props)
	}
	for _, h := range a.Hosts {
		ttl := 300
		if h.Proxied {
			ttl = 1
		}
		s.add(declared.TypeRecord, h.Name, app, object{
			"name": h.Name, "type": "A", "content": serverAddress, "proxied": h.Proxied, "ttl": ttl, "zoneId": zones[h.Zone],
		})
	}
	site := renderSite(s.t, a)
	route := s.add(ledger.TypeRoute, a.Name+"-route", app, object{"app": a.Name, "tls": "cloudflare", "adminCidrs": list{admins}, "site": site})
	s.add(declared.TypeRemoteCommand, a.Name+"-site", route, object{"create": "alorig-server put-site", "stdin": written(s.t, document.Site{Header: document.NewHeader(a.Name, a.Name), Text: site}), "connection": connection()})
	redisUser := s.add(ledger.TypeRedisUser, a.Name+"-redis", app, object{"app": a.Name})
	s.add(declared.TypeRemoteCommand, a.Name+"-redis-user", redisUser, object{
		"create": "alorig-server put-redis-user", "logging": "none", "connection": connection(),
		"stdin": secret{written(s.t, document.RedisUser{
			Header: document.NewHeader(a.Name, a.Name), Redis: "alorig_redis", Port: 6379, AdminPassword: "admin", User: a.Name, Password: "pw", Permissions: a.RedisACL(),
		})},
	})
	gate := s.add(ledger.TypeGate, a.Name+"-gate", app, object{"app": a.Name})
	s.add(declared.TypeRemoteCommand, a.Name+"-healthy", gate, object{"create": "alorig-server await-ready", "connection": connection()})
}

// databasePassword must be escaped in a URL.
const databasePassword = "db@pw"

// databaseURL is the entry of a container that logs in as the role.
func databaseURL(key, role, where string) string {
	user := url.UserPassword(ledger.LoginRole(role, databasePassword), databasePassword)
	return fmt.Sprintf("%s=postgres://%s@%s", key, user, where)
}

func written(t testing.TB, of any) string {
	t.Helper()
	text, err := document.Write(of)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func connection() object {
	return object{"host": serverAddress, "hostKey": "ssh-ed25519 AAAA", "privateKey": secret{"private key"}}
}

func renderSite(t testing.TB, a ledger.App) string {
	text, err := caddysite.Render(a, adminOptions())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// ruleNamed returns the rule with the name.
func ruleNamed(t testing.TB, name string) Rule {
	for _, r := range All() {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("no rule is called %q", name)
	return Rule{}
}

// manyApps is a ledger of n apps on a server that holds them.
func manyApps(n int) ledger.Ledger {
	l := ledger.Alorig()
	template := l.Apps[0]
	l.Apps = nil
	l.Server.Memory, l.Server.UpgradeTrigger, l.Server.Connections = 1<<30, 1<<30, 1<<20
	for i := range n {
		a := template
		a.Name = fmt.Sprintf("app%d", i)
		a.KeyPrefix, a.RedisDB = a.Name+":", 2+i
		a.Databases = []ledger.Database{{Name: a.Name + "_db", Role: a.Name, Connections: 13}}
		a.Containers = slices.Clone(a.Containers)
		for j := range a.Containers {
			c := &a.Containers[j]
			c.Database = a.Name + "_db"
			if c.Port != 0 {
				c.Port = 10000 + 2*i + j
			}
		}
		rename := strings.NewReplacer("psydge.com", a.Name+".com")
		a.Hosts, a.Routes = slices.Clone(a.Hosts), slices.Clone(a.Routes)
		for j := range a.Hosts {
			a.Hosts[j].Name, a.Hosts[j].Zone = rename.Replace(a.Hosts[j].Name), rename.Replace(a.Hosts[j].Zone)
		}
		for j := range a.Routes {
			a.Routes[j].Host = rename.Replace(a.Routes[j].Host)
		}
		l.Apps = append(l.Apps, a)
	}
	return l
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
