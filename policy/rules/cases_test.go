package rules

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/alorig/fleet/internal/caddysite"
	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

func adminOptions() caddysite.Options {
	return caddysite.Options{TLS: caddysite.Cloudflare, AdminCIDRs: []netip.Prefix{netip.MustParsePrefix(admins)}}
}

const (
	backend = "psydge_backend"
	worker  = "psydge_celery_worker"
	payload = "sitebuilder_payload"
	caddy   = "alorig_caddy"
	redis   = "alorig_redis"
)

// ownURL is the database URL of psydge_backend.
var ownURL = databaseURL("DATABASE_URL", "psydge", "alorig_postgres:5432/psydge_db")

// set changes one property of one resource.
func set(typ, name, property string, v any) func(*stack) {
	return func(s *stack) { s.get(typ, name).props[property] = v }
}

// container changes one property of one container.
func container(name, property string, v any) func(*stack) {
	return set(declared.TypeContainer, name, property, v)
}

// env gives a container an environment entry in place of the one with its key.
func env(name string, v any) func(*stack) {
	return func(s *stack) {
		entry := v
		if e, ok := v.(secret); ok {
			entry = e.of
		}
		text, _ := entry.(string)
		key, _, _ := strings.Cut(text, "=")
		s.container(name).env(key, v)
	}
}

func without(name, key string) func(*stack) {
	return func(s *stack) { s.container(name).env(key, nil) }
}

// redisUser changes what the command of an app's Redis user sends.
func redisUser(app, from, to string) func(*stack) {
	return func(s *stack) {
		props := s.get(declared.TypeRemoteCommand, app+"-redis-user").props
		props["stdin"] = secret{strings.Replace(props["stdin"].(secret).of.(string), from, to, 1)}
	}
}

func removed(typ, name string) func(*stack) {
	return func(s *stack) { s.drop(s.get(typ, name)) }
}

// extra declares a container that the ledger does not have.
func extra(name, image string) func(*stack) {
	return func(s *stack) {
		s.add(declared.TypeContainer, name, nil, containerProps("alorig_net", name, image, ledger.Memory{Steady: 100, Limit: 100}))
	}
}

func resource(typ, name string, props object) func(*stack) {
	return func(s *stack) { s.add(typ, name, nil, props) }
}

// cases is what each rule must say. An empty finding means that the rule allows it.
var cases = map[string][]struct {
	name    string
	change  func(*stack)
	finding string // part of what one of the rule's findings says
}{
	"ledger-declared": {
		{"no ledger", set(ledger.TypeServer, "server", "ledger", nil), "Server: has no ledger"},
		{"unknown ledger", set(ledger.TypeServer, "server", "ledger", unknown), "known at preview"},
		{"unknown inside", func(s *stack) { s.get(ledger.TypeServer, "server").props["ledger"].(object)["server"] = unknown }, "ledger.server is not known"},
		{"another budget", func(s *stack) {
			s.get(ledger.TypeServer, "server").props["ledger"].(object)["apps"].([]any)[1].(object)["budget"] = 701
		}, "declares another ledger: ledger.apps[1].budget;"},
		{"not a ledger", set(ledger.TypeServer, "server", "ledger", object{"colour": "red"}), "cannot be decoded"},
		{"rollout unknown to the ledger", set(ledger.TypeServer, "server", "rollout", "psyche"), "has the rollout psyche"},
		{"rollout not known", set(ledger.TypeServer, "server", "rollout", unknown), "rollout is not known"},
		{"no Server", removed(ledger.TypeServer, "server"), "declares 0 Server"},
		{"two Servers", resource(ledger.TypeServer, "second", object{}), "declares 2 Server"},
	},
	"rollout-order": {
		{"beyond the rollout", set(ledger.TypeServer, "server", "rollout", "observer"), "asms: is declared; the rollout has come to observer"},
		{"no app yet", set(ledger.TypeServer, "server", "rollout", ""), "psydge: is declared; the rollout has not come"},
		{"earlier app missing", removed(ledger.TypeApp, "snapify"), "snapify: is not declared"},
		{"container missing", removed(declared.TypeContainer, worker), "psydge: lacks psydge_celery_worker"},
		{"database missing", removed(declared.TypeDatabase, "psydge_db"), "psydge: lacks the database psydge_db"},
		{"role missing", removed(declared.TypeRole, "psydge"), "psydge: lacks the role psydge"},
		{"login missing", removed(declared.TypeRole, "psydge-login"), "psydge: lacks a login of the role psydge"},
		{"gate missing", removed(ledger.TypeGate, "psydge-gate"), "psydge: has no gate"},
		{"gate that asks nothing", removed(declared.TypeRemoteCommand, "psydge-healthy"), "psydge: has no gate"},
		{"rollout not known", set(ledger.TypeServer, "server", "rollout", unknown), "rollout is not known"},
		{"app not in the ledger", resource(ledger.TypeApp, "seventh", object{"app": "seventh"}), "seventh: is declared as an app"},
		{"app without a name", resource(ledger.TypeApp, "seventh", object{"app": unknown}), "App seventh: has no app that is known"},
	},
	"container-name": {
		{"not in the ledger", extra("psydge_metrics", "metrics"), `is not in the ledger; psydge has backend, channels, celery_worker, celery_beat, and no "metrics"`},
		{"reserved", extra("igny8_backend", "igny8"), "belongs to igny8"},
		{"frontend", extra("psydge_frontend", "psydge"), "is a frontend container"},
		{"web server image", container(backend, "image", "docker.io/library/nginx:1.27"), "is a frontend container"},
		{"unknown name", container(backend, "name", unknown), "has no name that is known"},
		{"no name", container(backend, "name", nil), "has no name;"},
		{"other app's label", container(backend, "labels", list{object{"label": ledger.LabelApp, "value": "snapify"}}), "carries the label alorig.fleet.app=snapify"},
		{"no label", container(backend, "labels", list{}), "has no label"},
		{"unknown label", container(backend, "labels", unknown), "has no label alorig.fleet.app that is known"},
		{"service with an app's label", container(caddy, "labels", list{object{"label": ledger.LabelApp, "value": "snapify"}}), "is a shared service"},
		{"other app's image", container(backend, "image", "registry.example.com/snapify-backend:1"), "runs the image snapify-backend"},
		{"unknown image", container(backend, "image", unknown), ""},
		{"declared twice", func(s *stack) { s.add(declared.TypeContainer, "again", nil, s.container(backend).props) }, "is declared twice"},
		{"Swarm service", resource(declared.TypeSwarmService, "web", object{"name": "web"}), "is a Swarm service"},
	},
	"container-network": {
		{"no network", container(backend, "networksAdvanced", nil), "joins no network"},
		{"another network", container(backend, "networksAdvanced", list{object{"name": "alorig_net"}, object{"name": "side"}}), "joins the network side"},
		{"unknown network", container(backend, "networksAdvanced", list{object{"name": unknown}}), "no name that is known"},
		{"unknown networks", container(backend, "networksAdvanced", unknown), "is not known at preview"},
		{"host mode", container(backend, "networkMode", "host"), "network mode host"},
		{"container mode", container(backend, "networkMode", "container:alorig_postgres"), "network mode container:"},
		{"unknown mode", container(backend, "networkMode", unknown), "networkMode is not known"},
		{"mode left out", container(backend, "networkMode", nil), ""},
		{"own alias", container(backend, "networksAdvanced", list{object{"name": "alorig_net", "aliases": list{backend, "api"}}}), ""},
		{"other's alias", container(backend, "networksAdvanced", list{object{"name": "alorig_net", "aliases": list{"snapify_backend"}}}), "answers to the name snapify_backend"},
		{"unknown alias", container(backend, "networksAdvanced", list{object{"name": "alorig_net", "aliases": unknown}}), "aliases is not known"},
	},
	"container-memory": {
		{"no limit", container(backend, "memory", nil), "has no memory;"},
		{"unknown limit", container(backend, "memory", unknown), "has no memory that is known"},
		{"fraction", container(backend, "memory", 700.5), "has no memory of the right type"},
		{"unlimited swap", container(backend, "memorySwap", -1), "has memorySwap -1"},
		{"swap", container(backend, "memorySwap", 1400), "memorySwap 1400 MiB beside memory 700"},
		{"limit below reservation", container(backend, "memory", 100), "below its reservation of 550"},
		{"not what is booked", container(backend, "memoryReservation", 551), "reserves 551 MiB"},
		{"a shared service too", container(caddy, "memory", 400), "alorig_caddy: reserves 200 MiB with a limit of 400 MiB"},
	},
	"app-memory-budget": {
		{"above the budget", container(backend, "memoryReservation", 560), "its containers reserve 1760 MiB (1.76 GB); its budget is 1750 MiB"},
		{"one past the components", func(s *stack) {
			extra("psydge_metrics", "metrics")(s)
			s.container("psydge_metrics").props["labels"] = list{object{"label": ledger.LabelApp, "value": "psydge"}}
		}, "psydge: its containers reserve 1850 MiB"},
		{"unknown", container(backend, "memoryReservation", unknown), "the sum is a guess"},
	},
	"fleet-memory-budget": {
		{"above the trigger", container(backend, "memoryReservation", 2851), "steady state comes to 13001 MiB"},
		{"at the trigger", container(backend, "memoryReservation", 2850), ""},
		{"unknown", container(backend, "memoryReservation", unknown), "the sum is a guess"},
		{"services elsewhere count all the same", func(s *stack) {
			for _, svc := range ledger.Alorig().Services {
				if !svc.OnDemand {
					s.drop(s.container(svc.Container))
				}
			}
			s.container(backend).props["memoryReservation"] = 2851
		}, "steady state comes to 13001 MiB"},
		{"on demand is no steady state", func(s *stack) {
			s.container(backend).props["memoryReservation"] = 2850
			s.addService(nil, ledger.Service{Container: "flower", Kind: ledger.Flower, Memory: ledger.Memory{Steady: 150, Limit: 250}})
		}, ""},
	},
	"host-memory-ceiling": {
		{"above the server", container(worker, "memory", 9000), "while something runs on demand or is replaced; the server has 16000 MiB"},
		{"on demand above the rest", func(s *stack) {
			s.addService(nil, ledger.Service{Container: "flower", Kind: ledger.Flower, Memory: ledger.Memory{Steady: 150, Limit: 9000}})
		}, "and 9000 MiB (9 GB) more"},
		{"unknown", container(worker, "memory", unknown), "the sum is a guess"},
		{"unknown on demand", func(s *stack) {
			s.addService(nil, ledger.Service{Container: "flower", Kind: ledger.Flower})
			s.container("flower").props["memory"] = unknown
		}, "the sum is a guess"},
	},
	"port-allocation": {
		{"another PORT", env(backend, "PORT=8014"), "listens on port 8014 by envs"},
		{"no number", env(backend, "PORT=http"), "is no port number"},
		{"another --bind", container(backend, "command", list{"gunicorn", "--bind", "0.0.0.0:8099"}), "listens on port 8099 by command"},
		{"--bind=", container(backend, "command", list{"gunicorn", "--bind=[::]:8099"}), "port 8099"},
		{"-b joined", container(backend, "command", list{"gunicorn", "-b0.0.0.0:8099"}), "port 8099"},
		{"-p", container(backend, "command", list{"daphne", "-b", "0.0.0.0", "-p", "8099"}), "port 8099"},
		{"--port=", container(backend, "command", list{"uvicorn", "--port=8099"}), "port 8099"},
		{"endpoint", container(backend, "command", list{"daphne", "-e", "tcp:port=8099:interface=0.0.0.0"}), "port 8099"},
		{"in a shell", container(backend, "command", list{"sh", "-c", "exec gunicorn --bind '0.0.0.0:8099' app"}), "port 8099"},
		{"alone", container(backend, "entrypoints", list{"python", "manage.py", "runserver", "0.0.0.0:8099"}), "by entrypoints"},
		{"Gunicorn's variable", env(backend, "GUNICORN_CMD_ARGS=--bind=0.0.0.0:8099"), "port 8099"},
		{"its own, written every way", container(backend, "command", list{"gunicorn", "-b", ":8012", "--port=8012", "mkdir", "-p", "/x", "celery", "-b", "redis://x:1/2", "wait", "alorig_postgres:5432"}), ""},
		{"worker with PORT", env(worker, "PORT=8012"), "the ledger gives it no port"},
		{"worker with --bind", container(worker, "command", list{"gunicorn", "--bind", ":8012"}), "the ledger gives it no port"},
		{"server without a port", func(s *stack) {
			s.container(backend).env("PORT", nil)
			s.container(backend).props["command"] = nil
		}, "declares no port"},
		{"one port twice", env("psydge_channels", "PORT=8012"), "psydge_channels: listens on port 8012, as psydge_backend does"},
		{"unknown entry", func(s *stack) { s.container(backend).env("PORT", unknown) }, "may hold a port"},
		{"unknown environment", container(backend, "envs", unknown), "envs is not known at preview and may hold a port"},
		{"unknown command", container(backend, "command", unknown), "command is not known at preview and may hold a port"},
		{"service on its own port", container(redis, "command", list{"redis-server", "--port", "6379"}), ""},
	},
	"host-port": {
		{"published", container(backend, "ports", list{object{"internal": 8012, "external": 8012}}), "publishes port 8012/tcp"},
		{"database", container("alorig_postgres", "ports", list{object{"internal": 5432, "external": 5432, "ip": "127.0.0.1"}}), "publishes port 5432/tcp"},
		{"random", container(backend, "ports", list{object{"internal": 8012}}), "has no external port"},
		{"Caddy elsewhere", container(caddy, "ports", list{object{"internal": 2019, "external": 2019}}), "publishes port 2019/tcp"},
		{"Caddy mapped", container(caddy, "ports", list{object{"internal": 2019, "external": 443}}), "publishes port 443/tcp"},
		{"80 over UDP", container(caddy, "ports", list{object{"internal": 80, "external": 80, "protocol": "udp"}}), "publishes port 80/udp"},
		{"all", container(backend, "publishAllPorts", true), "publishes all its ports"},
		{"all unknown", container(backend, "publishAllPorts", unknown), "publishes all its ports, or may"},
		{"unknown", container(backend, "ports", unknown), "ports is not known"},
		{"unknown external", container(backend, "ports", list{object{"external": unknown}}), "no external port that is known"},
	},
	"redis-allocation": {
		{"another's DB", env(backend, secret{"REDIS_URL=redis://psydge:pw@alorig_redis:6379/3"}), "for DB 3; psydge has Redis DB 2"},
		{"no DB", env(backend, secret{"REDIS_URL=redis://psydge:pw@alorig_redis:6379"}), "for DB 0"},
		{"DB as text", env(backend, secret{"REDIS_URL=redis://psydge:pw@alorig_redis:6379/two"}), "whose path is no DB number"},
		{"DB in the query", env(backend, secret{"REDIS_URL=redis://psydge:pw@alorig_redis:6379/2?db=0"}), "whose query sets db"},
		{"under another key", env(backend, secret{"CACHE=rediss://psydge:pw@alorig_redis:6379/3"}), "CACHE"},
		{"second of a list", env(backend, secret{"BROKERS=redis://psydge:pw@alorig_redis/2;redis://psydge:pw@alorig_redis/0"}), "for DB 0"},
		{"in JSON", env(backend, secret{`CHANNELS={"hosts":["redis://psydge:pw@alorig_redis/4"]}`}), "for DB 4"},
		{"on the command line", container(backend, "command", list{"celery", "-b", "redis://psydge@alorig_redis/3"}), "command[2] for DB 3"},
		{"another host", env(backend, secret{"REDIS_URL=redis://psydge:pw@cache:6379/2"}), "points at another server"},
		{"another port", env(backend, secret{"REDIS_URL=redis://psydge:pw@alorig_redis:6380/2"}), "points at another server"},
		{"another user", env(backend, secret{"REDIS_URL=redis://:pw@alorig_redis:6379/2"}), "for another user"},
		{"unreadable", env(backend, secret{"REDIS_URL=redis://psydge:p#w@alorig_redis:6379/2"}), "that cannot be read"},
		{"missing", without(backend, "REDIS_URL"), "has no Redis URL"},
		{"Payload needs none", func(s *stack) {
			s.container(payload).env("REDIS_URL", nil)
			for _, key := range ledger.KeyPrefixVariables {
				s.container(payload).env(key, nil)
			}
		}, ""},
		{"Payload with a URL needs prefixes", without(payload, "CHANNELS_REDIS_PREFIX"), "has no CHANNELS_REDIS_PREFIX"},
		{"prefix missing", without(backend, "CELERY_BROKER_KEY_PREFIX"), "has no CELERY_BROKER_KEY_PREFIX"},
		{"prefix foreign", env(backend, "DJANGO_CACHE_KEY_PREFIX=snapify:"), "has another key prefix in envs"},
		{"DB number alone", env(backend, "REDIS_DB=0"), "has another DB number"},
		{"host alone", env(backend, "REDIS_HOST=cache"), "has another Redis server"},
		{"service", env(caddy, secret{"REDIS_URL=redis://psydge:pw@alorig_redis:6379/2"}), "the ledger gives it no Redis DB"},
		{"Flower may look", func(s *stack) {
			s.addService(nil, ledger.Service{Container: "flower", Kind: ledger.Flower})
			s.container("flower").env("CELERY_BROKER_URL", secret{"CELERY_BROKER_URL=redis://psydge:pw@alorig_redis/2"})
		}, ""},
		{"unknown entry", func(s *stack) { s.container(backend).env("REDIS_URL", secret{unknown}) }, "may hold a Redis URL"},
		{"user with every key", redisUser("psydge", "~psydge:*", "~*"), "gives the Redis user psydge in stdin other permissions"},
		{"user with another's keys", redisUser("psydge", `"~psydge:*"`, `"~psydge:*","~snapify:*"`), "other permissions than its own"},
		{"user with another's DB", redisUser("psydge", "+select|2", "+select|3"), "other permissions than its own"},
		{"user without a password", redisUser("psydge", `"~psydge:*"`, `"nopass","~psydge:*"`), "other permissions than its own"},
		{"user with an empty password", redisUser("psydge", `"password":"pw"`, `"password":""`), "gives the Redis user psydge no password"},
		{"user of no app", redisUser("psydge", `"user":"psydge"`, `"user":"guest"`), "makes a Redis user who is no app"},
		{"user on another server", redisUser("psydge", `"redis":"alorig_redis"`, `"redis":"cache"`), "makes the Redis user psydge on another server"},
		{"user by commands", redisUser("psydge", "", "ACL SETUSER psydge +@all\n"), "has a stdin that cannot be read"},
		{"user with an unknown field", redisUser("psydge", `"user"`, `"more":1,"user"`), "unknown field"},
		{"user on the command line", set(declared.TypeRemoteCommand, "psydge-healthy", "create", "redis-cli ACL SETUSER psydge +@all"), "sets a Redis user in create by itself"},
		{"unknown permissions", set(declared.TypeRemoteCommand, "psydge-redis-user", "stdin", secret{unknown}), "has no stdin that is known"},
		{"no user", removed(declared.TypeRemoteCommand, "psydge-redis-user"), "psydge: has no Redis user"},
		{"a user that something else makes", set(declared.TypeRemoteCommand, "psydge-redis-user", "create", "redis-cli"), "psydge: has no Redis user"},
	},
	"database-allocation": {
		{"another's database", env(backend, secret{databaseURL("DATABASE_URL", "snapify", "alorig_postgres:5432/snapify_db")}), "for snapify_db, a database of snapify"},
		{"nobody's database", env(backend, secret{databaseURL("DATABASE_URL", "psydge", "alorig_postgres:5432/other")}), "that the ledger does not know"},
		{"under another key", env(backend, secret{"REPLICA=postgresql+psycopg://snapify:pw@alorig_postgres/snapify_db"}), "REPLICA"},
		{"another role", env(backend, secret{"DATABASE_URL=postgres://postgres:pw@alorig_postgres:5432/psydge_db"}), "for another role"},
		{"the owner itself", env(backend, secret{"DATABASE_URL=postgres://psydge:pw@alorig_postgres:5432/psydge_db"}), "for another role than the login of its password"},
		{"the login of another password", env(backend, secret{strings.Replace(ownURL, "db%40pw", "pw", 1)}), "for another role than the login of its password"},
		{"no password", env(backend, secret{strings.Replace(ownURL, ":db%40pw", "", 1)}), "for another role than the login of its password"},
		{"another host", env(backend, secret{databaseURL("DATABASE_URL", "psydge", "elsewhere:5432/psydge_db")}), "points at another server"},
		{"host in the query", env(backend, secret{databaseURL("DATABASE_URL", "psydge", "alorig_postgres/psydge_db?host=elsewhere")}), "whose query sets host"},
		{"unreadable", env(backend, secret{"DATABASE_URL=postgres://psydge:p#w@alorig_postgres/psydge_db"}), "that cannot be read"},
		{"the app's other database", env("sitebuilder_backend", secret{databaseURL("DATABASE_URL", "sitebuilder_payload", "alorig_postgres/sitebuilder_payload_db")}), "for sitebuilder_payload_db; the ledger gives it sitebuilder_db"},
		{"the app's other database under another key", env("sitebuilder_backend", secret{databaseURL("CMS_URL", "sitebuilder_payload", "alorig_postgres/sitebuilder_payload_db")}), ""},
		{"missing", without(backend, "DATABASE_URL"), "has no URL of its database"},
		{"parts", env(backend, "PGDATABASE=snapify_db"), "has another value than its own"},
		{"user in parts", env(backend, "PGUSER=psydge"), "has another value than its own"},
		{"its own user in parts", env(backend, "PGUSER="+ledger.LoginRole("psydge", databasePassword)), ""},
		{"service", env(caddy, secret{"X=postgres://psydge:pw@alorig_postgres/psydge_db"}), "the ledger gives it no database"},
		{"unknown entry", func(s *stack) { s.container(backend).env("DATABASE_URL", secret{unknown}) }, "may hold a database URL"},
		{"database not in the ledger", resource(declared.TypeDatabase, "x", object{"name": "x_db"}), "x_db: is not in the ledger"},
		{"unknown database", set(declared.TypeDatabase, "psydge_db", "name", unknown), "no database name that is known"},
		{"another owner", set(declared.TypeDatabase, "psydge_db", "owner", "snapify"), "is owned by snapify"},
		{"unknown owner", set(declared.TypeDatabase, "psydge_db", "owner", unknown), "no owner that is known"},
		{"role not in the ledger", resource(declared.TypeRole, "x", object{"name": "x"}), "is a role that is not in the ledger"},
		{"unknown role", set(declared.TypeRole, "psydge", "name", unknown), "no role name that is known"},
		{"superuser", set(declared.TypeRole, "psydge", "superuser", true), "has superuser"},
		{"owner that logs in", set(declared.TypeRole, "psydge", "login", true), "psydge: logs in, or may"},
		{"owner that may log in", set(declared.TypeRole, "psydge", "login", unknown), "psydge: logs in, or may"},
		{"owner with a password", set(declared.TypeRole, "psydge", "password", secret{unknown}), "psydge: has a password"},
		{"owner within the app", set(declared.TypeRole, "sitebuilder_payload", "roles", list{"sitebuilder"}), "is a member of the role sitebuilder"},
		{"superuser that logs in", set(declared.TypeRole, "psydge-login", "superuser", true), "has superuser"},
		{"login that cannot", set(declared.TypeRole, "psydge-login", "login", nil), "has no login"},
		{"unknown login", set(declared.TypeRole, "psydge-login", "login", unknown), "has no login that is known"},
		{"login without a password", set(declared.TypeRole, "psydge-login", "password", secret{""}), "has no password"},
		{"login with an unknown password", set(declared.TypeRole, "psydge-login", "password", secret{unknown}), "has no password that is known"},
		{"login named after another password", set(declared.TypeRole, "psydge-login", "password", secret{"another"}), "is not named after its password"},
		{"login within nothing", set(declared.TypeRole, "psydge-login", "roles", nil), "is no member of the role psydge"},
		{"login within another", set(declared.TypeRole, "psydge-login", "roles", list{"psydge", "snapify"}), "is a member of the role snapify"},
		{"login within unknown roles", set(declared.TypeRole, "psydge-login", "roles", unknown), "roles is not known"},
		{"login that acts as itself", set(declared.TypeRole, "psydge-login", "assumeRole", nil), "does not act as the role psydge"},
		{"login that acts as another", set(declared.TypeRole, "psydge-login", "assumeRole", "snapify"), "is a member of the role snapify"},
		{"login that acts as somebody", set(declared.TypeRole, "psydge-login", "assumeRole", unknown), "assumeRole is not known"},
		{"unknown attribute", set(declared.TypeRole, "psydge", "createRole", unknown), "has createRole, or may"},
		{"member of another", set(declared.TypeRole, "psydge", "roles", list{"snapify"}), "is a member of the role snapify"},
		{"unknown membership", set(declared.TypeRole, "psydge", "roles", unknown), "roles is not known"},
		{"assumes another", set(declared.TypeRole, "psydge", "assumeRole", "snapify"), "is a member of the role snapify"},
		{"grant to another", resource(declared.TypeGrant, "g", object{"database": "psydge_db", "role": "snapify"}), "lets snapify into psydge_db"},
		{"grant within the app", resource(declared.TypeGrant, "g", object{"database": "sitebuilder_payload_db", "role": "sitebuilder"}), ""},
		{"grant elsewhere", resource(declared.TypeGrant, "g", object{"database": "postgres", "role": "psydge"}), "no such database"},
		{"grant further", resource(declared.TypeGrant, "g", object{"database": "psydge_db", "role": "psydge", "withGrantOption": true}), "grant it further"},
		{"unknown grant", resource(declared.TypeGrant, "g", object{"database": "psydge_db", "role": unknown}), "no role that is known"},
		{"revoke on postgres", resource(declared.TypeGrant, "g", object{"database": "postgres", "role": "public", "objectType": "database"}), ""},
		{"extension not listed", resource(declared.TypeExtension, "e", object{"database": "psydge_db", "name": "dblink"}), "installs dblink in psydge_db"},
		{"unknown extension", resource(declared.TypeExtension, "e", object{"database": "psydge_db", "name": unknown}), "that is known at preview"},
		{"another kind", resource("postgresql:index/function:Function", "f", object{}), "is a postgresql:index/function:Function"},
	},
	"database-isolation": {
		{"not revoked", removed(declared.TypeGrant, "revoke-psydge_db"), "psydge_db: lets every role"},
		{"another kind of object", set(declared.TypeGrant, "revoke-psydge_db", "objectType", "schema"), "psydge_db: lets every role"},
		{"grant to PUBLIC", set(declared.TypeGrant, "revoke-psydge_db", "privileges", list{"CONNECT"}), "gives PUBLIC privileges"},
		{"unknown privileges", set(declared.TypeGrant, "revoke-psydge_db", "privileges", unknown), "or may"},
		{"unknown database", set(declared.TypeDatabase, "psydge_db", "name", unknown), "database psydge_db: lets every role"},
	},
	"database-protection": {
		{"database", func(s *stack) { s.get(declared.TypeDatabase, "psydge_db").Protect = false }, "psydge_db: is not protected"},
		{"role", func(s *stack) { s.get(declared.TypeRole, "psydge").Protect = false }, "psydge: is not protected"},
		{"not retained", func(s *stack) { s.get(declared.TypeRole, "psydge").RetainOnDelete = new(false) }, "is not retained"},
		{"retained", func(s *stack) { s.get(declared.TypeRole, "psydge").RetainOnDelete = new(true) }, ""},
		{"login", func(s *stack) { s.get(declared.TypeRole, "psydge-login").RetainOnDelete = new(false) }, ""},
		{"protected login", func(s *stack) { s.get(declared.TypeRole, "psydge-login").Protect = true }, ": is protected"},
		{"retained login", func(s *stack) { s.get(declared.TypeRole, "psydge-login").RetainOnDelete = new(true) }, ": is retained on delete"},
		{"unknown name", func(s *stack) {
			set(declared.TypeDatabase, "psydge_db", "name", unknown)(s)
			s.get(declared.TypeDatabase, "psydge_db").Protect = false
		}, "psydge_db: is not protected"},
	},
	"connection-budget": {
		{"no limit", set(declared.TypeRole, "psydge-login", "connectionLimit", nil), "has no connectionLimit;"},
		{"unlimited", set(declared.TypeRole, "psydge-login", "connectionLimit", -1), "has the connection limit -1; the ledger gives it 19"},
		{"another limit", set(declared.TypeRole, "psydge-login", "connectionLimit", 20), "has the connection limit 20"},
		{"no room for a handover", set(declared.TypeRole, "psydge-login", "connectionLimit", 13), "has the connection limit 13"},
		{"above the server", set(declared.TypeRole, "psydge-login", "connectionLimit", 80), "connections come to 136, with those of a handover"},
		{"unknown", set(declared.TypeRole, "psydge-login", "connectionLimit", unknown), "no connectionLimit that is known"},
		{"role not in the ledger", resource(declared.TypeRole, "x", object{"name": "x", "login": true}), "every role that logs in has a limit above zero"},
		{"a role that may log in", resource(declared.TypeRole, "x", object{"name": "x", "login": unknown}), "every role that logs in has a limit above zero"},
		{"a role that does not", resource(declared.TypeRole, "x", object{"name": "x"}), ""},
		{"second login", resource(declared.TypeRole, "x", object{"name": "psydge_0000", "login": true, "connectionLimit": 1}), "psydge: has several logins: psydge_0000, psydge_"},
	},
	"dns-allocation": {
		{"not in the ledger", resource(declared.TypeRecord, "r", object{"name": "new.alorig.com"}), "gives to no app"},
		{"relative", set(declared.TypeRecord, "api.psydge.com", "name", "api"), "relative to its zone"},
		{"apex sign", set(declared.TypeRecord, "psydge.com", "name", "@"), "relative to its zone"},
		{"unknown name", set(declared.TypeRecord, "psydge.com", "name", unknown), "no name that is known"},
		{"another type", set(declared.TypeRecord, "psydge.com", "type", "CNAME"), "is a record of type CNAME"},
		{"unknown type", set(declared.TypeRecord, "psydge.com", "type", unknown), "no type that is known"},
		{"elsewhere", set(declared.TypeRecord, "psydge.com", "content", "198.51.100.9"), "points at 198.51.100.9; the server is"},
		{"no address", set(declared.TypeRecord, "psydge.com", "content", "example.com"), "points at example.com"},
		{"unknown address", set(declared.TypeRecord, "psydge.com", "content", unknown), "no content that is known"},
		{"deprecated value", func(s *stack) {
			r := s.get(declared.TypeRecord, "psydge.com")
			r.props["value"], r.props["content"] = r.props["content"], nil
		}, "has no content"},
		{"another zone", set(declared.TypeRecord, "psydge.com", "zoneId", "zone of alorig.com"), "lies in another zone than psydge.com"},
		{"unknown zone", set(declared.TypeRecord, "psydge.com", "zoneId", unknown), "no zoneId that is known"},
		{"not proxied", set(declared.TypeRecord, "psydge.com", "proxied", false), "has proxied false; the ledger says true"},
		{"proxied unknown", set(declared.TypeRecord, "psydge.com", "proxied", unknown), "proxied is not known"},
		{"twice", func(s *stack) {
			s.add(declared.TypeRecord, "again", nil, s.get(declared.TypeRecord, "psydge.com").props)
		}, "is declared twice"},
		{"server unknown", set(ledger.TypeServer, "server", "serverAddress", unknown), "no serverAddress that is known"},
		{"zones unknown", set(ledger.TypeServer, "server", "zones", unknown), "zones is not known"},
		{"no Server", removed(ledger.TypeServer, "server"), "Server: is not declared"},
	},
	"dns-certificate": {
		{"deep and proxied", set(declared.TypeRecord, "api.schools.alorig.com", "proxied", true), "more than one level below alorig.com"},
		{"deep wildcard", set(declared.TypeRecord, "*.sites.alorig.com", "proxied", true), "more than one level below alorig.com"},
		{"deep and not in the ledger", resource(declared.TypeRecord, "r", object{"name": "a.b.psydge.com", "proxied": true}), "more than one level below psydge.com"},
		{"TTL", set(declared.TypeRecord, "psydge.com", "ttl", 300), "is proxied with the TTL 300"},
		{"TTL left out", set(declared.TypeRecord, "psydge.com", "ttl", nil), ""},
		{"TTL unknown", set(declared.TypeRecord, "psydge.com", "ttl", unknown), "ttl is not known"},
		{"proxied unknown", set(declared.TypeRecord, "psydge.com", "proxied", unknown), "proxied is not known"},
		{"no record", removed(declared.TypeRecord, "api.psydge.com"), "api.psydge.com: no record answers for it"},
		{"under a wildcard", func(s *stack) {
			removed(declared.TypeRecord, "api.psydge.com")(s)
			resource(declared.TypeRecord, "w", object{"name": "*.psydge.com"})(s)
		}, ""},
		{"cut off", func(s *stack) {
			removed(declared.TypeRecord, "api.schools.alorig.com")(s)
			resource(declared.TypeRecord, "w", object{"name": "*.alorig.com"})(s)
		}, "api.schools.alorig.com: the record of schools.alorig.com cuts it off from its wildcard *.alorig.com"},
	},
	"route-allocation": {
		{"another upstream", func(s *stack) {
			r := s.get(ledger.TypeRoute, "psydge-route")
			r.props["site"] = strings.Replace(r.props["site"].(string), "psydge_backend:8012", "snapify_backend:8014", 1)
		}, "snapify_backend:8014"},
		{"another text reaches the server", func(s *stack) {
			c := s.get(declared.TypeRemoteCommand, "psydge-site")
			c.props["stdin"] = strings.Replace(c.props["stdin"].(string), "psydge_backend:8012", "snapify_backend:8014", 1)
		}, "command psydge-site: has "},
		{"more text reaches the server", func(s *stack) {
			c := s.get(declared.TypeRemoteCommand, "psydge-site")
			c.props["stdin"] = c.props["stdin"].(string) + "\nevil.com {\n}"
		}, "command psydge-site: has a stdin that cannot be read"},
		{"unknown text", set(ledger.TypeRoute, "psydge-route", "site", unknown), "has no site that is known"},
		{"unknown stdin", set(declared.TypeRemoteCommand, "psydge-site", "stdin", unknown), "has no stdin that is known"},
		{"another app", set(ledger.TypeRoute, "psydge-route", "app", "seventh"), "is a route of seventh"},
		{"unknown app", set(ledger.TypeRoute, "psydge-route", "app", unknown), "has no app that is known"},
		{"unknown options", set(ledger.TypeRoute, "psydge-route", "tls", unknown), "tls is not known"},
		{"no issuer", set(ledger.TypeRoute, "psydge-route", "tls", "none"), "cannot be rendered"},
		{"bad range", set(ledger.TypeRoute, "snapify-route", "adminCidrs", list{"everybody"}), "has no address range in adminCidrs[0]"},
		{"no Route", removed(ledger.TypeRoute, "psydge-route"), "psydge: has no Route"},
		{"no command for the Route", removed(declared.TypeRemoteCommand, "psydge-site"), "psydge: has a site file that no command puts in place"},
		{"two Routes", func(s *stack) {
			s.add(ledger.TypeRoute, "second", nil, s.get(ledger.TypeRoute, "psydge-route").props)
		}, "second Route of psydge"},
		{"past the Route", resource(declared.TypeRemoteCommand, "sneak", object{"stdin": "evil.com {\n reverse_proxy psydge_backend:8012\n}", "connection": connection()}), "configures a reverse proxy in stdin"},
		{"another command", resource(declared.TypeRemoteCommand, "other", object{"create": "docker ps", "connection": connection()}), ""},
	},
	"container-hardening": {
		{"privileged", container(backend, "privileged", true), "is privileged"},
		{"privileged unknown", container(backend, "privileged", unknown), "is privileged, or may be"},
		{"host PID", container(backend, "pidMode", "host"), "has pidMode host"},
		{"another's IPC", container(backend, "ipcMode", "container:x"), "has ipcMode container:x"},
		{"private IPC", container(backend, "ipcMode", "private"), ""},
		{"user namespace", container(backend, "usernsMode", "host"), "has usernsMode host"},
		{"cgroup namespace", container(backend, "cgroupnsMode", "host"), "has cgroupnsMode host"},
		{"cgroup", container(backend, "cgroupParent", "/"), "has cgroupParent /"},
		{"namespace unknown", container(backend, "pidMode", unknown), "pidMode is not known"},
		{"new privileges", container(backend, "securityOpts", list{}), "lacks no-new-privileges"},
		{"new privileges on", container(backend, "securityOpts", list{"no-new-privileges:false"}), "lacks no-new-privileges"},
		{"no seccomp", container(backend, "securityOpts", list{"no-new-privileges=true", "seccomp=unconfined"}), "has the security option seccomp=unconfined"},
		{"options unknown", container(backend, "securityOpts", unknown), "securityOpts is not known"},
		{"keeps capabilities", container(backend, "capabilities", nil), "keeps capabilities"},
		{"adds", container(backend, "capabilities", object{"drops": list{"ALL"}, "adds": list{"NET_BIND_SERVICE"}}), "adds the capability NET_BIND_SERVICE"},
		{"service adds too much", container(caddy, "capabilities", object{"adds": list{"SYS_ADMIN"}}), "adds the capability SYS_ADMIN"},
		{"service adds what it needs", container(redis, "capabilities", object{"adds": list{"CAP_SETUID"}}), ""},
		{"adds unknown", container(backend, "capabilities", object{"drops": list{"ALL"}, "adds": unknown}), "capabilities.adds is not known"},
		{"socket", container(backend, "volumes", list{object{"hostPath": "/var/run/../run/docker.sock"}}), "which holds /var/run/docker.sock"},
		{"socket by mount", container(backend, "mounts", list{object{"source": "/run/docker.sock", "type": "bind"}}), "which holds /run/docker.sock"},
		{"directory of the socket", container(backend, "volumes", list{object{"hostPath": "/var/run/"}}), "mounts /var/run/"},
		{"the whole server", container("portainer", "volumes", list{object{"hostPath": "/"}}), "mounts /, which"},
		{"directory beside it", container(backend, "volumes", list{object{"hostPath": "/srv/static"}, object{"volumeName": "data"}}), ""},
		{"source unknown", container(backend, "volumes", list{object{"hostPath": unknown}}), "volumes[0].hostPath is not known"},
		{"from Portainer", container(backend, "volumes", list{object{"fromContainer": "portainer"}}), "takes over the mounts"},
		{"data of a service", container(backend, "volumes", list{object{"volumeName": "alorig_postgres_data"}}), "mounts the data of alorig_postgres by volumes[0].volumeName"},
		{"data of a service by mount", container(backend, "mounts", list{object{"source": "alorig_redis_data", "type": "volume"}}), "mounts the data of alorig_redis by mounts[0].source"},
		{"data of its own", container(redis, "volumes", list{object{"volumeName": "alorig_redis_data"}}), ""},
		{"volume unknown", container(backend, "volumes", list{object{"volumeName": unknown}}), "volumes[0].volumeName is not known"},
		{"devices", container(backend, "devices", list{object{"hostPath": "/dev/kmsg"}}), "is given devices"},
	},
	"container-lifecycle": {
		{"no restart", container(backend, "restart", nil), "has no restart policy"},
		{"on failure", container(backend, "restart", "on-failure"), "has the restart policy on-failure"},
		{"unknown restart", container(backend, "restart", unknown), "no restart policy that is known"},
		{"on demand", func(s *stack) {
			s.addService(nil, ledger.Service{Container: "flower", Kind: ledger.Flower})
			s.container("flower").props["restart"] = "no"
		}, ""},
		{"no health check", container(backend, "healthcheck", nil), "has no health check"},
		{"health check off", container(backend, "healthcheck", object{"tests": list{"NONE"}}), "has no health check"},
		{"unknown health check", container(backend, "healthcheck", unknown), "no health check that is known"},
		{"no grace", container(backend, "destroyGraceSeconds", nil), "has no destroyGraceSeconds"},
		{"no time", container(backend, "stopTimeout", 0), "has stopTimeout 0"},
		{"no rotation", container(backend, "logOpts", object{"max-size": "10m"}), "has no logOpts max-file"},
		{"another driver", container(backend, "logDriver", "syslog"), "has the log driver syslog"},
		{"mustRun left out", container(backend, "mustRun", nil), "has mustRun on"},
		{"mustRun", container(backend, "mustRun", true), "has mustRun on"},
	},
	"image-pinned": {
		{"latest", container(backend, "image", "psydge-backend:latest"), "whose tag is latest"},
		{"no tag", container(backend, "image", "registry:5000/psydge-backend"), "whose tag is latest"},
		{"tag", container(backend, "image", "psydge-backend:1.2"), "which has no digest"},
		{"local image", container(backend, "image", digest[1:]), ""},
		{"unknown", container(backend, "image", unknown), ""},
		{"remote image", resource(declared.TypeRemoteImage, "r", object{"name": "redis:7"}), "image r: runs redis:7"},
	},
	"secret-handling": {
		{"key", env(backend, "STRIPE_API_KEY=sk_live"), "holds a credential in envs[9] (STRIPE_API_KEY)"},
		{"password in a URL", env(backend, "SEARCH=https://user:pw@search.example.com"), "(SEARCH) that is not marked secret"},
		{"password in a broken URL", env(backend, "SEARCH=https://user:p%w@search.example.com"), "(SEARCH) that is not marked secret"},
		{"prefix", env(backend, "CELERY_BROKER_KEY_PREFIX=psydge:"), ""},
		{"publishable", env(backend, "STRIPE_PUBLISHABLE_KEY=pk_live"), ""},
		{"file", env(backend, "DB_PASSWORD_FILE=/run/secrets/db"), ""},
		{"empty", env(backend, "API_TOKEN="), ""},
		{"whole environment secret", func(s *stack) {
			s.container(backend).env("TOKEN", "TOKEN=x")
			s.container(backend).props["envs"] = secret{s.container(backend).props["envs"]}
		}, ""},
		{"unknown entry", func(s *stack) { s.container(backend).env("X", unknown) }, "is not known at preview and is not marked secret"},
		{"unknown secret", func(s *stack) { s.container(backend).env("X", secret{unknown}) }, ""},
		{"command line", container(backend, "command", list{"app", secret{"hunter2"}}), "carries a secret in command"},
		{"URL on the command line", container(backend, "command", list{"app", "redis://:hunter2@alorig_redis/2"}), "carries a credential in command"},
		{"label", container(backend, "labels", list{object{"label": ledger.LabelApp, "value": "psydge"}, object{"label": "x", "value": secret{"hunter2"}}}), "carries a secret in labels"},
		{"health check", container(backend, "healthcheck", object{"tests": list{"CMD-SHELL", "REDIS_PASSWORD=hunter2 redis-cli ping"}}), "carries a credential in healthcheck.tests"},
		{"health check reading the environment", container(redis, "healthcheck", object{"tests": list{"CMD-SHELL", `REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli ping`}}), ""},
		{"upload", container(caddy, "uploads", list{object{"content": "password: hunter2"}}), "uploads[0].content"},
		{"role", set(declared.TypeRole, "psydge-login", "password", "hunter2"), "has the credential password"},
		{"unknown role password", set(declared.TypeRole, "psydge-login", "password", unknown), "has the credential password"},
		{"provider", set("pulumi:providers:cloudflare", "cloudflare", "apiToken", "hunter2"), "has the credential apiToken"},
		{"registry", set("pulumi:providers:docker", "docker", "registryAuth", list{object{"password": "hunter2"}}), "registryAuth[0].password"},
		{"registry as JSON", set("pulumi:providers:docker", "docker", "registryAuth", `[{"password":"hunter2"}]`), "has the credential registryAuth"},
		{"registry as secret JSON", set("pulumi:providers:docker", "docker", "registryAuth", secret{`[{"password":"hunter2"}]`}), ""},
		{"secret command", set(declared.TypeRemoteCommand, "psydge-site", "create", secret{"echo hunter2"}), "carries a secret in create"},
		{"password in a command", set(declared.TypeRemoteCommand, "psydge-site", "update", "PGPASSWORD=hunter2 psql"), "carries a credential in update"},
		{"variable in a command", set(declared.TypeRemoteCommand, "psydge-site", "update", `PGPASSWORD="$1" psql; read -r password`), ""},
		{"unknown command", set(declared.TypeRemoteCommand, "psydge-site", "create", unknown), ""},
		{"command's environment", set(declared.TypeRemoteCommand, "psydge-site", "environment", object{"API_TOKEN": "hunter2"}), "environment.API_TOKEN"},
		{"unknown in a command's environment", set(declared.TypeRemoteCommand, "psydge-site", "environment", object{"X": unknown}), "environment.X is not known"},
		{"unknown environment", set(declared.TypeRemoteCommand, "psydge-site", "environment", unknown), "environment is not known"},
		{"trigger", set(declared.TypeRemoteCommand, "psydge-site", "triggers", list{"redis://:hunter2@x/2"}), "in triggers"},
		{"stdin", set(declared.TypeRemoteCommand, "psydge-redis-user", "stdin", "ACL SETUSER psydge on >hunter2 +@all"), "holds a credential in stdin"},
		{"hash in stdin", set(declared.TypeRemoteCommand, "psydge-redis-user", "stdin", "ACL SETUSER psydge reset on #4e1f +@all"), "holds a credential in stdin"},
		{"logging", set(declared.TypeRemoteCommand, "psydge-redis-user", "logging", "stdoutAndStderr"), "may log"},
		{"logging left out", set(declared.TypeRemoteCommand, "psydge-redis-user", "logging", nil), "may log"},
		{"no connection", set(declared.TypeRemoteCommand, "psydge-site", "connection", nil), "has no connection"},
		{"any host key", set(declared.TypeRemoteCommand, "psydge-site", "connection", object{"host": "x"}), "has no connection.hostKey"},
		{"any key of the proxy", set(declared.TypeRemoteCommand, "psydge-site", "connection", object{"hostKey": "k", "proxy": object{"host": "x"}}), "has no connection.proxy.hostKey"},
		{"private key", set(declared.TypeRemoteCommand, "psydge-site", "connection", object{"hostKey": "k", "privateKey": "hunter2"}), "has the credential connection.privateKey"},
		{"secret connection", set(declared.TypeRemoteCommand, "psydge-site", "connection", secret{object{"hostKey": "k", "privateKey": "hunter2"}}), ""},
		{"local command", resource(declared.TypeLocalCommand, "l", object{"create": "docker ps"}), ""},
	},
}

func TestRules(t *testing.T) {
	t.Parallel()
	f := NewFleet(ledger.Alorig())
	for name, list := range cases {
		rule := ruleNamed(t, name)
		for _, c := range list {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				s := compliant(t, ledger.Alorig())
				c.change(s)
				var said []string
				for _, finding := range Judge(f, s.resources()) {
					if finding.Rule == rule.Name {
						said = append(said, finding.String())
						if finding.Problem == "" || finding.Ledger == "" || finding.Remedy == "" || strings.HasPrefix(finding.Subject, " ") || finding.Subject == "" {
							t.Errorf("the finding is incomplete: %+v", finding)
						}
					}
				}
				all := strings.Join(said, "\n")
				if c.finding == "" && all != "" {
					t.Errorf("the rule should allow it, and says:\n%s", all)
				}
				if !strings.Contains(all, c.finding) {
					t.Errorf("no finding says %q, but:\n%s", c.finding, all)
				}
				if strings.Contains(all, "hunter2") {
					t.Errorf("a finding shows a credential:\n%s", all)
				}
			})
		}
	}
}
