package components

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// The scripts of a handover and of a migration as the program registers them, on an
// engine that a stand-in plays.

const (
	current  = "psydge_backend"
	next     = "psydge_backend_next"
	previous = "psydge_backend_previous"
	migrated = "psydge_migrate"
	ourStack = "prod"
)

// dockerEngine keeps each container as a directory: its id, the label of its stack, and its
// states, of which each look takes the next one while the last one stays. After every
// change it notes whether a request would have been answered. It knows what the scripts
// ask for and nothing else.
const dockerEngine = `
at=$SITES/containers
printf '%s\n' "$*" >> "$SITES/asked"
fail() { echo "Error response from daemon: $*" >&2; exit 1; }
known() { [ -d "$at/$1" ] || fail "No such container: $1"; }
status() { read -r line < "$at/$1/state"; echo "${line%%/*}"; }
into() { read -r line < "$at/$1/state"; echo "$2/${line#*/}" > "$at/$1/state"; }
serves() {
	[ -d "$at/$1" ] || return 1
	while read -r line; do
		[ "$line" != running/healthy ] || return 0
	done < "$at/$1/state"
	return 1
}
changed() { if serves psydge_backend || serves psydge_backend_next; then echo yes; else echo no; fi >> "$SITES/answered"; }
verb=$1
shift
case $verb in
container)
	[ "$1" = inspect ] || fail "container $1"
	shift
	format=
	if [ "$1" = --format ]; then format=$2; shift 2; fi
	[ -d "$at/$1" ] || { echo; echo "Error response from daemon: No such container: $1" >&2; exit 1; }
	case $format in
	'') ;;
	'{{.State.Status}}') status "$1" ;;
	'{{.State.Status}}/{{if .State.Health}}{{.State.Health.Status}}{{end}}')
		{ read -r line; rest=$(cat); } < "$at/$1/state"
		echo "$line"
		[ -z "$rest" ] || echo "$rest" > "$at/$1/state" ;;
	'{{index .Config.Labels "alorig.fleet.stack"}}') cat "$at/$1/stack" ;;
	*) fail "inspect $format" ;;
	esac ;;
create)
	for word; do printf '%s\0' "$word"; done > "$SITES/created"
	mkdir -p "$SITES/env"
	while [ $# -gt 0 ]; do
		case $1 in
		--name) name=$2 ;;
		--label) case $2 in alorig.fleet.stack=*) stack=${2#*=} ;; esac ;;
		--env) eval "printf '%s' \"\${$2?is not exported}\"" > "$SITES/env/$2" ;;
		esac
		shift
	done
	[ ! -d "$at/$name" ] || fail "Conflict. The container name /$name is already in use"
	mkdir "$at/$name"
	echo new > "$at/$name/id"; echo "$stack" > "$at/$name/stack"; echo created/ > "$at/$name/state"
	echo 4e1f ;;
start)
	known "$1"
	[ ! -e "$SITES/unstartable" ] || fail 'exec: "gunicorn": executable file not found in $PATH'
	cp "$SITES/starts" "$at/$1/state"
	echo "$1" ;;
stop)
	known "$1"
	[ "$(status "$1")" != running ] || into "$1" exited
	changed ;;
rm)
	known "$1"
	[ "$(status "$1")" != running ] || fail "container is running: stop the container before removing"
	rm -r "$at/$1"
	changed ;;
rename)
	known "$1"
	[ ! -d "$at/$2" ] || fail "Conflict. The container name /$2 is already in use"
	mv "$at/$1" "$at/$2"
	changed ;;
update)
	[ "$1 $2 $3 $4" = '--restart unless-stopped --cpu-shares 1024' ] || fail "update $*"
	known "$5"
	echo unless-stopped > "$at/$5/restart" ;;
wait)
	known "$1"
	into "$1" exited
	cat "$SITES/code" ;;
*) fail "$verb $*" ;;
esac
`

// handoverServer is a server with that engine, on which the shared services run.
type handoverServer struct{ server }

func newHandoverServer(t *testing.T) handoverServer {
	t.Helper()
	s := handoverServer{newServer(t, dockerEngine)}
	write(t, filepath.Join(s.commands, "sleep"), "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(s.commands, "sleep"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.sites, "containers"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.starts("running/starting", "running/starting", "running/healthy")
	write(t, filepath.Join(s.sites, "code"), "0\n")
	s.put("alorig_postgres", "running/healthy", ourStack)
	s.put("alorig_redis", "running/healthy", ourStack)
	return s
}

// starts says what becomes of a container that is started from now on.
func (s handoverServer) starts(states ...string) {
	write(s.t, filepath.Join(s.sites, "starts"), strings.Join(states, "\n")+"\n")
}

// put starts from a container that is there. Its id is "old", so that it is known again
// under another name.
func (s handoverServer) put(name, states, stack string) {
	s.t.Helper()
	dir := filepath.Join(s.sites, "containers", name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	write(s.t, filepath.Join(dir, "id"), "old "+name+"\n")
	write(s.t, filepath.Join(dir, "state"), strings.ReplaceAll(states, " ", "\n")+"\n")
	write(s.t, filepath.Join(dir, "stack"), stack+"\n")
}

func (s handoverServer) read(path ...string) string {
	text, err := os.ReadFile(filepath.Join(append([]string{s.sites}, path...)...))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return strings.TrimSuffix(string(text), "\n")
}

// expect compares the app's containers: name to id and state.
func (s handoverServer) expect(want map[string]string) {
	s.t.Helper()
	got := map[string]string{}
	dirs, err := os.ReadDir(filepath.Join(s.sites, "containers"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, d := range dirs {
		if strings.HasPrefix(d.Name(), "psydge") {
			got[d.Name()] = s.read("containers", d.Name(), "id") + ": " + s.read("containers", d.Name(), "state")
		}
	}
	if !maps.Equal(got, want) {
		s.t.Errorf("the containers are %v, want %v", got, want)
	}
}

// step runs one of the scripts.
func (s handoverServer) step(name string) (string, error) {
	s.t.Helper()
	registered, ok := s.scripts()[name]
	if !ok {
		s.t.Fatalf("no script is called %q", name)
	}
	return s.run(registered.create, registered.stdin)
}

func (s handoverServer) mustDo(name string) {
	s.t.Helper()
	if out, err := s.step(name); err != nil {
		s.t.Fatalf("%s: %v: %s", name, err, out)
	}
}

func (s handoverServer) mustFail(name string, says ...string) {
	s.t.Helper()
	out, err := s.step(name)
	if err == nil {
		s.t.Fatalf("%s succeeds: %s", name, out)
	}
	for _, want := range says {
		if !strings.Contains(out, want) {
			s.t.Errorf("want %q in the message, got: %s", want, out)
		}
	}
	if strings.Contains(out, awkward) {
		s.t.Errorf("the message shows a secret: %s", out)
	}
}

// registration is what the program gives the command provider.
type registration struct {
	create, update, stdin string
	triggers              []string
}

type scriptRecorder struct {
	mu    sync.Mutex
	found map[string]registration
}

func (r *scriptRecorder) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	if args.TypeToken == declared.TypeLocalCommand {
		text := func(key resource.PropertyKey) string {
			v := args.Inputs[key]
			if v.IsSecret() {
				v = v.SecretValue().Element
			}
			return v.StringValue()
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		found := registration{create: text("create"), update: text("update"), stdin: text("stdin")}
		if triggers, ok := args.Inputs["triggers"]; ok {
			for _, trigger := range triggers.ArrayValue() {
				found.triggers = append(found.triggers, trigger.StringValue())
			}
		}
		r.found[args.Name] = found
	}
	state := args.Inputs.Copy()
	state["stdout"] = resource.NewStringProperty("what " + args.Name + " printed")
	return args.Name + "-id", state, nil
}

func (*scriptRecorder) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return args.Args, nil
}

// awkward is all that a shell could stumble over.
const awkward = "c4n4ry 'single' \"double\" $HOME ${HOME} $(echo run) `echo run` \\ \\n * ; & | # %s\n\tsecond line\n"

// scripts registers what an app does about its backend, and returns its scripts.
func (s handoverServer) scripts() map[string]registration {
	s.t.Helper()
	app, _ := ledger.Alorig().App("psydge")
	c, _ := app.Container(ledger.Backend)
	services := map[ledger.Kind]ledger.Service{}
	for _, service := range ledger.Alorig().Services {
		services[service.Kind] = service
	}
	platform := &Platform{services: services, caddyDirectory: filepath.Dir(s.sites), Network: pulumi.String("alorig_net").ToStringOutput(), networkName: "alorig_net"}
	secret := func(text string) pulumi.StringOutput {
		return pulumi.ToSecret(pulumi.String(text)).(pulumi.StringOutput)
	}
	r := &scriptRecorder{found: map[string]registration{}}
	err := pulumi.RunErr(func(ctx *pulumi.Context) error {
		args := &WorkloadArgs{
			App: app, Container: c, Image: "registry.example.com/psydge@sha256:4e1f",
			Spec:        workload.Spec{Process: workload.Gunicorn{Workers: 3, Threads: 2}, Environment: map[string]string{"GREETING": awkward, "EMPTY": ""}},
			Secrets:     map[string]pulumi.StringOutput{"SECRET_KEY": secret(awkward)},
			DatabaseURL: secret("postgres://c4n4ry"), RedisURL: secret("redis://c4n4ry"),
			Platform: platform,
		}
		w, err := NewWorkload(ctx, "psydge-backend", args)
		if err != nil {
			return err
		}
		if _, err := NewMigration(ctx, "psydge-migration", &MigrationArgs{Workload: w}); err != nil {
			return err
		}
		if err := w.Try(ctx); err != nil {
			return err
		}
		return w.HandOver(ctx)
	}, pulumi.WithMocks("alorig", ourStack, r))
	if err != nil {
		s.t.Fatal(err)
	}
	found := map[string]registration{}
	for name, script := range r.found {
		if script.create != script.update {
			s.t.Errorf("%s does something else when it is changed than when it is made", name)
		}
		found[strings.TrimPrefix(strings.TrimPrefix(name, "psydge-"), "backend-")] = script
	}
	return found
}

var steps = []string{"try", "take", "end"}

func TestNothingServesNothingIsHandedOver(t *testing.T) {
	for _, name := range steps {
		t.Run(name, func(t *testing.T) {
			s := newHandoverServer(t)
			s.mustDo(name)
			s.expect(map[string]string{})
		})
		t.Run(name+" beside one that is stopped", func(t *testing.T) {
			s := newHandoverServer(t)
			s.put(current, "exited/unhealthy", ourStack)
			s.mustDo(name)
			s.expect(map[string]string{current: "old psydge_backend: exited/unhealthy"})
		})
	}
}

func TestAHandover(t *testing.T) {
	s := newHandoverServer(t)
	s.put(current, "running/healthy", ourStack)

	s.mustDo("try")
	s.expect(map[string]string{current: "old psydge_backend: running/healthy"})

	s.mustDo("take")
	s.expect(map[string]string{previous: "old psydge_backend: running/healthy", next: "new: running/healthy"})
	if got := s.read("containers", next, "restart"); got != "unless-stopped" {
		t.Errorf("the next version, which serves now, is restarted %q", got)
	}

	// The provider deletes the old one by its id and creates its own.
	if err := os.RemoveAll(filepath.Join(s.sites, "containers", previous)); err != nil {
		t.Fatal(err)
	}
	s.put(current, "running/starting running/healthy", ourStack)
	s.mustDo("end")
	s.expect(map[string]string{current: "old psydge_backend: running/healthy"})

	for _, again := range []string{"end", "try"} { // nothing is left to do
		s.mustDo(again)
		s.expect(map[string]string{current: "old psydge_backend: running/healthy"})
	}
	if strings.Contains(s.read("answered"), "no") {
		t.Errorf("at some moment nobody would have answered: %q", s.read("answered"))
	}
}

// What serves is not asked to be healthy: an update may be what mends it.
func TestASickContainerIsHandedOver(t *testing.T) {
	s := newHandoverServer(t)
	s.put(current, "running/unhealthy", ourStack)
	s.mustDo("take")
	s.expect(map[string]string{previous: "old psydge_backend: running/unhealthy", next: "new: running/healthy"})
}

func TestAFailedTryTouchesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		starts      []string
		unstartable bool
		left, says  string
	}{
		"never healthy":     {starts: []string{"running/starting", "running/unhealthy"}, left: "exited/unhealthy", says: "was running/unhealthy"},
		"ends by itself":    {starts: []string{"running/starting", "exited/starting"}, left: "exited/starting", says: "was exited/starting"},
		"falls over":        {starts: []string{"restarting/"}, left: "restarting/", says: "was restarting/"},
		"does not start":    {starts: []string{"running/starting"}, unstartable: true, left: "created/", says: "executable file not found"},
		"starts too long":   {starts: []string{"running/starting"}, left: "exited/starting", says: "was running/starting"},
		"has no health yet": {starts: []string{"running/"}, left: "exited/", says: "was running/."},
	} {
		for _, step := range []string{"try", "take"} {
			t.Run(step+": "+name, func(t *testing.T) {
				s := newHandoverServer(t)
				s.put(current, "running/healthy", ourStack)
				s.starts(c.starts...)
				if c.unstartable {
					write(t, filepath.Join(s.sites, "unstartable"), "")
				}
				if slices.Contains([]string{"starts too long", "has no health yet"}, name) {
					s.impatient()
				}
				s.mustFail(step, "The next version of psydge_backend did not become healthy: psydge_backend_next was", c.says,
					"psydge_backend has not been touched and goes on serving", "docker logs psydge_backend_next", "run the update again")
				s.expect(map[string]string{current: "old psydge_backend: running/healthy", next: "new: " + c.left})

				// The next update clears it away.
				s.starts("running/healthy")
				if err := os.RemoveAll(filepath.Join(s.sites, "unstartable")); err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Join(s.sites, "containers", next, "id"), "failed\n")
				s.mustDo("take")
				s.expect(map[string]string{previous: "old psydge_backend: running/healthy", next: "new: running/healthy"})
			})
		}
	}
}

// impatient lets all the patience of an update pass with every second look at the clock.
func (s handoverServer) impatient() {
	s.t.Helper()
	path := filepath.Join(s.commands, "date")
	write(s.t, path, fmt.Sprintf("#!/bin/sh\nif [ -e \"$SITES/late\" ]; then rm \"$SITES/late\"; echo %d; else : > \"$SITES/late\"; echo 0; fi\n", seconds(workload.Patience)))
	if err := os.Chmod(path, 0o755); err != nil {
		s.t.Fatal(err)
	}
}

func TestWhatAKilledUpdateLeftIsSettled(t *testing.T) {
	handedOver := map[string]string{previous: "old psydge_backend: running/healthy", next: "new: running/healthy"}
	for name, c := range map[string]struct {
		before map[string]string
		after  map[string]string // by take
	}{
		"killed while the next version is tried": {
			map[string]string{current: "running/healthy", next: "running/starting"}, handedOver,
		},
		"killed before the next version started": {
			map[string]string{current: "running/healthy", next: "created/"}, handedOver,
		},
		"killed when the next version was tried": {
			map[string]string{current: "running/healthy", next: "running/healthy"}, handedOver,
		},
		"killed when it was handed over": {
			map[string]string{previous: "running/healthy", next: "running/healthy"},
			map[string]string{previous: "old psydge_backend_previous: running/healthy", next: "new: running/healthy"},
		},
		"killed while the provider stops the old one": {
			map[string]string{previous: "exited/healthy", next: "running/healthy"},
			map[string]string{previous: "old psydge_backend_previous: exited/healthy", next: "old psydge_backend_next: running/healthy"},
		},
		"the old one was sick when it was handed over": {
			map[string]string{previous: "running/unhealthy", next: "running/healthy"},
			map[string]string{previous: "old psydge_backend_previous: running/unhealthy", next: "old psydge_backend_next: running/healthy"},
		},
		"killed before the provider created its own": {
			map[string]string{next: "running/healthy"},
			map[string]string{next: "old psydge_backend_next: running/healthy"},
		},
		"killed while the provider's own starts": {
			map[string]string{current: "running/starting", next: "running/healthy"},
			map[string]string{current: "old psydge_backend: running/starting", next: "old psydge_backend_next: running/healthy"},
		},
		"the provider's own does not get healthy": {
			map[string]string{current: "running/unhealthy", next: "running/healthy"},
			map[string]string{current: "old psydge_backend: running/unhealthy", next: "old psydge_backend_next: running/healthy"},
		},
		"the provider's own has ended": {
			map[string]string{current: "exited/unhealthy", next: "running/healthy"},
			map[string]string{current: "old psydge_backend: exited/unhealthy", next: "old psydge_backend_next: running/healthy"},
		},
		"killed before the end": {
			map[string]string{current: "running/healthy", next: "running/healthy"}, handedOver,
		},
		"the old one beside the provider's own": {
			map[string]string{current: "running/healthy", previous: "running/healthy"}, handedOver,
		},
		"all three": {
			map[string]string{current: "running/healthy", next: "running/healthy", previous: "exited/healthy"}, handedOver,
		},
		"all three, and the provider's own is sick": {
			map[string]string{current: "running/unhealthy", next: "running/healthy", previous: "running/healthy"},
			map[string]string{current: "old psydge_backend: running/unhealthy", next: "old psydge_backend_next: running/healthy"},
		},
		"only the old one": {
			map[string]string{previous: "running/healthy"},
			map[string]string{previous: "old psydge_backend_previous: running/healthy", next: "new: running/healthy"},
		},
		"only the old one, stopped": {
			map[string]string{previous: "exited/healthy"},
			map[string]string{current: "old psydge_backend_previous: exited/healthy"},
		},
		"a failed try of an app that is down": {
			map[string]string{next: "exited/unhealthy"}, map[string]string{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newHandoverServer(t)
			for container, state := range c.before {
				s.put(container, state, ourStack)
			}
			s.mustDo("take")
			s.expect(c.after)
		})
	}
}

// Whatever an update was cut short at: who serves goes on serving through the next one, and
// that settles everything.
func TestAnyLeftoverEndsInAHandover(t *testing.T) {
	if testing.Short() {
		t.Skip("runs two hundred scripts")
	}
	states := []string{"", "running/starting", "running/healthy", "running/unhealthy", "exited/healthy"}
	for _, now := range states {
		for _, following := range states {
			for _, old := range []string{"", "running/healthy", "running/unhealthy", "exited/healthy"} {
				t.Run(strings.Join([]string{now, following, old}, ","), func(t *testing.T) {
					t.Parallel()
					s := newHandoverServer(t)
					for name, state := range map[string]string{current: now, next: following, previous: old} {
						if state != "" {
							s.put(name, state, ourStack)
						}
					}
					serves := now == "running/healthy" || following == "running/healthy"
					s.mustDo("take")
					if serves && strings.Contains(s.read("answered"), "no") {
						t.Errorf("at some moment nobody would have answered:\n%s", s.read("asked"))
					}

					// What the provider does: the old one goes, under whatever name, its own comes.
					for _, name := range []string{current, previous} {
						if err := os.RemoveAll(filepath.Join(s.sites, "containers", name)); err != nil {
							t.Fatal(err)
						}
					}
					s.put(current, "running/healthy", ourStack)
					s.mustDo("end")
					s.expect(map[string]string{current: "old psydge_backend: running/healthy"})
				})
			}
		}
	}
}

func TestNobodyElsesContainerIsTouched(t *testing.T) {
	for _, label := range []string{"", "<no value>", "staging"} {
		for _, foreign := range []string{next, previous, current} {
			for _, beside := range []string{"", current} {
				for _, step := range steps {
					if foreign == beside || step == "end" && (foreign == current || foreign == previous && beside != "") {
						continue // what end does not look at, it does not touch
					}
					t.Run(step+" with "+foreign+" of "+label+" beside "+beside, func(t *testing.T) {
						s := newHandoverServer(t)
						s.put(foreign, "running/healthy", label)
						want := map[string]string{foreign: "old " + foreign + ": running/healthy"}
						if beside != "" {
							s.put(beside, "running/healthy", ourStack)
							want[beside] = "old " + beside + ": running/healthy"
						}
						if step == "end" && foreign == next && beside == "" {
							s.mustFail(step, "psydge_backend is missing")
						} else {
							s.mustFail(step, "The container "+foreign+" stands in the way of a handover and does not belong to the stack prod", "rename or remove it")
						}
						s.expect(want)
					})
				}
			}
		}
	}
}

func TestTheNextVersionStaysUntilTheContainerIsHealthy(t *testing.T) {
	for name, c := range map[string]struct{ state, says string }{
		"unhealthy":     {"running/starting running/unhealthy", "psydge_backend is running/unhealthy, so psydge_backend_next goes on serving"},
		"ended":         {"exited/starting", "psydge_backend is exited/starting, so psydge_backend_next goes on serving"},
		"never created": {"", "psydge_backend is missing, so psydge_backend_next goes on serving"},
		"still starts":  {"running/starting", "psydge_backend is running/starting, so psydge_backend_next goes on serving"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newHandoverServer(t)
			want := map[string]string{next: "old psydge_backend_next: running/healthy"}
			s.put(next, "running/healthy", ourStack)
			if c.state != "" {
				s.put(current, c.state, ourStack)
				words := strings.Fields(c.state)
				want[current] = "old psydge_backend: " + words[len(words)-1]
			}
			if name == "still starts" {
				s.impatient()
			}
			s.mustFail("end", c.says, "docker logs psydge_backend", "run the update again")
			s.expect(want)
		})
	}
}

// The provider may find nothing to replace, or fail before it does.
func TestAnUpdateThatReplacedNothingPutsTheOldOneBack(t *testing.T) {
	s := newHandoverServer(t)
	s.put(current, "running/healthy", ourStack)
	s.mustDo("take")
	s.mustDo("end")
	s.expect(map[string]string{current: "old psydge_backend: running/healthy"})
}

// Also in an update back to the old version, which finds its own container and nothing to
// change about it, the end runs when take has run.
func TestTheEndFollowsEveryTake(t *testing.T) {
	s := newHandoverServer(t)
	s.put(current, "running/healthy", ourStack)
	first, err := s.step("take")
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.step("take")
	if err != nil || first == "" || first == again {
		t.Errorf("take prints %q, then %q (%v); the end would not see that it ran again", first, again, err)
	}
	if triggers := s.scripts()["end"].triggers; len(triggers) != 1 || !strings.HasSuffix(triggers[0], "take printed") {
		t.Errorf("the end is triggered by %q, not by what take has printed", triggers)
	}
}

func TestAMigration(t *testing.T) {
	t.Run("succeeds", func(t *testing.T) {
		s := newHandoverServer(t)
		s.put(current, "running/healthy", ourStack)
		s.mustDo("migrate")
		s.expect(map[string]string{current: "old psydge_backend: running/healthy"})
		words := strings.Split(s.read("created"), "\x00")
		if got := strings.Join(words[len(words)-6:], " "); got != "registry.example.com/psydge@sha256:4e1f python manage.py migrate --noinput " {
			t.Errorf("runs %q", got)
		}
		for _, pair := range [][2]string{{"--name", migrated}, {"--memory", "700m"}, {"--network", "alorig_net"}, {"--label", "com.docker.compose.service=migrate"}} {
			if i := slices.Index(words, pair[1]); i < 1 || words[i-1] != pair[0] {
				t.Errorf("no %s %s among %q", pair[0], pair[1], words)
			}
		}
		if slices.Contains(words, "--health-cmd") {
			t.Error("a migration listens to nothing, so has no health")
		}
	})
	t.Run("fails", func(t *testing.T) {
		s := newHandoverServer(t)
		s.put(current, "running/healthy", ourStack)
		s.starts("running/")
		write(t, filepath.Join(s.sites, "code"), "3\n")
		s.mustFail("migrate", "The migration of psydge ended with exit code 3", "go on with the version before", "docker logs psydge_migrate", "run the update again")
		s.expect(map[string]string{current: "old psydge_backend: running/healthy", migrated: "new: exited/"})

		// What was kept to be looked at does not stand in the way of the next update.
		write(t, filepath.Join(s.sites, "code"), "0\n")
		s.mustDo("migrate")
		s.expect(map[string]string{current: "old psydge_backend: running/healthy"})
	})
	for _, left := range []string{"running/", "created/", "exited/"} {
		t.Run("after one that was cut short and is "+left, func(t *testing.T) {
			s := newHandoverServer(t)
			s.put(migrated, left, ourStack)
			s.mustDo("migrate")
			s.expect(map[string]string{})
			asked := s.read("asked")
			waited, created := strings.Index(asked, "wait "+migrated), strings.Index(asked, "create ")
			if waited < 0 || created < waited {
				t.Errorf("the one before was not waited for:\n%s", asked)
			}
		})
	}
	for _, store := range []string{"alorig_postgres", "alorig_redis"} {
		for _, state := range []string{"missing", "exited", "restarting"} {
			t.Run(store+" is "+state, func(t *testing.T) {
				s := newHandoverServer(t)
				if err := os.RemoveAll(filepath.Join(s.sites, "containers", store)); err != nil {
					t.Fatal(err)
				}
				if state != "missing" {
					s.put(store, state+"/", ourStack)
				}
				s.mustFail("migrate", "Nothing of psydge was changed", "- "+store+" is "+state+": docker start "+store)
				s.expect(map[string]string{})
			})
		}
	}
	for _, label := range []string{"", "staging"} {
		t.Run("beside somebody else's of "+label, func(t *testing.T) {
			s := newHandoverServer(t)
			s.put(migrated, "running/", label)
			s.mustFail("migrate", "The container psydge_migrate stands in the way", "does not belong to the stack prod")
			s.expect(map[string]string{migrated: "old psydge_migrate: running/"})
		})
	}
}

func TestVariablesArriveUnchangedAndOnNoCommandLine(t *testing.T) {
	for _, step := range []string{"try", "take", "migrate"} {
		t.Run(step, func(t *testing.T) {
			s := newHandoverServer(t)
			s.put(current, "running/healthy", ourStack)
			s.mustDo(step)
			for key, want := range map[string]string{
				"GREETING": awkward, "SECRET_KEY": awkward, "EMPTY": "", "ALORIG_APP": "psydge", "PORT": "8012",
				"DATABASE_URL": "postgres://c4n4ry", "REDIS_URL": "redis://c4n4ry",
			} {
				got, err := os.ReadFile(filepath.Join(s.sites, "env", key))
				if err != nil || string(got) != want {
					t.Errorf("%s is %q (%v), want %q", key, got, err, want)
				}
			}
			if strings.Contains(s.read("asked"), "c4n4ry") {
				t.Errorf("a value stands on a command line:\n%s", s.read("asked"))
			}
			if strings.Contains(s.scripts()[step].create, "c4n4ry") {
				t.Error("a value stands in the script, which is a command line")
			}
		})
	}
}

// The script of an update that was killed may still be at it.
func TestTwoScriptsNeverWorkOnTheSameContainer(t *testing.T) {
	s := newHandoverServer(t)
	s.put(current, "running/healthy", ourStack)
	results := make(chan string, 4)
	for range cap(results) {
		go func() {
			out, err := s.step("try")
			if err != nil {
				out = err.Error() + ": " + out
			}
			results <- out
		}()
	}
	for range cap(results) {
		if out := <-results; out != "" {
			t.Error(out)
		}
	}
	s.expect(map[string]string{current: "old psydge_backend: running/healthy"})
}
