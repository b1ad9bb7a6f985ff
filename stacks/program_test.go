package stacks

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/delivery"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/internal/workload"
)

// seedApp is what the seed gives an app (§3 to §9).
type seedApp struct {
	name       string
	roles      []string
	databases  []string
	extensions int
	hosts      []string
	images     int
}

// seedApps are in deployment order.
var seedApps = []seedApp{
	{"psydge", []string{"backend", "channels", "celery_worker", "celery_beat"}, []string{"psydge_db"}, 0, []string{"psydge.com", "api.psydge.com", "ws.psydge.com"}, 1},
	{"snapify", []string{"backend", "celery_worker", "celery_beat"}, []string{"snapify_db"}, 1, []string{"snapify.pk", "api.snapify.pk", "app.snapify.pk", "admin.snapify.pk"}, 1},
	{"sitebuilder", []string{"backend", "payload", "celery_worker", "celery_beat"}, []string{"sitebuilder_db", "sitebuilder_payload_db"}, 0, []string{"alorig.com", "api.alorig.com", "cms.alorig.com", "*.sites.alorig.com"}, 2},
	{"observer", []string{"backend", "celery_worker", "celery_beat"}, []string{"observer_db"}, 0, []string{"observeros.app", "api.observeros.app"}, 1},
	{"astrotiming", []string{"backend", "celery_worker", "celery_beat"}, []string{"astrotiming_db"}, 0, []string{"astrotiming.com", "api.astrotiming.com"}, 1},
	{"asms", []string{"backend", "celery_worker", "celery_beat"}, []string{"asms_db"}, 0, []string{"schools.alorig.com", "api.schools.alorig.com"}, 1},
}

// serving are the roles that answer requests, in the order in which they are handed over.
func (a seedApp) serving() (roles []string) {
	for _, role := range a.roles {
		if role == "backend" || role == "channels" || role == "payload" {
			roles = append(roles, role)
		}
	}
	return roles
}

// onTheServer is what a stack declares whatever its rollout, with existing services.
var onTheServer = map[string]int{
	"pulumi:providers:docker": 1, "pulumi:providers:postgresql": 1, "pulumi:providers:cloudflare": 1,
	ledger.TypeServer: 1, ledger.TypePlatform: 1, ledger.TypeServerProgram: 1, "command:remote:CopyToRemote": 1,
	declared.TypeRemoteCommand: 3, // two around the copy of the server's program, and the check of the platform
}

// countTypes counts resources by type.
func countTypes(rs []declared.Resource) map[string]int {
	counts := map[string]int{}
	for _, r := range rs {
		counts[r.Type]++
	}
	return counts
}

// byApp groups resources by the app they stand under; "" for those under none.
func byApp(rs []declared.Resource) map[string][]declared.Resource {
	known := map[string]declared.Resource{}
	for _, r := range rs {
		known[r.URN] = r
	}
	grouped := map[string][]declared.Resource{}
	for _, r := range rs {
		owner := r
		for owner.Type != ledger.TypeApp && owner.URN != "" {
			owner = known[owner.Parent]
		}
		grouped[owner.Name] = append(grouped[owner.Name], r)
	}
	return grouped
}

func TestInventory(t *testing.T) {
	t.Parallel()
	rs := record(t, Alorig(), production(t))
	grouped := byApp(rs)

	if got := countTypes(grouped[""]); !maps.Equal(got, onTheServer) {
		t.Errorf("outside the apps: %v, want %v", got, onTheServer)
	}
	total := maps.Clone(onTheServer)
	for _, a := range seedApps {
		want := map[string]int{
			ledger.TypeApp: 1, ledger.TypeRedisUser: 1, ledger.TypeDomain: 1, ledger.TypeRoute: 1, ledger.TypeGate: 1,
			ledger.TypeWorkload: len(a.roles), declared.TypeContainer: len(a.roles), declared.TypeRemoteImage: a.images,
			ledger.TypeDatabase: len(a.databases), declared.TypeDatabase: len(a.databases), declared.TypeRole: 2 * len(a.databases), declared.TypeGrant: len(a.databases),
			ledger.TypeMigration: 1,
			// Two of the Redis user, the site file, the gate and the migration; two steps of each
			// handover, a try of each next version but the first, and the wait for each of the rest.
			declared.TypeRecord: len(a.hosts), declared.TypeRemoteCommand: 5 + 2*len(a.serving()) + len(a.serving()) - 1 + len(a.roles) - len(a.serving()),
		}
		if a.extensions > 0 {
			want[declared.TypeExtension] = a.extensions
		}
		if got := countTypes(grouped[a.name]); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", a.name, got, want)
		}
		for typ, n := range want {
			total[typ] += n
		}
	}
	if got := countTypes(rs); !maps.Equal(got, total) {
		t.Errorf("in all: %v, want %v", got, total)
	}
	// The seed's own totals: 20 containers (§3), 7 databases with Payload's, 17 hosts.
	for typ, want := range map[string]int{declared.TypeContainer: 20, declared.TypeDatabase: 7, declared.TypeRecord: 17, ledger.TypeApp: 6} {
		if total[typ] != want {
			t.Errorf("%d of %s, want %d", total[typ], typ, want)
		}
	}
}

func TestNamesAreTheSeeds(t *testing.T) {
	t.Parallel()
	rs := record(t, Alorig(), production(t))
	want := map[string][]string{}
	for _, a := range seedApps {
		for _, role := range a.roles {
			want[declared.TypeContainer] = append(want[declared.TypeContainer], a.name+"_"+role)
		}
		want[declared.TypeDatabase] = append(want[declared.TypeDatabase], a.databases...)
		want[declared.TypeRecord] = append(want[declared.TypeRecord], a.hosts...)
	}
	for typ, names := range want {
		got := slices.Sorted(maps.Keys(named(rs, typ)))
		slices.Sort(names)
		if !slices.Equal(got, names) {
			t.Errorf("%s: %v, want %v", typ, got, names)
		}
	}
	owners := []string{"asms", "astrotiming", "observer", "psydge", "sitebuilder", "sitebuilder_payload", "snapify"}
	var roles []string
	for _, owner := range owners {
		roles = append(roles, owner, ledger.LoginRole(owner, "offline-preview-placeholder"))
	}
	slices.Sort(roles)
	if got := slices.Sorted(maps.Keys(named(rs, declared.TypeRole))); !slices.Equal(got, roles) {
		t.Errorf("database roles %v, want %v", got, roles)
	}
}

// A new password is a new login beside the one before, which an update drops at its end. The
// owner and what it owns stay the same resources.
func TestANewPasswordIsANewLogin(t *testing.T) {
	t.Parallel()
	withPassword := func(password string) (roles map[string]map[string]any, urns []string) {
		secrets := map[string]map[string]string{}
		if err := json.Unmarshal([]byte(inUse().values["secrets"]), &secrets); err != nil {
			t.Fatal(err)
		}
		secrets["snapify"]["DATABASE_PASSWORD"] = password
		rs, err := Alorig().dryRun("prod", settingsOf(t, Alorig(), inUse().with("secrets", asJSON(secrets)).config()))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range judge(rs) {
			t.Errorf("[%s] %s", f.Rule, f)
		}
		for _, r := range rs {
			urns = append(urns, r.URN)
			if login := r.Type == declared.TypeRole && r.Props.Get("login").IsBool(); login && (r.Protect || r.RetainOnDelete != nil && *r.RetainOnDelete) {
				t.Errorf("%s is kept for ever", r.Name)
			}
		}
		return named(rs, declared.TypeRole), urns
	}
	_, before := withPassword("one")
	roles, after := withPassword("two")
	want := map[string]any{
		"name": ledger.LoginRole("snapify", "two"), "login": true, "password": "two", "connectionLimit": 12.0,
		"roles": []any{"snapify"}, "assumeRole": "snapify",
	}
	if got := roles[ledger.LoginRole("snapify", "two")]; !reflect.DeepEqual(got, want) {
		t.Errorf("the login is %v, want %v", got, want)
	}
	if got := roles["snapify"]; !reflect.DeepEqual(got, map[string]any{"name": "snapify"}) {
		t.Errorf("the owner is %v", got)
	}
	var gone, made []string
	for _, urn := range before {
		if !slices.Contains(after, urn) {
			gone = append(gone, urn)
		}
	}
	for _, urn := range after {
		if !slices.Contains(before, urn) {
			made = append(made, urn)
		}
	}
	if len(gone) != 1 || len(made) != 1 || !strings.Contains(made[0], "Role::snapify-login-snapify-") {
		t.Errorf("a new password takes away %v and adds %v", gone, made)
	}
}

// named returns the resources of a type by the name they have on the server, read as
// plain values.
func named(rs []declared.Resource, typ string) map[string]map[string]any {
	found := map[string]map[string]any{}
	for _, r := range rs {
		if r.Type == typ {
			props := plainOf(property.New(r.Props)).(map[string]any)
			found[props["name"].(string)] = props
		}
	}
	return found
}

func plainOf(v property.Value) any {
	switch {
	case v.IsString():
		return v.AsString()
	case v.IsNumber():
		return v.AsNumber()
	case v.IsBool():
		return v.AsBool()
	case v.IsArray():
		plain := []any{}
		for _, e := range v.AsArray().All {
			plain = append(plain, plainOf(e))
		}
		return plain
	case v.IsMap():
		plain := map[string]any{}
		for k, e := range v.AsMap().All {
			plain[k] = plainOf(e)
		}
		return plain
	case v.IsNull():
		return nil
	default:
		return v // unknown
	}
}

func TestEveryResourceHasItsParent(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]settings.Config{"existing": production(t), "managed": newServer(t)} {
		rs := record(t, Alorig(), config)
		registered := map[string]bool{}
		for _, r := range rs {
			registered[r.URN] = true
		}
		for _, r := range rs {
			root := strings.HasPrefix(r.Type, "pulumi:providers:") || r.Type == ledger.TypeServer
			if registered[r.Parent] == root {
				t.Errorf("%s: %s stands under %q", name, r.URN, r.Parent)
			}
		}
	}
}

func TestRecordingsAreEqual(t *testing.T) {
	t.Parallel()
	config := newServer(t)
	first := record(t, Alorig(), config)
	for range 4 {
		again := record(t, Alorig(), config)
		if len(again) != len(first) {
			t.Fatalf("%d resources, then %d", len(first), len(again))
		}
		for i, r := range again {
			was := first[i]
			if !r.Props.Equals(was.Props) {
				t.Errorf("%s has other inputs in another run", r.URN)
			}
			r.Props, was.Props = property.Map{}, property.Map{}
			if !reflect.DeepEqual(r, was) {
				t.Errorf("%+v, then %+v", was, r)
			}
		}
	}
}

func TestRolloutDecidesWhatIsDeclared(t *testing.T) {
	t.Parallel()
	if got := countTypes(record(t, Alorig(), production(t).With("rollout", "none"))); !maps.Equal(got, onTheServer) {
		t.Errorf("no app yet: %v, want %v", got, onTheServer)
	}
	for i, last := range seedApps {
		t.Run(last.name, func(t *testing.T) {
			t.Parallel()
			var want []string
			for _, a := range seedApps[:i+1] {
				want = append(want, a.name)
			}
			rs := record(t, Alorig(), production(t).With("rollout", last.name))
			grouped := byApp(rs)
			delete(grouped, "")
			slices.Sort(want)
			if got := slices.Sorted(maps.Keys(grouped)); !slices.Equal(got, want) {
				t.Errorf("declares %v, want %v", got, want)
			}
			for _, f := range judge(rs) {
				t.Errorf("[%s] %s", f.Rule, f)
			}
		})
	}
}

func TestManagedPlatform(t *testing.T) {
	t.Parallel()
	rs := record(t, Alorig(), newServer(t))
	want := maps.Clone(onTheServer)
	want[declared.TypeRemoteCommand]++ // Caddy's main file and the wait for the services, and no check
	want["docker:index/network:Network"] = 1
	want[declared.TypeContainer] = 4 // Flower runs on demand and is never declared
	want[declared.TypeRemoteImage] = 4
	want["docker:index/volume:Volume"] = 4
	want[declared.TypeGrant] = 2 // PUBLIC leaves postgres and template1
	if got := countTypes(byApp(rs)[""]); !maps.Equal(got, want) {
		t.Errorf("the platform is %v, want %v", got, want)
	}
	containers := named(rs, declared.TypeContainer)
	for name, ports := range map[string][]any{
		"alorig_postgres": nil, "alorig_redis": nil, "portainer": nil,
		"alorig_caddy": {map[string]any{"internal": 80.0, "external": 80.0}, map[string]any{"internal": 443.0, "external": 443.0}},
	} {
		c, declared := containers[name]
		if !declared {
			t.Errorf("%s is not declared", name)
			continue
		}
		if got, _ := c["ports"].([]any); !reflect.DeepEqual(got, ports) && len(got)+len(ports) > 0 {
			t.Errorf("%s publishes %v, want %v", name, got, ports)
		}
	}
	for name, volume := range named(rs, "docker:index/volume:Volume") {
		if !strings.HasSuffix(name, "_data") {
			t.Errorf("volume %s: %v", name, volume)
		}
	}
	for _, r := range rs {
		if r.Type == "docker:index/volume:Volume" && (!r.Protect || r.RetainOnDelete == nil || !*r.RetainOnDelete) {
			t.Errorf("%s holds data and is not protected", r.Name)
		}
	}
}

// Values that were chosen, container by container: what the seed fixes (the port) and
// what we decided (memory, grace).
func TestContainers(t *testing.T) {
	t.Parallel()
	containers := named(record(t, Alorig(), production(t)), declared.TypeContainer)
	for _, want := range []struct {
		name          string
		image         string
		steady, limit float64
		grace         float64
		command       string // its beginning
		probe         string // arguments of the health check
	}{
		{"psydge_backend", "psydge-backend", 550, 700, 35, "gunicorn config.wsgi:application --bind 0.0.0.0:8012 --workers 3 --threads 2 ", "8012 api.psydge.com /health"},
		{"psydge_channels", "psydge-backend", 350, 450, 30, "daphne --bind 0.0.0.0 --port 8013 ", "8013 ws.psydge.com /health"},
		{"psydge_celery_worker", "psydge-backend", 700, 900, 320, "celery --app config worker --loglevel INFO --hostname psydge@psydge_celery_worker --concurrency 4 ", "psydge@psydge_celery_worker 300"},
		{"psydge_celery_beat", "psydge-backend", 150, 200, 10, "celery --app config beat ", "300"},
		{"snapify_backend", "snapify-backend", 300, 400, 35, "gunicorn config.wsgi:application --bind 0.0.0.0:8014 --workers 2 ", "8014 snapify.pk /health"},
		{"snapify_celery_worker", "snapify-backend", 280, 350, 320, "celery --app config worker --loglevel INFO --hostname snapify@snapify_celery_worker --concurrency 3 ", "snapify@snapify_celery_worker 300"},
		{"snapify_celery_beat", "snapify-backend", 120, 150, 10, "celery --app config beat ", "300"},
		{"sitebuilder_backend", "sitebuilder-backend", 350, 450, 35, "gunicorn config.wsgi:application --bind 0.0.0.0:8016 --workers 2 ", "8016 api.alorig.com /health"},
		{"sitebuilder_payload", "sitebuilder-payload", 450, 600, 30, "node server.js", "8017 cms.alorig.com /health"},
		{"sitebuilder_celery_worker", "sitebuilder-backend", 320, 400, 320, "celery --app config worker --loglevel INFO --hostname sitebuilder@sitebuilder_celery_worker --concurrency 3 ", "sitebuilder@sitebuilder_celery_worker 300"},
		{"sitebuilder_celery_beat", "sitebuilder-backend", 130, 150, 10, "celery --app config beat ", "300"},
		{"observer_backend", "observer-backend", 300, 400, 35, "gunicorn config.wsgi:application --bind 0.0.0.0:8018 --workers 2 ", "8018 api.observeros.app /health"},
		{"observer_celery_worker", "observer-backend", 280, 350, 140, "celery --app config worker --loglevel INFO --hostname observer@observer_celery_worker --concurrency 2 ", "observer@observer_celery_worker 120"},
		{"observer_celery_beat", "observer-backend", 120, 150, 10, "celery --app config beat ", "300"},
		{"astrotiming_backend", "astrotiming-backend", 170, 220, 35, "gunicorn config.wsgi:application --bind 0.0.0.0:8020 --workers 1 ", "8020 api.astrotiming.com /health"},
		{"astrotiming_celery_worker", "astrotiming-backend", 130, 170, 140, "celery --app config worker --loglevel INFO --hostname astrotiming@astrotiming_celery_worker --concurrency 1 ", "astrotiming@astrotiming_celery_worker 120"},
		{"astrotiming_celery_beat", "astrotiming-backend", 100, 130, 10, "celery --app config beat ", "300"},
		{"asms_backend", "asms-backend", 270, 350, 35, "gunicorn config.wsgi:application --bind 0.0.0.0:8022 --workers 2 ", "8022 api.schools.alorig.com /health"},
		{"asms_celery_worker", "asms-backend", 220, 280, 140, "celery --app config worker --loglevel INFO --hostname asms@asms_celery_worker --concurrency 2 ", "asms@asms_celery_worker 120"},
		{"asms_celery_beat", "asms-backend", 110, 150, 10, "celery --app config beat ", "300"},
	} {
		t.Run(want.name, func(t *testing.T) {
			t.Parallel()
			c := containers[want.name]
			app, role, _ := strings.Cut(want.name, "_")
			for key, value := range map[string]any{
				"memoryReservation": want.steady, "memory": want.limit, "memorySwap": want.limit,
				"destroyGraceSeconds": want.grace, "stopTimeout": want.grace,
				"restart": "unless-stopped", "mustRun": false, "wait": false, "init": true, "networkMode": "bridge",
				"networksAdvanced": []any{map[string]any{"name": "alorig_net"}},
				"securityOpts":     []any{"no-new-privileges:true"},
				"capabilities":     map[string]any{"adds": []any{}, "drops": []any{"ALL"}},
				"logDriver":        "json-file", "logOpts": map[string]any{"max-size": "10m", "max-file": "3"},
				"labels": []any{
					map[string]any{"label": "alorig.fleet.app", "value": app},
					map[string]any{"label": "alorig.fleet.stack", "value": "prod"},
					map[string]any{"label": "com.docker.compose.project", "value": app},
					map[string]any{"label": "com.docker.compose.service", "value": role},
				},
			} {
				if !reflect.DeepEqual(c[key], value) {
					t.Errorf("%s is %v, want %v", key, c[key], value)
				}
			}
			for _, key := range []string{"ports", "volumes", "privileged", "user", "entrypoints"} {
				if v, set := c[key]; set && fmt.Sprint(v) != "[]" {
					t.Errorf("%s is %v; an app's container has none", key, v)
				}
			}
			if image := c["image"].(string); !strings.HasPrefix(image, "registry.example.com/alorig/"+want.image+"@sha256:") {
				t.Errorf("runs %s", image)
			}
			if got := words(c["command"]) + " "; !strings.HasPrefix(got, want.command) {
				t.Errorf("command %q, want it to begin with %q", got, want.command)
			}
			if preloads := strings.Contains(words(c["command"]), " --preload "); preloads != (role == "backend") {
				t.Errorf("loads before it listens: %v", preloads) // Daphne and Node.js always do
			}
			health := c["healthcheck"].(map[string]any)
			if got := words(health["tests"]); !strings.HasPrefix(got, "CMD ") || !strings.HasSuffix(got, " "+want.probe) {
				t.Errorf("health check %q, want it to end with %q", got, want.probe)
			}
			interval := "10s"
			switch role {
			case "celery_worker", "celery_beat":
				interval = "30s"
			}
			if health["interval"] != interval {
				t.Errorf("looked at every %v, want %s", health["interval"], interval)
			}
			if health["retries"] != 3.0 || health["startPeriod"] != "1m30s" {
				t.Errorf("health check %v", health)
			}
		})
	}
}

func words(v any) string {
	var all []string
	for _, e := range v.([]any) {
		all = append(all, e.(string))
	}
	return strings.Join(all, " ")
}

// docs/contract.md promises these variables to every container.
func TestEnvironmentContract(t *testing.T) {
	t.Parallel()
	l := ledger.Alorig()
	read := settingsOf(t, Alorig(), inUse().config())
	rs, err := Alorig().dryRun("prod", read)
	if err != nil {
		t.Fatal(err)
	}
	hosts := map[string][2]string{ // allowed hosts, trusted origins
		"psydge":      {"psydge.com,api.psydge.com,ws.psydge.com", "https://psydge.com,https://api.psydge.com,https://ws.psydge.com"},
		"snapify":     {"snapify.pk,api.snapify.pk,app.snapify.pk,admin.snapify.pk", "https://snapify.pk,https://api.snapify.pk,https://app.snapify.pk,https://admin.snapify.pk"},
		"sitebuilder": {"alorig.com,api.alorig.com,cms.alorig.com,.sites.alorig.com", "https://alorig.com,https://api.alorig.com,https://cms.alorig.com,https://*.sites.alorig.com"},
		"observer":    {"observeros.app,api.observeros.app", "https://observeros.app,https://api.observeros.app"},
		"astrotiming": {"astrotiming.com,api.astrotiming.com", "https://astrotiming.com,https://api.astrotiming.com"},
		"asms":        {"schools.alorig.com,api.schools.alorig.com", "https://schools.alorig.com,https://api.schools.alorig.com"},
	}
	for _, r := range rs {
		if r.Type != declared.TypeContainer {
			continue
		}
		name, _ := declared.Read[string](r.Props, "name")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := ledger.NewIndex(l)
			c, ok := x.ContainerNamed(name)
			if !ok {
				t.Fatal("not in the ledger")
			}
			specs := Defined()[c.App.Name]
			spec := specs[slices.IndexFunc(specs, func(s workload.Spec) bool { return s.Role == c.Role })]
			env, secret := map[string]string{}, map[string]bool{}
			envs, _ := declared.Read[property.Array](r.Props, "envs")
			var order []string
			for _, e := range envs.All {
				key, value, _ := strings.Cut(e.AsString(), "=")
				env[key], secret[key] = value, e.Secret()
				order = append(order, key)
			}
			if !slices.IsSorted(order) || len(env) != len(order) {
				t.Errorf("not sorted, or a variable twice: %v", order)
			}

			want := map[string]string{
				"ALORIG_APP": c.App.Name, "REDIS_KEY_PREFIX": c.App.KeyPrefix,
				"CELERY_BROKER_KEY_PREFIX": c.App.KeyPrefix, "CELERY_RESULT_KEY_PREFIX": c.App.KeyPrefix,
				"DJANGO_CACHE_KEY_PREFIX": c.App.KeyPrefix, "CHANNELS_REDIS_PREFIX": c.App.KeyPrefix,
			}
			if c.Port != 0 {
				want["PORT"] = strconv.Itoa(c.Port)
			}
			if c.Role == ledger.Payload {
				maps.Copy(want, map[string]string{
					"HOSTNAME": "0.0.0.0", "NODE_ENV": "production", "NODE_OPTIONS": "--max-old-space-size=400",
					"DATABASE_POOL_MAX": "3", "PAYLOAD_PUBLIC_SERVER_URL": "https://cms.alorig.com",
				})
			} else {
				want["CELERY_VISIBILITY_TIMEOUT"] = "14400"
				want["DJANGO_ALLOWED_HOSTS"], want["DJANGO_CSRF_TRUSTED_ORIGINS"] = hosts[c.App.Name][0], hosts[c.App.Name][1]
				if c.App.Name == "sitebuilder" { // the only app below a path
					want["FORCE_SCRIPT_NAME"] = "/builder"
				}
			}
			if c.Role == ledger.Channels {
				want["ASGI_THREADS"] = "2"
			}
			for key, value := range want {
				if env[key] != value || secret[key] {
					t.Errorf("%s=%q, secret %v; want %q in the open", key, env[key], secret[key], value)
				}
			}

			wantSecret := append([]string{"DATABASE_URL", "REDIS_URL"}, spec.Secrets...)
			for _, key := range wantSecret {
				if !secret[key] || env[key] == "" {
					t.Errorf("%s is not there as a secret", key)
				}
			}
			for _, key := range spec.Secrets {
				if env[key] != "c4n4ry-"+c.App.Name+"-"+key {
					t.Errorf("%s is %q", key, env[key])
				}
			}
			if len(env) != len(want)+len(wantSecret) {
				t.Errorf("variables %v, want %v and %v", order, slices.Sorted(maps.Keys(want)), wantSecret)
			}

			d, _ := c.App.Database(c.Database)
			passwordKey := workload.DatabasePasswordKey(c.App, d)
			password := "c4n4ry-" + c.App.Name + "-" + passwordKey
			sameURL(t, env["DATABASE_URL"], "postgres", ledger.LoginRole(d.Role, password), password, "alorig_postgres:5432", "/"+c.Database)
			sameURL(t, env["REDIS_URL"], "redis", c.App.Name, "c4n4ry-"+c.App.Name+"-REDIS_PASSWORD", "alorig_redis:6379", "/"+strconv.Itoa(c.App.RedisDB))
		})
	}
}

func sameURL(t *testing.T, text, scheme, user, password, host, path string) {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Error("not a URL")
		return
	}
	if got, _ := u.User.Password(); u.Scheme != scheme || u.User.Username() != user || got != password || u.Host != host || u.Path != path {
		t.Errorf("%s, want %s://%s:%s@%s%s", text, scheme, user, password, host, path)
	}
}

// A password may hold anything; what it is made into must be read back the same.
func TestPasswordsSurviveTheirURL(t *testing.T) {
	t.Parallel()
	const awkward = `p@ss:w/rd?#[x] %20+"'$\`
	secrets := map[string]map[string]string{}
	if err := json.Unmarshal([]byte(inUse().values["secrets"]), &secrets); err != nil {
		t.Fatal(err)
	}
	secrets["psydge"]["DATABASE_PASSWORD"], secrets["psydge"]["REDIS_PASSWORD"] = awkward, awkward
	read := settingsOf(t, Alorig(), inUse().with("secrets", asJSON(secrets)).config())
	rs, err := Alorig().dryRun("prod", read)
	if err != nil {
		t.Fatal(err)
	}
	env := words(named(rs, declared.TypeContainer)["psydge_backend"]["envs"])
	for _, key := range []string{"DATABASE_URL", "REDIS_URL"} {
		_, after, _ := strings.Cut(env, key+"=")
		text, _, _ := strings.Cut(after, " ")
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := u.User.Password(); got != awkward {
			t.Errorf("%s carries the password %q, want %q", key, got, awkward)
		}
	}
	for _, f := range judge(rs) {
		t.Errorf("[%s] %s", f.Rule, f)
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	zones := settingsOf(t, Alorig(), production(t)).Zones
	records := named(record(t, Alorig(), production(t)), declared.TypeRecord)
	// The free certificate covers one level; what lies deeper is served by Caddy's own.
	dnsOnly := []string{"*.sites.alorig.com", "api.schools.alorig.com"}
	for _, a := range seedApps {
		for _, host := range a.hosts {
			labels := strings.Split(host, ".")
			want := map[string]any{
				"name": host, "type": "A", "content": "203.0.113.10", "comment": "alorig fleet: " + a.name,
				"zoneId": zones[strings.Join(labels[len(labels)-2:], ".")], "proxied": true, "ttl": 1.0,
			}
			if slices.Contains(dnsOnly, host) {
				want["proxied"], want["ttl"] = false, 300.0
			}
			if !reflect.DeepEqual(records[host], want) {
				t.Errorf("%s: %v, want %v", host, records[host], want)
			}
		}
	}
}

// registrations stands in for the Pulumi engine: it notes what is registered and on what each
// resource waits.
type registrations struct {
	mu    sync.Mutex
	waits map[string][]string // type::name to those of what it waits for

	replaceOn map[string][]string // type::name to the properties whose change replaces it
}

func (e *registrations) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if args.RegisterRPC != nil {
		var waits []string
		for _, urn := range args.RegisterRPC.GetDependencies() {
			u := resource.URN(urn)
			waits = append(waits, string(u.Type())+"::"+u.Name())
		}
		e.waits[args.TypeToken+"::"+args.Name] = waits
		e.replaceOn[args.TypeToken+"::"+args.Name] = args.RegisterRPC.GetReplaceOnChanges()
	}
	return args.Name + "-id", args.Inputs, nil
}

func (e *registrations) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return args.Args, nil
}

// update runs a program as an update, or as a preview, of the configuration.
func update(program pulumi.RunFunc, c stored, preview bool) (*registrations, error) {
	e := &registrations{waits: map[string][]string{}, replaceOn: map[string][]string{}}
	err := pulumi.RunErr(program, pulumi.WithMocks(settings.Project, "prod", e), func(info *pulumi.RunInfo) {
		info.DryRun = preview
		info.Config, info.ConfigSecretKeys = map[string]string{}, nil
		for key, value := range c.values {
			info.Config[settings.Project+":"+key] = value
			if c.secret[key] {
				info.ConfigSecretKeys = append(info.ConfigSecretKeys, settings.Project+":"+key)
			}
		}
	})
	return e, err
}

// before reports everything that must be done before the resource is begun.
func (e *registrations) before(name string) map[string]bool {
	seen := map[string]bool{}
	var visit func(string)
	visit = func(n string) {
		for _, w := range e.waits[n] {
			if !seen[w] {
				seen[w] = true
				visit(w)
			}
		}
	}
	visit(name)
	return seen
}

// withoutServer is the program where no server answers.
func withoutServer(ctx *pulumi.Context) error {
	return Alorig().update(ctx, func(*pulumi.Context, settings.Settings, delivery.Program) error { return nil })
}

// One app at a time (§2): an app's containers start when every container of the app
// before it is healthy and its routes are served, and not earlier than their stores.
func TestRolloutWaitsForEachApp(t *testing.T) {
	t.Parallel()
	e, err := update(withoutServer, inUse(), false)
	if err != nil {
		t.Fatal(err)
	}
	command := func(name string) string { return declared.TypeRemoteCommand + "::" + name }
	var earlier []string // every container of the apps before
	previous := ""
	for _, a := range seedApps {
		var own []string
		for _, role := range a.roles {
			own = append(own, declared.TypeContainer+"::"+ledger.Logical(a.name, role))
		}
		for _, c := range own {
			first := e.before(c)
			needed := append([]string{command("platform-check"), command(a.name + "-redis-user")}, earlier...)
			for _, db := range a.databases {
				needed = append(needed, declared.TypeGrant+"::"+ledger.Logical(a.name, "revoke-public", db))
			}
			if a.extensions > 0 {
				needed = append(needed, declared.TypeExtension+"::snapify-extension-pg-trgm")
			}
			if previous != "" {
				needed = append(needed, command(previous+"-healthy"), command(previous+"-site"))
				if !slices.Contains(e.waits[c], command(previous+"-healthy")) {
					t.Errorf("%s does not wait for the gate of %s itself", c, previous)
				}
			}
			for _, n := range needed {
				if _, declared := e.waits[n]; !declared {
					t.Fatalf("nothing is called %s", n)
				}
				if !first[n] {
					t.Errorf("%s does not wait for %s", c, n)
				}
			}
			pulled := slices.ContainsFunc(e.waits[c], func(w string) bool { return strings.HasPrefix(w, declared.TypeRemoteImage+"::"+a.name) })
			if !pulled {
				t.Errorf("%s does not wait for its image", c)
			}
			// A serving container waits for those that are handed over before it. Nothing else
			// of an app waits for a container of it.
			var within []string
			for _, role := range a.serving() {
				within = append(within, declared.TypeContainer+"::"+ledger.Logical(a.name, role))
			}
			within = within[:max(0, slices.Index(within, c))]
			for _, other := range own {
				if first[other] != slices.Contains(within, other) {
					t.Errorf("%s waits for %s of its own app: %v", c, other, first[other])
				}
			}
		}
		for _, last := range []string{command(a.name + "-site"), command(a.name + "-healthy")} {
			for _, c := range own {
				if !e.before(last)[c] {
					t.Errorf("%s does not wait for %s", last, c)
				}
			}
		}
		// Nobody is sent to a host before it is served.
		for _, host := range a.hosts {
			record := declared.TypeRecord + "::" + ledger.Logical(a.name, "dns", host)
			if _, declared := e.waits[record]; !declared || !e.before(record)[command(a.name+"-site")] {
				t.Errorf("%s does not wait for the site file", record)
			}
		}
		earlier = append(earlier, own...)
		previous = a.name
	}
	// Nothing of a later app may hold an earlier one.
	if e.before(declared.TypeContainer + "::psydge-backend")[command("snapify-redis-user")] {
		t.Error("Psydge waits for Snapify")
	}
}

// An update of an app migrates its database, tries what serves, hands it over one after
// the other, and replaces the workers as soon as a next version serves.
func TestTheOrderOfAnUpdate(t *testing.T) {
	t.Parallel()
	e, err := update(withoutServer, inUse(), false)
	if err != nil {
		t.Fatal(err)
	}
	command := func(name string) string { return declared.TypeRemoteCommand + "::" + name }
	known := func(name string) string {
		if _, found := e.waits[name]; !found {
			t.Fatalf("nothing is called %s", name)
		}
		return name
	}
	after := func(late, early string) {
		t.Helper()
		if !e.before(known(late))[known(early)] {
			t.Errorf("%s does not wait for %s", late, early)
		}
	}
	// While one of these runs, a container more than the app's own stands on the server.
	type spell struct{ from, to string }
	var spells []spell
	for _, a := range seedApps {
		container := func(role string) string { return declared.TypeContainer + "::" + ledger.Logical(a.name, role) }
		step := func(role, what string) string { return command(ledger.Logical(a.name, role, what)) }
		migrate := command(a.name + "-migrate")
		spells = append(spells, spell{migrate, migrate})
		for _, store := range []string{command(a.name + "-redis-user"), command("platform-check"), declared.TypeGrant + "::" + ledger.Logical(a.name, "revoke-public", a.databases[0])} {
			after(migrate, store)
		}
		for _, db := range a.databases {
			owner := strings.TrimSuffix(db, "_db")
			login := ledger.LoginRole(owner, "c4n4ry-"+a.name+"-"+workload.DatabasePasswordKey(ledger.App{Name: a.name}, ledger.Database{Role: owner}))
			role := declared.TypeRole + "::" + ledger.Logical(a.name, "login", login)
			after(migrate, role)
			after(role, declared.TypeGrant+"::"+ledger.Logical(a.name, "revoke-public", db))
		}
		if pulled := declared.TypeRemoteImage + "::" + ledger.Logical(a.name, "image", a.name+"-backend"); !slices.Contains(e.waits[migrate], known(pulled)) {
			t.Errorf("%s does not wait for its image", migrate)
		}
		for _, role := range a.roles {
			after(container(role), migrate)
		}

		serving := a.serving()
		for i, role := range serving {
			take, end := step(role, "take"), step(role, "end")
			after(take, migrate)
			after(container(role), take)
			after(end, container(role))
			spells = append(spells, spell{take, end})
			for _, last := range []string{command(a.name + "-site"), command(a.name + "-healthy")} {
				after(last, end)
			}
			try := step(role, "try")
			if i == 0 {
				if _, found := e.waits[try]; found {
					t.Errorf("%s is tried twice: its take tries it too", role)
				}
				continue
			}
			spells = append(spells, spell{try, try})
			after(try, migrate)
			after(step(serving[0], "take"), try)
			after(take, step(serving[i-1], "end"))
		}
		for _, role := range a.roles {
			if slices.Contains(serving, role) {
				continue
			}
			after(container(role), step(serving[0], "take"))
			for _, other := range serving {
				if e.before(container(role))[step(other, "end")] {
					t.Errorf("%s waits until %s is replaced", role, other)
				}
			}
		}
	}
	if len(spells) != 6+8+2 {
		t.Errorf("%d migrations, handovers and tries, want 16", len(spells))
	}
	for i, one := range spells {
		for _, other := range spells[i+1:] {
			if !e.before(other.from)[one.to] && !e.before(one.from)[other.to] {
				t.Errorf("the server must have memory for %s and %s at once", one.from, other.from)
			}
		}
	}
}

// What stands beside a container gets the same variables, on standard input.
func TestTransientContainersGetTheirVariablesInSecret(t *testing.T) {
	t.Parallel()
	read := settingsOf(t, Alorig(), inUse().config())
	rs, err := Alorig().dryRun("prod", read)
	if err != nil {
		t.Fatal(err)
	}
	containers := map[string]declared.Resource{} // by logical name
	for _, r := range rs {
		if r.Type == declared.TypeContainer {
			containers[r.Name] = r
		}
	}
	found := 0
	for _, r := range rs {
		if r.Type != declared.TypeRemoteCommand {
			continue
		}
		of := r.Name[:strings.LastIndex(r.Name, "-")]
		switch strings.TrimPrefix(r.Name, of+"-") {
		case "migrate":
			of += "-backend"
		case "try", "take", "end":
		default:
			continue
		}
		found++
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			c, ok := containers[of]
			if !ok {
				t.Fatalf("no container %s is declared", of)
			}
			stdin := r.Props.Get("stdin")
			if !stdin.Secret() {
				t.Error("its standard input is not secret")
			}
			if logging, _ := declared.Read[string](r.Props, "logging"); logging != "none" {
				t.Errorf("its output is logged: %q", logging)
			}
			create, _ := declared.Read[string](r.Props, "create")
			if r.Props.Get("create").HasSecrets() || strings.Contains(create, "c4n4ry") {
				t.Error("a secret stands on the command line")
			}
			if !r.Props.Get("update").Equals(r.Props.Get("create")) || !r.Props.Get("delete").IsNull() {
				t.Error("it does not do the same whenever it runs, or does something when it is removed")
			}
			var read struct {
				Container document.Container `json:"container"`
			}
			if err := json.Unmarshal([]byte(stdin.AsString()), &read); err != nil {
				t.Fatal(err)
			}
			var entries []string
			for _, name := range slices.Sorted(maps.Keys(read.Container.Environment)) {
				entries = append(entries, name+"="+read.Container.Environment[name])
			}
			var want []string
			envs, _ := declared.Read[property.Array](c.Props, "envs")
			for _, entry := range envs.All {
				want = append(want, entry.AsString())
			}
			if !slices.Equal(entries, want) {
				t.Errorf("%d variables, the container has %d", len(entries), len(want))
			}
			image, _ := declared.Read[string](c.Props, "image")
			memory, _ := declared.Read[float64](c.Props, "memory")
			if read.Container.Image != image || read.Container.Memory != int(memory) {
				t.Errorf("it creates %s with %d MiB, the container is %s with %v", read.Container.Image, read.Container.Memory, image, memory)
			}
		})
	}
	if found != 6+8*2+2 {
		t.Errorf("%d documents hold containers, want 24", found)
	}
}

// Everything about a container of an app is tried in its next version, so nothing is changed
// in place. The data of a shared service must outlive a change.
func TestWhatReplacesAContainer(t *testing.T) {
	t.Parallel()
	e, err := update(withoutServer, inUse(), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range seedApps {
		for _, role := range a.roles {
			name := declared.TypeContainer + "::" + ledger.Logical(a.name, role)
			if got := e.replaceOn[name]; !slices.Equal(got, []string{"*"}) {
				t.Errorf("%s is replaced by a change of %v, want any", name, got)
			}
		}
	}
}

func TestProgramRegistersWhatTheDryRunRecorded(t *testing.T) {
	t.Parallel()
	for _, preview := range []bool{true, false} {
		e, err := update(withoutServer, inUse(), preview)
		if err != nil {
			t.Fatal(err)
		}
		dryRun := record(t, Alorig(), inUse().config()) // logins are named after passwords
		if len(e.waits) != len(dryRun) {
			t.Errorf("preview %v: %d resources, the dry run has %d", preview, len(e.waits), len(dryRun))
		}
		for _, r := range dryRun {
			if _, registered := e.waits[r.Type+"::"+r.Name]; !registered {
				t.Errorf("preview %v: %s is not registered", preview, r.URN)
			}
		}
	}
}

// documented is a stack file of documentation values as a whole, with all its secrets set.
func documented(t *testing.T) stored {
	t.Helper()
	s := settingsOf(t, Alorig(), production(t))
	return inUse().with("serverAddress", s.Address).with("ssh", asJSON(map[string]string{"user": s.SSH.User, "hostKey": s.SSH.HostKey})).
		with("zones", asJSON(s.Zones)).with("images", asJSON(s.Images)).with("adminCidrs", asJSON(s.AdminCIDRs))
}

func TestDocumentationValuesReachNoServer(t *testing.T) {
	t.Parallel()
	e, err := update(withoutServer, documented(t), false)
	if err == nil {
		t.Fatal("the documentation values were accepted by an update")
	}
	if len(e.waits) != 0 {
		t.Errorf("%d resources were registered all the same", len(e.waits))
	}
	for _, want := range []string{
		"15 settings must be set",
		`alorig:serverAddress is still the documentation value "203.0.113.10"`,
		"alorig:ssh.hostKey is still the documentation value",
		`alorig:zones["alorig.com"]`, `alorig:zones["astrotiming.com"]`, `alorig:zones["observeros.app"]`, `alorig:zones["psydge.com"]`, `alorig:zones["snapify.pk"]`,
		`alorig:images["asms-backend"]`, `alorig:images["astrotiming-backend"]`, `alorig:images["observer-backend"]`, `alorig:images["psydge-backend"]`,
		`alorig:images["sitebuilder-backend"]`, `alorig:images["sitebuilder-payload"]`, `alorig:images["snapify-backend"]`,
		"alorig:adminCidrs[0] is still the documentation value",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the refusal does not say %q: %v", want, err)
		}
	}

	// They preview: that is what they are for.
	if e, err := update(withoutServer, documented(t), true); err != nil || len(e.waits) == 0 {
		t.Errorf("a preview of the documentation values: %d resources, %v", len(e.waits), err)
	}
}

func TestNothingIsRegisteredBeforeSettingsAreComplete(t *testing.T) {
	t.Parallel()
	for _, preview := range []bool{true, false} {
		e, err := update(withoutServer, stored{}, preview)
		if err == nil || !strings.Contains(err.Error(), "settings must be set or corrected") {
			t.Errorf("preview %v: %v", preview, err)
		}
		if len(e.waits) != 0 {
			t.Errorf("preview %v: %d resources were registered", preview, len(e.waits))
		}
	}
}

// A bare `pulumi up` runs without the policy pack; the program refuses by itself what a
// mandatory rule refuses, before the first registration.
func TestTheGuardRefusesBeforeAnythingIsRegistered(t *testing.T) {
	t.Parallel()
	spec := func(f Fleet, app string, change func(s *workload.Spec)) Fleet {
		f.Workloads = maps.Clone(f.Workloads)
		f.Workloads[app] = slices.Clone(f.Workloads[app])
		change(&f.Workloads[app][0])
		return f
	}
	for _, tt := range []struct {
		name string
		of   func(f Fleet) Fleet
		says []string
	}{
		{"a credential in the open", func(f Fleet) Fleet {
			return spec(f, "asms", func(s *workload.Spec) {
				s.Environment = map[string]string{"SENDGRID_API_KEY": "c4n4ry-open"}
			})
		}, []string{"1 finding refuses this update; nothing was changed", "- [secret-handling] asms_backend", "SENDGRID_API_KEY", "docs/policies.md"}},
		{"a Redis database of another", func(f Fleet) Fleet { f.Ledger.Apps[0].RedisDB = 0; return f }, []string{"- [redis-allocation] psydge", "which igny8 has"}},
		{"a port of another", func(f Fleet) Fleet {
			f.Ledger.Apps[5].Containers[0].Port = 8012
			return f
		}, []string{"- [port-allocation] asms_backend", "psydge_backend"}},
		{"a fleet above the trigger", func(f Fleet) Fleet {
			f.Ledger.Reserved[1].Memory = ledger.Memory{Steady: 4000, Limit: 4000}
			return f
		}, []string{"- [fleet-memory-budget]", "13 GB", "- [host-memory-ceiling]"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			broken := tt.of(Alorig())
			e, err := update(broken.program, inUse(), false)
			if err == nil {
				t.Fatal("not refused")
			}
			if len(e.waits) != 0 {
				t.Errorf("%d resources were registered", len(e.waits))
			}
			for _, want := range tt.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("does not say %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "c4n4ry") {
				t.Errorf("shows a secret: %v", err)
			}
			// A preview shows the whole plan; there the pack speaks.
			if e, err := update(broken.program, inUse(), true); err != nil || len(e.waits) == 0 {
				t.Errorf("preview: %d resources, %v", len(e.waits), err)
			}
		})
	}

	// Advice refuses nothing.
	byTag := strings.ReplaceAll(inUse().values["images"], "@sha256:"+strings.Repeat("ab", 32), ":latest")
	if _, err := update(withoutServer, inUse().with("images", byTag), false); err != nil {
		t.Errorf("an advisory rule refused: %v", err)
	}
}

func TestOfflinePreviewOnlyPreviews(t *testing.T) {
	t.Parallel()
	noSecrets := documented(t).without(append([]string{"secrets"}, secretKeys...)...)
	offline := Alorig().OfflinePreview(settingsOf(t, Alorig(), production(t)))
	e, err := update(offline, inUse(), false)
	if err == nil || !strings.Contains(err.Error(), "pulumi up") || len(e.waits) != 0 {
		t.Errorf("an update with placeholders: %d resources, %v", len(e.waits), err)
	}
	e, err = update(offline, noSecrets, true)
	if err != nil || len(e.waits) == 0 {
		t.Errorf("a preview without secrets: %d resources, %v", len(e.waits), err)
	}
	if _, err := update(withoutServer, noSecrets, true); err == nil {
		t.Error("the real program accepts missing secrets")
	}
}

func TestDeclareNamesTheFileThatIsMissing(t *testing.T) {
	t.Parallel()
	f := Alorig()
	read := settingsOf(t, f, production(t))
	f.Workloads = maps.Clone(f.Workloads)
	delete(f.Workloads, "observer")
	if _, err := f.dryRun("prod", read); err == nil || !strings.Contains(err.Error(), "stacks/observer.go") {
		t.Errorf("an app without workloads: %v", err)
	}
	read.Rollout = "shop"
	if _, err := Alorig().dryRun("prod", read); err == nil || !strings.Contains(err.Error(), `"shop" is no app of the ledger`) {
		t.Errorf("a rollout to no app: %v", err)
	}
}

// A secret of the configuration is marked secret wherever it goes, and nothing that is
// printed shows it.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	keyLine := strings.Split(keys().Private, "\n")[2]
	canaries := []string{"c4n4ry", keyLine, hex.EncodeToString([]byte("c4n4ry"))}
	for name, c := range map[string]stored{
		"existing": inUse(),
		"managed": inUse().with("platform", "managed").with("images", asJSON(newImages(t))).
			with("registry", `{"address":"ghcr.io","username":"alorig"}`),
		"local": inUse().with("engine", "local"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read := settingsOf(t, Alorig(), c.withSecret("registryPassword", "c4n4ry-registry").config())
			rs, err := Alorig().dryRun("prod", read)
			if err != nil {
				t.Fatal(err)
			}
			kept := 0
			for _, r := range rs {
				kept += leaks(t, r.URN, property.New(r.Props), canaries)
			}
			if kept < 100 {
				t.Errorf("only %d properties hold a planted secret", kept)
			}
			for _, f := range judge(rs) {
				t.Errorf("[%s] %s", f.Rule, f)
			}

			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T", "%5.2f"} {
				for _, printed := range []string{
					fmt.Sprintf(verb, read), fmt.Sprintf(verb, read.SSH), fmt.Sprintf(verb, read.Registry),
					fmt.Sprintf(verb, read.Postgres), fmt.Sprintf(verb, read.Secrets), fmt.Sprintf(verb, &read.RedisPassword),
				} {
					for _, canary := range canaries {
						if strings.Contains(printed, canary) {
							t.Errorf("%s shows a secret", verb)
						}
					}
				}
			}
			encoded, err := json.Marshal(read)
			if err != nil {
				t.Fatal(err)
			}
			if text := string(encoded); strings.Contains(text, "c4n4ry") || !strings.Contains(text, settings.Stars) {
				t.Error("JSON shows a secret, or no settings.Stars")
			}
			if read.RedisPassword.String() != settings.Stars {
				t.Error("String shows a secret")
			}
		})
	}
}

// leaks reports every text below v that holds a canary and is not marked secret, and
// returns how many are.
func leaks(t *testing.T, path string, v property.Value, canaries []string) (kept int) {
	t.Helper()
	if v.Secret() {
		text := fmt.Sprint(plainOf(v))
		if slices.ContainsFunc(canaries, func(c string) bool { return strings.Contains(text, c) }) {
			return 1
		}
		return 0
	}
	switch {
	case v.IsString():
		for _, c := range canaries {
			if strings.Contains(v.AsString(), c) {
				t.Errorf("%s holds a secret in the open", path)
			}
		}
	case v.IsArray():
		for i, e := range v.AsArray().All {
			kept += leaks(t, fmt.Sprintf("%s[%d]", path, i), e, canaries)
		}
	case v.IsMap():
		for k, e := range v.AsMap().All {
			kept += leaks(t, path+"."+k, e, canaries)
		}
	}
	return kept
}

// Whatever a key holds, settings that are accepted can be declared.
func FuzzSettings(f *testing.F) {
	complete := inUse()
	for key, value := range complete.values {
		f.Add(key, value)
	}
	for key, value := range map[string]string{
		"rollout": "none", "adminCidrs": `["::1/128"]`, "registry": "{}", "zones": `{"":""}`, "postgres": `{"host":"::1"}`,
		"engine": "local", "tls": "internal", "images": `{"psydge-backend":"a:b"}`, "acmeEmail": "a@b", "subnet": "10.0.0.0/26",
	} {
		f.Add(key, value)
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		s, err := Alorig().Settings(complete.with(key, value).config(), "")
		if err != nil {
			return
		}
		_ = s.RefuseDocumentationValues()
		if _, err := Alorig().dryRun("prod", s); err != nil {
			t.Errorf("accepted settings cannot be declared: %v", err)
		}
	})
}

// What stands in one of the two places alone is named, in either direction.
func TestLedgerAndWorkloadsNameTheSameApps(t *testing.T) {
	t.Parallel()
	f := Alorig()
	f.Workloads["asm"] = f.Workloads["asms"]
	delete(f.Workloads, "asms")
	_, _, err := checked(t, f, production(t))
	for _, want := range []string{
		`the ledger has the app "asms", and no stacks/asms.go defines what runs in it`,
		`stacks defines what runs in "asm", which is no app of the ledger; accepted: psydge, `,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
}
