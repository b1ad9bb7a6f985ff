package rules

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

func TestCompliantStackHasNoFindings(t *testing.T) {
	t.Parallel()
	l := ledger.Alorig()
	for _, f := range Judge(NewFleet(l), compliant(t, l).resources()) {
		t.Errorf("[%s] %s", f.Rule, f)
	}
}

func TestEveryStageOfTheRolloutIsCompliant(t *testing.T) {
	t.Parallel()
	l := ledger.Alorig()
	for _, last := range append([]string{""}, l.AppNames()...) {
		stage, _ := l.Through(last)
		s := compliant(t, stage)
		plain, err := l.Plain()
		if err != nil {
			t.Fatal(err)
		}
		s.get(ledger.TypeServer, "server").props["ledger"] = plain
		for _, f := range Judge(NewFleet(l), s.resources()) {
			t.Errorf("after %q: [%s] %s", last, f.Rule, f)
		}
	}
}

func TestEveryRuleIsComplete(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, rule := range All() {
		if seen[rule.Name] {
			t.Errorf("%s appears twice", rule.Name)
		}
		seen[rule.Name] = true
		if rule.Level != Mandatory && rule.Level != Advisory {
			t.Errorf("%s has the level %q", rule.Name, rule.Level)
		}
		for field, text := range map[string]string{
			"Refuses": rule.Refuses, "Why": rule.Why, "Seed": rule.Seed, "Unknown": rule.Unknown, "Remedy": rule.Remedy,
		} {
			if text == "" {
				t.Errorf("%s has no %s", rule.Name, field)
			}
		}
		if rule.Resource == nil && rule.Stack == nil {
			t.Errorf("%s judges nothing", rule.Name)
		}
		refused, unknowns := 0, 0
		for _, c := range cases[rule.Name] {
			if c.finding != "" {
				refused++
			}
			if strings.Contains(strings.ToLower(c.name), "unknown") || strings.Contains(c.name, "not known") {
				unknowns++
			}
		}
		if refused == 0 || unknowns == 0 {
			t.Errorf("%s has %d refused cases and %d with an unknown", rule.Name, refused, unknowns)
		}
	}
	for name := range cases {
		if !seen[name] {
			t.Errorf("cases name the rule %s, which does not exist", name)
		}
	}
}

// Whatever the ledger's own check finds must have a rule that reports it.
func TestEarlyGate(t *testing.T) {
	t.Parallel()
	l := ledger.Alorig()
	l.Apps[1].RedisDB = 2
	l.Apps[1].Containers[0].Port = 8012
	l.Apps[1].Budget = 100
	l.Server.Memory, l.Server.UpgradeTrigger, l.Server.Connections = 100, 100, 1
	l.Apps[2].Hosts[3].Proxied = true
	l.Apps[3].Databases[0].Role = "psydge"
	findings := l.Check()
	s := compliant(t, ledger.Alorig())
	plain, err := l.Plain()
	if err != nil {
		t.Fatal(err)
	}
	host := s.get(ledger.TypeServer, "server")
	host.props["ledger"] = plain
	judged := JudgeResource(NewFleet(ledger.Alorig()), host.resource())
	for _, want := range findings {
		if !slices.ContainsFunc(judged, func(got ledger.Finding) bool {
			return got.Rule == want.Rule && got.Subject == want.Subject && got.Problem == want.Problem && got.URN == host.URN
		}) {
			t.Errorf("the pack does not report [%s] %s", want.Rule, want)
		}
	}
	if len(findings) < 8 {
		t.Errorf("the test breaks only %d things", len(findings))
	}
}

func TestIrrelevantResources(t *testing.T) {
	t.Parallel()
	f := NewFleet(ledger.Alorig())
	for _, typ := range []string{"", "random:index/randomPassword:RandomPassword", "pulumi:pulumi:Stack", "docker:index/volume:Volume"} {
		r := declared.Resource{URN: "urn", Type: typ, Name: "x", Props: value(object{
			"name": "x", "password": "hunter2", "memory": unknown, "envs": list{"TOKEN=x"}, "privileged": true,
		}).AsMap()}
		for _, finding := range JudgeResource(f, r) {
			t.Errorf("%q: %s", typ, finding)
		}
	}
}

func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	f := NewFleet(ledger.Alorig())
	s := brokenEverywhere(t)
	rs := s.resources()
	want := Judge(f, rs)
	if len(want) < 40 {
		t.Fatalf("the broken stack has only %d findings", len(want))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		random.Shuffle(len(rs), func(i, j int) { rs[i], rs[j] = rs[j], rs[i] })
		if got := Judge(f, rs); !reflect.DeepEqual(got, want) {
			t.Fatal("the findings depend on the order of the resources")
		}
	}
}

// brokenEverywhere is a stack with every violation of the cases that can stand beside
// the others.
func brokenEverywhere(t testing.TB) *stack {
	s := compliant(t, ledger.Alorig())
	for _, name := range keys(cases) {
		for _, c := range cases[name] {
			if c.finding == "" || strings.Contains(c.name, "Server") || strings.Contains(c.name, "miss") || strings.Contains(c.name, "no R") || strings.HasPrefix(c.name, "services") {
				continue
			}
			func() {
				defer func() { _ = recover() }() // an earlier violation took the property away
				c.change(s)
			}()
		}
	}
	return s
}

const canary = "c4n4ry-3f9d"

// plant marks every text of a value secret and puts the canary into it.
func plant(v any) any {
	switch v := v.(type) {
	case string:
		return secret{canary + v}
	case secret:
		return plant(v.of)
	case list:
		planted := make(list, len(v))
		for i, e := range v {
			planted[i] = plant(e)
		}
		return planted
	case object:
		planted := object{}
		for k, e := range v {
			planted[k] = plant(e)
		}
		return planted
	}
	return v
}

func TestNoFindingShowsASecret(t *testing.T) {
	t.Parallel()
	f := NewFleet(ledger.Alorig())
	check := func(t *testing.T, rs []declared.Resource) {
		t.Helper()
		for _, finding := range Judge(f, rs) {
			if text := finding.String(); strings.Contains(text, canary) {
				t.Errorf("[%s] %s", finding.Rule, text)
			}
		}
	}
	t.Run("every text is a secret", func(t *testing.T) {
		t.Parallel()
		s := compliant(t, ledger.Alorig())
		for _, d := range s.all {
			if d.Type != ledger.TypeServer {
				d.props = plant(d.props).(object)
			}
		}
		check(t, s.resources())
	})
	t.Run("entries", func(t *testing.T) {
		t.Parallel()
		for _, entry := range []string{
			canary, canary + "=", canary + "==", "=" + canary, "PORT=" + canary, "TOKEN=" + canary,
			"DATABASE_URL=postgres://" + canary + ":" + canary + "@" + canary + "/" + canary + "?host=" + canary,
			"DATABASE_URL=postgres://psydge:" + canary + "#@alorig_postgres/psydge_db",
			"REDIS_URL=redis://" + canary + ":" + canary + "@" + canary + ":1/" + canary + "?db=" + canary,
			"REDIS_URL=redis://psydge:" + canary + "%@alorig_redis/2", "REDIS_DB=" + canary, "PGHOST=" + canary,
			"CELERY_BROKER_KEY_PREFIX=" + canary, "GUNICORN_CMD_ARGS=--bind " + canary + ":99999",
		} {
			for _, mark := range []bool{false, true} {
				var v any = entry
				if mark {
					v = secret{entry}
				}
				s := compliant(t, ledger.Alorig())
				env(backend, v)(s)
				s.container(backend).props["command"] = list{v}
				s.container(backend).props["healthcheck"] = object{"tests": list{"CMD", v}}
				s.get(declared.TypeRemoteCommand, "psydge-site").props["create"] = v
				s.get(declared.TypeRemoteCommand, "psydge-site").props["environment"] = object{"TOKEN": v}
				s.get(declared.TypeRemoteCommand, "psydge-redis-user").props["stdin"] = v
				check(t, s.resources())
			}
		}
	})
	t.Run("site", func(t *testing.T) {
		t.Parallel()
		s := compliant(t, ledger.Alorig())
		s.get(ledger.TypeRoute, "psydge-route").props["site"] = "basic_auth https://x:" + canary + "@y"
		s.get(declared.TypeRemoteCommand, "psydge-site").props["stdin"] = secret{"first\n" + canary}
		check(t, s.resources())
	})
}

func TestPack(t *testing.T) {
	t.Parallel()
	pack, err := Pack(ledger.Alorig())
	if err != nil {
		t.Fatal(err)
	}
	levels := map[string]policyx.EnforcementLevel{}
	stacks := map[string]bool{}
	for _, p := range pack.Policies() {
		switch p := p.(type) {
		case policyx.ResourceValidationPolicy:
			levels[p.Name()] = p.EnforcementLevel()
		case policyx.StackValidationPolicy:
			stacks[p.Name()] = true
			if levels[p.Name()] != p.EnforcementLevel() {
				t.Errorf("%s has two levels", p.Name())
			}
		}
	}
	for _, rule := range All() {
		want := policyx.EnforcementLevelMandatory
		if rule.Name == "image-pinned" {
			want = policyx.EnforcementLevelAdvisory
		}
		if got := levels[rule.Name]; got != want {
			t.Errorf("%s has the level %v, want %v", rule.Name, got, want)
		}
		if stacks[rule.Name] != (rule.Stack != nil) {
			t.Errorf("%s: stack policy %t", rule.Name, stacks[rule.Name])
		}
	}
}

type manager struct{ said []string }

func (m *manager) ReportViolation(message, urn string) { m.said = append(m.said, urn+" "+message) }

// The pack must say what Judge says: the engine and `alorig check` are two witnesses
// of one truth.
func TestPackAgreesWithJudge(t *testing.T) {
	t.Parallel()
	s := brokenEverywhere(t)
	pack, err := Pack(ledger.Alorig())
	if err != nil {
		t.Fatal(err)
	}
	var engine []policyx.AnalyzerResource
	rs := s.resources()
	for i, r := range rs {
		rs[i].RetainOnDelete = nil // the engine does not tell
		a := policyx.AnalyzerResource{Type: r.Type, URN: r.URN, Name: r.Name, Parent: r.Parent, Properties: r.Props}
		a.Options.Protect = r.Protect
		engine = append(engine, a)
	}
	m := &manager{}
	for _, p := range pack.Policies() {
		switch p := p.(type) {
		case policyx.ResourceValidationPolicy:
			for _, r := range engine {
				if err := p.Validate(context.Background(), policyx.ResourceValidationArgs{Manager: m, Resource: r}); err != nil {
					t.Fatal(err)
				}
			}
		case policyx.StackValidationPolicy:
			if err := p.Validate(context.Background(), policyx.StackValidationArgs{Manager: m, Resources: engine}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var want []string
	for _, f := range Judge(NewFleet(ledger.Alorig()), rs) {
		want = append(want, f.URN+" "+f.String())
	}
	slices.Sort(want)
	slices.Sort(m.said)
	if got := slices.Compact(m.said); !slices.Equal(got, slices.Compact(want)) {
		t.Errorf("the pack says %d things, Judge %d", len(got), len(want))
	}
}

func TestGateCacheSeesAnotherLedger(t *testing.T) {
	t.Parallel()
	s := compliant(t, ledger.Alorig())
	host := s.get(ledger.TypeServer, "server")
	c := &gateCache{}
	if gate := c.of(host.resource()); len(gate) != 0 {
		t.Errorf("a sound ledger has findings: %v", gate)
	}
	host.props["ledger"].(object)["apps"].([]any)[0].(object)["budget"] = 1
	if gate := c.of(host.resource()); len(gate["app-memory-budget"]) == 0 {
		t.Error("the cache keeps the ledger of before")
	}
}

// The SDK marks a whole connection secret. Were its user "alorig" hidden, so would be a
// part of every name that holds the word.
func TestConnectionHidesNoNames(t *testing.T) {
	t.Parallel()
	s := compliant(t, ledger.Alorig())
	s.get(declared.TypeRemoteCommand, "psydge-site").props["connection"] = secret{object{
		"host": serverAddress, "user": "alorig", "hostKey": "ssh-ed25519 AAAA", "privateKey": "hunter2",
	}}
	s.drop(s.get(declared.TypeRecord, "api.alorig.com"))
	for _, f := range Judge(NewFleet(ledger.Alorig()), s.resources()) {
		if f.Subject != "api.alorig.com" {
			t.Errorf("[%s] %s", f.Rule, f)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	got := Refusals([]ledger.Finding{{Rule: "image-pinned"}, {Rule: "host-port"}})
	if len(got) != 1 || got[0].Rule != "host-port" {
		t.Errorf("refusals %v", got)
	}
}

func TestAThousandApps(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	l := manyApps(1000)
	if fs := l.Check(); len(fs) > 0 {
		t.Fatalf("the ledger of the test is unsound: %s", fs[0])
	}
	rs := compliant(t, l).resources()
	findings := Judge(NewFleet(l), rs)
	for _, finding := range findings[:min(5, len(findings))] {
		t.Errorf("[%s] %s", finding.Rule, finding)
	}
}

func BenchmarkJudge(b *testing.B) {
	for name, n := range map[string]int{"6apps": 0, "1000apps": 1000} {
		l := ledger.Alorig()
		if n > 0 {
			l = manyApps(n)
		}
		rs, f := compliant(b, l).resources(), NewFleet(l)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Judge(f, rs)
			}
		})
	}
}

var types = []string{
	ledger.TypeServer, ledger.TypeApp, ledger.TypeRoute, declared.TypeContainer, declared.TypeRemoteImage, declared.TypeSwarmService, declared.TypeRole, declared.TypeDatabase,
	declared.TypeGrant, declared.TypeExtension, declared.TypeRecord, declared.TypeRemoteCommand, declared.TypeLocalCommand, "command:remote:CopyToRemote",
	"pulumi:providers:docker", "postgresql:index/schema:Schema",
}

// FuzzJudge gives every rule any properties at all. In the JSON, the text "?" stands
// for an unknown and an object {"!": x} for a secret x.
func FuzzJudge(f *testing.F) {
	s := compliant(f, ledger.Alorig())
	seen := map[string]bool{}
	for _, d := range s.all {
		if text, err := json.Marshal(jsonOf(d.props)); err == nil && !seen[d.Type] && d.Type != ledger.TypeServer {
			f.Add(string(text))
			seen[d.Type] = true
		}
	}
	for _, seed := range []string{
		`{"name":"psydge_backend","envs":[null,"?",1,{"!":"REDIS_URL=redis://"}],"ports":[{"external":"?"}],"memory":1e300}`,
		`{"ledger":{"apps":[{"containers":["?"]}]},"rollout":{"!":"x"},"zones":[1]}`,
		`{"ledger":{"server":{"memory":1.5}},"site":"?","stdin":{"!":"?"},"connection":{"proxy":{"proxy":{}}}}`,
		`{"labels":"?","healthcheck":{"tests":"?"},"capabilities":[],"volumes":[null],"mounts":[{"source":3}],"app":"psydge","tls":"x"}`,
	} {
		f.Add(seed)
	}
	fleetOf := NewFleet(ledger.Alorig())
	f.Fuzz(func(_ *testing.T, text string) {
		var plain map[string]any
		if json.Unmarshal([]byte(text), &plain) != nil {
			return
		}
		props := fromJSON(plain).AsMap()
		var rs []declared.Resource
		for _, typ := range types {
			rs = append(rs, declared.Resource{URN: "urn:pulumi:s::p::" + typ + "::x", Type: typ, Name: "x", Props: props})
		}
		Judge(fleetOf, rs)
	})
}

// fromJSON reads the notation of FuzzJudge.
func fromJSON(v any) property.Value {
	switch v := v.(type) {
	case string:
		if v == "?" {
			return unknown
		}
		return property.New(v)
	case bool:
		return property.New(v)
	case float64:
		return property.New(v)
	case []any:
		vs := make([]property.Value, len(v))
		for i, e := range v {
			vs[i] = fromJSON(e)
		}
		return property.New(property.NewArray(vs))
	case map[string]any:
		if inner, ok := v["!"]; ok && len(v) == 1 {
			return fromJSON(inner).WithSecret(true)
		}
		m := map[string]property.Value{}
		for k, e := range v {
			m[k] = fromJSON(e)
		}
		return property.New(property.NewMap(m))
	}
	return property.Value{}
}

// jsonOf writes the notation of FuzzJudge.
func jsonOf(v any) any {
	switch v := v.(type) {
	case secret:
		return object{"!": jsonOf(v.of)}
	case list:
		plain := make(list, len(v))
		for i, e := range v {
			plain[i] = jsonOf(e)
		}
		return plain
	case object:
		plain := object{}
		for k, e := range v {
			plain[k] = jsonOf(e)
		}
		return plain
	}
	return v
}

// FuzzEntry gives a container any environment entry: no finding may show what stands
// behind the "=", as long as it is long enough to be a secret.
func FuzzEntry(f *testing.F) {
	for _, seed := range []string{
		"redis://u:%s@h:1/2?db=%31", "postgres://a:b@c,d/e?options=-c%20x", "postgres://[::1", "redis://alorig_redis/99999999999999999999",
		"--bind [::]:99999999999 -b -p --port= tcp:port=", "rediss+socket:///x;redis://y", "sentinel://a:1;sentinel://b:2", "://", "\x00postgres://\xff@/",
	} {
		f.Add(seed)
	}
	fleetOf := NewFleet(ledger.Alorig())
	f.Fuzz(func(t *testing.T, text string) {
		for _, key := range []string{"DATABASE_URL", "REDIS_URL", "PORT", "GUNICORN_CMD_ARGS", "OTHER_TOKEN"} {
			r := declared.Resource{URN: "urn", Type: declared.TypeContainer, Name: "c", Props: value(object{
				"name": backend, "envs": list{secret{key + "=" + canary + text + canary}}, "command": list{text},
			}).AsMap()}
			for _, finding := range JudgeResource(fleetOf, r) {
				if strings.Contains(finding.String(), canary) {
					t.Errorf("[%s] %s", finding.Rule, finding)
				}
			}
		}
	})
}
