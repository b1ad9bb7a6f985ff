package components

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// processes are one of each kind, to run in the ledger's containers.
var processes = map[ledger.Role]workload.Process{
	ledger.Backend:  workload.Gunicorn{Workers: 1, Threads: 2},
	ledger.Channels: workload.Daphne{Threads: 2},
	ledger.Worker:   workload.CeleryWorker{Concurrency: 2, Longest: 5 * time.Minute},
	ledger.Beat:     workload.CeleryBeat{},
	ledger.Payload:  workload.PayloadCMS{Pool: 3, Heap: 400},
}

const (
	ourStack = "prod"
	// awkward is a value that a shell, a quote or a line would change.
	awkward = "a'b\"c $HOME `x` \\ \n\tc4n4ry é"
)

// recorder keeps what is registered, by logical name.
type recorder struct {
	mu    sync.Mutex
	found map[string]pulumi.MockResourceArgs
}

func (r *recorder) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found[args.Name] = args
	outputs := args.Inputs.Copy()
	if args.TypeToken == declared.TypeLocalCommand {
		outputs["stdout"] = resource.NewProperty(args.Name + " printed")
	}
	return args.Name + "-id", outputs, nil
}

func (*recorder) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return args.Args, nil
}

// text is an input, and whether it is secret.
func (r *recorder) text(t *testing.T, name, key string) (text string, secret bool) {
	t.Helper()
	args, ok := r.found[name]
	if !ok {
		t.Fatalf("no %s is registered", name)
	}
	v := args.Inputs[resource.PropertyKey(key)]
	if v.IsSecret() {
		v, secret = v.SecretValue().Element, true
	}
	if v.IsNull() {
		return "", secret
	}
	return v.StringValue(), secret
}

// entries are the variables of a container, in their order.
func (r *recorder) entries(name string) []any {
	var all []any
	for _, v := range r.found[name].Inputs["envs"].ArrayValue() {
		if v.IsSecret() {
			v = v.SecretValue().Element
		}
		all = append(all, v.StringValue())
	}
	return all
}

func newTestPlatform() *Platform {
	services := map[ledger.Kind]ledger.Service{}
	for _, service := range ledger.Alorig().Services {
		services[service.Kind] = service
	}
	return &Platform{
		services: services, caddyDirectory: "/srv/caddy", Network: pulumi.String("alorig_net").ToStringOutput(), networkName: "alorig_net",
		program: &ServerProgram{path: "/srv/server/alorig-server"},
	}
}

func testWorkload(app ledger.App, booked ledger.Container) *WorkloadArgs {
	secret := func(text string) pulumi.StringOutput {
		return pulumi.ToSecret(pulumi.String(text)).(pulumi.StringOutput)
	}
	return &WorkloadArgs{
		App: app, Container: booked, Image: "registry.example.com/" + booked.Image + "@sha256:4e1f",
		Spec:        workload.Spec{Role: booked.Role, Process: processes[booked.Role], Environment: map[string]string{"GREETING": awkward, "EMPTY": ""}},
		Secrets:     map[string]pulumi.StringOutput{"SECRET_KEY": secret(awkward)},
		DatabaseURL: secret("postgres://c4n4ry"), RedisURL: secret("redis://c4n4ry"), Platform: newTestPlatform(),
	}
}

// update registers what an update does about one container.
func update(t *testing.T, args *WorkloadArgs) *recorder {
	t.Helper()
	r := &recorder{found: map[string]pulumi.MockResourceArgs{}}
	err := pulumi.RunErr(func(ctx *pulumi.Context) error {
		ready := &ServerProgram{}
		if err := ctx.RegisterComponentResource("test:program", "program", ready); err != nil {
			return err
		}
		args.Platform.program.Ready = ready
		w, err := NewWorkload(ctx, "workload", args)
		if err != nil {
			return err
		}
		if args.Container.Role == ledger.Backend {
			if _, err := NewMigration(ctx, "migration", &MigrationArgs{Workload: w}); err != nil {
				return err
			}
		}
		if !args.Container.Role.Serves() {
			return w.Replace(ctx)
		}
		if err := w.Try(ctx); err != nil {
			return err
		}
		return w.HandOver(ctx)
	}, pulumi.WithMocks("alorig", ourStack, r))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What stands beside a container for a while is created by the server's program, the
// container itself by the provider. Both must say the same, or something else was tried.
func TestTheNextVersionIsWhatTheProviderDeclares(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, app := range ledger.Alorig().Apps {
		for _, booked := range app.Containers {
			if !booked.Role.Serves() {
				continue
			}
			seen++
			name := ledger.ContainerName(app.Name, booked.Role)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := update(t, testWorkload(app, booked))
				for step, verb := range map[string]document.Verb{"try": document.TryNext, "take": document.TakeOver, "end": document.EndHandover} {
					text, _ := r.text(t, ledger.Logical(name, step), "stdin")
					var read document.Handover
					if _, err := document.Read([]byte(text), verb, &read); err != nil {
						t.Fatal(err)
					}
					if read.Stack != ourStack || read.App != app.Name || read.Subject != name || read.Lock != "/srv/caddy/sites/."+name+".lock" {
						t.Errorf("%s: %+v", step, read.Header)
					}
					given := r.found["workload"].Inputs.Mappable()
					given["envs"] = r.entries("workload")
					expectDeclared(t, read.Container, given)
				}
			})
		}
	}
	if seen != 8 {
		t.Errorf("%d containers serve, want 8", seen)
	}
}

// expectDeclared holds a container in a document against what the provider is given, of which
// every property must have its counterpart.
func expectDeclared(t *testing.T, c document.Container, given map[string]any) {
	t.Helper()
	labels := []any{}
	for _, k := range slices.Sorted(maps.Keys(c.Labels)) {
		labels = append(labels, map[string]any{"label": k, "value": c.Labels[k]})
	}
	envs := []any{}
	for _, k := range slices.Sorted(maps.Keys(c.Environment)) {
		envs = append(envs, k+"="+c.Environment[k])
	}
	duration := func(seconds int) string { return (time.Duration(seconds) * time.Second).String() }
	want := map[string]any{
		"name": c.Name, "image": c.Image, "command": c.Command, "envs": envs, "labels": labels,
		"networksAdvanced": []any{map[string]any{"name": c.Network}}, "networkMode": "bridge",
		"memory": c.Memory, "memoryReservation": c.Reservation, "memorySwap": c.Memory,
		"restart": c.Restart, "stopTimeout": c.Grace, "destroyGraceSeconds": c.Grace, "mustRun": false, "wait": false,
		"healthcheck": map[string]any{
			"tests": c.Probe.Test, "interval": duration(c.Probe.Interval), "timeout": duration(c.Probe.Timeout),
			"startPeriod": duration(c.Probe.StartUp), "retries": c.Probe.Retries,
		},
		"logDriver": c.LogDriver, "logOpts": c.LogOptions, "init": c.Init, "securityOpts": c.Security,
		"capabilities": map[string]any{"drops": c.Capabilities.Drop, "adds": append([]string{}, c.Capabilities.Add...)},
	}
	if c.CPUShares != 0 {
		want["cpuShares"] = c.CPUShares
	}
	plain := func(of any) map[string]any {
		text, err := json.Marshal(of)
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]any{}
		if err := json.Unmarshal(text, &values); err != nil {
			t.Fatal(err)
		}
		return values
	}
	got, wanted := plain(given), plain(want)
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, ok := wanted[key]; !ok && fmt.Sprint(got[key]) != "[]" {
			t.Errorf("%s is declared as %v; does the next version need it too?", key, got[key])
		}
	}
	for key, value := range wanted {
		if g, w := fmt.Sprintf("%q", got[key]), fmt.Sprintf("%q", value); g != w {
			t.Errorf("%s is declared as %s, the document says %s", key, g, w)
		}
	}
}

func TestVariablesTravelUnchangedAndInSecret(t *testing.T) {
	t.Parallel()
	app, _ := ledger.Alorig().App("psydge")
	booked, _ := app.Container(ledger.Backend)
	r := update(t, testWorkload(app, booked))
	for name, read := range map[string]func(text string) (document.Container, error){
		"psydge-backend-take": func(text string) (document.Container, error) {
			var d document.Handover
			_, err := document.Read([]byte(text), document.TakeOver, &d)
			return d.Container, err
		},
		"psydge-migrate": func(text string) (document.Container, error) {
			var d document.Migration
			_, err := document.Read([]byte(text), document.Migrate, &d)
			return d.Container, err
		},
	} {
		text, secret := r.text(t, name, "stdin")
		c, err := read(text)
		if err != nil || !secret {
			t.Fatalf("%s: %v; secret: %t", name, err, secret)
		}
		for key, want := range map[string]string{
			"GREETING": awkward, "SECRET_KEY": awkward, "EMPTY": "", "ALORIG_APP": "psydge", "PORT": "8012",
			"DATABASE_URL": "postgres://c4n4ry", "REDIS_URL": "redis://c4n4ry",
		} {
			if got, ok := c.Environment[key]; !ok || got != want {
				t.Errorf("%s: %s is %q, want %q", name, key, got, want)
			}
		}
		for _, key := range []string{"create", "update", "delete"} {
			if line, _ := r.text(t, name, key); strings.Contains(line, "c4n4ry") || key != "delete" && !strings.HasPrefix(line, "'/srv/server/alorig-server' ") {
				t.Errorf("%s: %s is %q", name, key, line)
			}
		}
	}
}

func TestAMigrationIsAContainerOfItsOwn(t *testing.T) {
	t.Parallel()
	app, _ := ledger.Alorig().App("psydge")
	booked, _ := app.Container(ledger.Backend)
	r := update(t, testWorkload(app, booked))
	text, _ := r.text(t, "psydge-migrate", "stdin")
	var d document.Migration
	if _, err := document.Read([]byte(text), document.Migrate, &d); err != nil {
		t.Fatal(err)
	}
	c := d.Container
	if c.Name != "psydge_migrate" || c.Restart != "no" || c.CPUShares != document.BackgroundShares || c.Probe != nil || c.Memory != int(booked.Memory.Limit) ||
		!slices.Equal(c.Command, workload.Migration) || c.Labels[ledger.LabelComposeService] != "migrate" || !slices.Equal(d.Needs, []string{"alorig_postgres", "alorig_redis"}) {
		t.Errorf("%+v", d)
	}
	if service := r.found["workload"].Inputs["labels"].Mappable(); strings.Contains(fmt.Sprint(service), "migrate") {
		t.Errorf("the labels of the container are those of the migration: %v", service)
	}
}

// Also in an update back to the old version, which finds its own container and nothing to
// change about it, the end runs when take has run; and it follows every new container.
func TestTheEndFollowsEveryTakeAndEveryContainer(t *testing.T) {
	t.Parallel()
	app, _ := ledger.Alorig().App("psydge")
	booked, _ := app.Container(ledger.Backend)
	r := update(t, testWorkload(app, booked))
	triggers := fmt.Sprint(r.found["psydge-backend-end"].Inputs["triggers"].Mappable())
	if triggers != "[psydge-backend-take printed workload-id]" {
		t.Errorf("the end is triggered by %s", triggers)
	}
}

func TestAWorkerIsWaitedForEachTimeItIsNew(t *testing.T) {
	t.Parallel()
	app, _ := ledger.Alorig().App("psydge")
	for role, steady := range map[ledger.Role]int{ledger.Worker: 0, ledger.Beat: 5} {
		booked, _ := app.Container(role)
		r := update(t, testWorkload(app, booked))
		name := ledger.ContainerName("psydge", role)
		text, _ := r.text(t, ledger.Logical(name, "ready"), "stdin")
		var d document.Ready
		if _, err := document.Read([]byte(text), document.AwaitReady, &d); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(d.Containers, []document.Awaited{{Name: name, Steady: steady}}) || d.Patience != 180 {
			t.Errorf("%+v", d)
		}
		if triggers := fmt.Sprint(r.found[ledger.Logical(name, "ready")].Inputs["triggers"].Mappable()); triggers != "[workload-id]" {
			t.Errorf("it is triggered by %s", triggers)
		}
	}
}
