package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/client"
	"github.com/gofrs/flock"

	"github.com/alorig/fleet/internal/containers"
	"github.com/alorig/fleet/internal/containers/containerstest"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
)

var handoverVerbs = []document.Verb{document.TryNext, document.TakeOver, document.EndHandover}

// handedOver is what the verbs of a handover read. The container of the document is the new
// version, which behaves as the words say.
func handedOver(t *testing.T, name string, behaviour ...string) document.Handover {
	t.Helper()
	return document.Handover{
		Header: document.NewHeader("psydge", name), Stack: containerstest.Stack,
		Container: containerstest.Container(name, append(behaviour, "SECRET="+canary)...),
		Lock:      filepath.Join(t.TempDir(), "lock"), Patience: 30,
	}
}

// serve starts a version that serves, and returns its ID when it is ready.
func serve(t *testing.T, docker *client.Client, name string, behaviour ...string) string {
	t.Helper()
	id := containerstest.Start(t, docker, containerstest.Container(name, behaviour...))
	ready(t, docker, name)
	return id
}

func ready(t *testing.T, docker *client.Client, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := containers.AwaitReady(t.Context(), docker, patience, containers.Wait{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
}

// replace does what the provider does between take-over and end-handover: it deletes the old
// container by its ID, and creates its own.
func replace(t *testing.T, docker *client.Client, old string, with document.Container) string {
	t.Helper()
	if err := containers.Remove(t.Context(), docker, old); err != nil {
		t.Fatal(err)
	}
	return containerstest.Start(t, docker, with)
}

func TestAHandover(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	name := containerstest.Name(t)
	next, previous := ledger.NextName(name), ledger.PreviousName(name)
	d := handedOver(t, name, "BOOT=300ms")
	old := serve(t, docker, name)
	v := visit(t, docker, name)

	if did := mustDo(t, document.TryNext, d).Did; strings.Join(did, ", ") != next+" started, "+next+" is ready, "+next+" removed" {
		t.Errorf("try-next: %q", did)
	}
	expect(t, docker, name, map[string]string{name: old + " running"}, old)

	if did := mustDo(t, document.TakeOver, d).Did; strings.Join(did, ", ") != next+" started, "+next+" is ready, "+next+" serves in place of "+name {
		t.Errorf("take-over: %q", did)
	}
	expect(t, docker, name, map[string]string{previous: old + " running", next: "new running"}, old)
	if got, _ := docker.ContainerInspect(t.Context(), next); got.HostConfig.RestartPolicy.Name != "unless-stopped" || got.HostConfig.CPUShares != 1024 {
		t.Errorf("the next version, which serves now, is restarted %q and has the weight %d", got.HostConfig.RestartPolicy.Name, got.HostConfig.CPUShares)
	}

	its := replace(t, docker, old, d.Container)
	if did := mustDo(t, document.EndHandover, d).Did; !strings.HasSuffix(strings.Join(did, ", "), next+" removed") {
		t.Errorf("end-handover: %q", did)
	}
	expect(t, docker, name, map[string]string{name: its + " running"}, its)
	if did := mustDo(t, document.EndHandover, d).Did; len(did) != 0 {
		t.Errorf("nothing is left to do, and it did %q", did)
	}
	expect(t, docker, name, map[string]string{name: its + " running"}, its)
	v.leave(t)
}

// Until it serves, the next version has less of the processor than who does, and is not
// started again. In all else it is the declared container.
func TestTheNextVersionIsTheDeclaredContainer(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	name := containerstest.Name(t)
	serve(t, docker, name)
	d := handedOver(t, name, "DEAF=1")
	d.Patience = 1
	mustFail(t, document.TryNext, d)
	declared := d.Container
	declared.Name = name + "_declared"
	if err := containers.Create(t.Context(), docker, declared); err != nil {
		t.Fatal(err)
	}
	asText := func(name string) (config, host string) {
		got, err := docker.ContainerInspect(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		got.Config.Hostname = ""
		if name == ledger.NextName(d.Container.Name) {
			if got.HostConfig.RestartPolicy.Name != "no" || got.HostConfig.CPUShares != document.BackgroundShares {
				t.Errorf("it is restarted %q and has the weight %d", got.HostConfig.RestartPolicy.Name, got.HostConfig.CPUShares)
			}
			got.HostConfig.RestartPolicy.Name, got.HostConfig.CPUShares = "unless-stopped", 0
		}
		config, _ = document.Write(got.Config)
		host, _ = document.Write(got.HostConfig)
		return config, host
	}
	nextConfig, nextHost := asText(ledger.NextName(name))
	if config, host := asText(declared.Name); nextConfig != config || nextHost != host {
		t.Errorf("the next version is\n%s\n%s, the declared container\n%s\n%s", nextConfig, nextHost, config, host)
	}
}

// A killed verb is run again, and the update goes on to its end. Whoever served goes on
// serving throughout.
func TestAVerbThatIsKilledIsTakenUp(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	for _, k := range []struct {
		verb     document.Verb
		who      func(string) string
		action   string
		replaces bool // the provider replaces the container before the end
	}{
		{document.TryNext, ledger.NextName, "create", false},
		{document.TryNext, ledger.NextName, "start", false},
		{document.TryNext, ledger.NextName, "exec_die", false},
		{document.TryNext, ledger.NextName, "kill", false},
		{document.TryNext, ledger.NextName, "destroy", false},
		{document.TakeOver, ledger.NextName, "create", false},
		{document.TakeOver, ledger.NextName, "start", false},
		{document.TakeOver, ledger.NextName, "exec_die", false},
		{document.TakeOver, ledger.NextName, "update", true},
		{document.TakeOver, ledger.PreviousName, "rename", true},
		{document.EndHandover, current, "exec_die", true},
		{document.EndHandover, ledger.NextName, "kill", true},
		{document.EndHandover, ledger.NextName, "stop", true},
		{document.EndHandover, ledger.NextName, "destroy", true},
		{document.EndHandover, current, "rename", false},
	} {
		t.Run(string(k.verb)+" at the "+k.action+" of "+k.who("X"), func(t *testing.T) {
			t.Parallel()
			name := containerstest.Name(t)
			d := handedOver(t, name, "BOOT=300ms")
			id := serve(t, docker, name)
			v := visit(t, docker, name)
			heard := listen(t, docker, name)
			for _, verb := range handoverVerbs {
				if verb == document.EndHandover && k.replaces {
					id = replace(t, docker, id, d.Container)
				}
				if verb == k.verb {
					for drained := false; !drained; {
						select {
						case <-heard:
						default:
							drained = true
						}
					}
					p := begin(t, verb, d)
					p.await(heard, happening{k.who(name), k.action})
					p.kill()
				}
				mustDo(t, verb, d)
				if verb == document.TryNext && k.verb == document.TryNext {
					break // the rest is as in any update
				}
			}
			expect(t, docker, name, map[string]string{name: id + " running"}, id)
			v.leave(t)
		})
	}
}

func current(name string) string { return name }

// What serves is not asked to be ready: an update may be what mends it.
func TestASickContainerIsHandedOver(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	name := containerstest.Name(t)
	old := containerstest.Start(t, docker, containerstest.Container(name, "DEAF=1"))
	mustDo(t, document.TakeOver, handedOver(t, name))
	expect(t, docker, name, map[string]string{ledger.PreviousName(name): old + " running", ledger.NextName(name): "new running"}, old)
}

func TestWhereNothingServesNothingIsHandedOver(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	name := containerstest.Name(t)
	d := handedOver(t, name)
	try := func(is string) {
		for _, verb := range handoverVerbs[:2] {
			if did := mustDo(t, verb, d).Did; len(did) != 0 {
				t.Errorf("%s did %q", verb, did)
			}
		}
		mustFail(t, document.EndHandover, d, "the handover of "+name+" cannot end: the container is "+is+"; nothing serves in its place", "pulumi refresh")
	}
	try("missing")
	expect(t, docker, name, map[string]string{})
	old := containerstest.Start(t, docker, d.Container)
	if err := containers.Stop(t.Context(), docker, name); err != nil {
		t.Fatal(err)
	}
	try("stopped")
	expect(t, docker, name, map[string]string{name: old + " exited"}, old)
}

func TestANextVersionThatFailsIsStoppedAndKept(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	both := handoverVerbs[:2] // which do the same until the next version is ready
	first := both[:1]
	for name, tt := range map[string]struct {
		behaviour []string
		change    func(*document.Container)
		left      string // status of what is kept
		says      string
		verbs     []document.Verb
	}{
		"never ready":     {[]string{"DEAF=1"}, nil, "exited", "is still starting after 2s", first},
		"unhealthy":       {[]string{"DEAF=1"}, func(c *document.Container) { c.Probe.Interval, c.Probe.StartUp, c.Probe.Retries = 1, 0, 1 }, "exited", "is unhealthy", first},
		"ends by itself":  {[]string{"EXIT=3"}, nil, "exited", "has ended with exit code 3", both},
		"does not start":  {nil, func(c *document.Container) { c.Entrypoint, c.Init = []string{"/missing"}, false }, "created", "/missing", first},
		"hangs and stays": {[]string{"HANGS=1", "STUBBORN=1"}, func(c *document.Container) { c.Probe.Timeout = 1 }, "exited", "is still starting after 2s", first},
	} {
		for _, verb := range tt.verbs {
			t.Run(string(verb)+": "+name, func(t *testing.T) {
				t.Parallel()
				name := containerstest.Name(t)
				next := ledger.NextName(name)
				old := serve(t, docker, name)
				v := visit(t, docker, name)
				d := handedOver(t, name, tt.behaviour...)
				if strings.HasSuffix(tt.says, "after 2s") {
					d.Patience = 2 // the others end before theirs
				}
				if tt.change != nil {
					tt.change(&d.Container)
				}
				mustFail(t, verb, d, "the next version of "+name+" did not become ready: ", next, tt.says,
					name+" has not been touched and goes on serving", "docker logs "+next, "run the update again")
				left, _ := docker.ContainerInspect(t.Context(), next)
				if left.ContainerJSONBase == nil {
					t.Fatal("nothing is kept")
				}
				expect(t, docker, name, map[string]string{name: old + " running", next: left.ID + " " + tt.left}, old, left.ID)
				if verb == document.TakeOver { // the next update clears it away
					mustDo(t, verb, handedOver(t, name))
					expect(t, docker, name, map[string]string{ledger.PreviousName(name): old + " running", next: "new running"}, old, left.ID)
				}
				v.leave(t)
			})
		}
	}
}

func TestANextVersionThatCannotBeMadeTouchesNothing(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	name := containerstest.Name(t)
	old := serve(t, docker, name)
	d := handedOver(t, name)
	d.Container.Image = "alorigtest_missing:latest"
	mustFail(t, document.TakeOver, d, "the next version of "+name+" was not made: ", "No such image", name+" has not been touched and goes on serving", "run the update again")
	expect(t, docker, name, map[string]string{name: old + " running"}, old)
}

// What the planner says of each leftover stands in its own test. Here some of them are made of
// real containers, with take-over's answer.
func TestWhatAKilledUpdateLeftIsSettled(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	const readyNow, stopped, deaf = "ready", "exited", "deaf"
	for what, tt := range map[string]struct{ current, next, previous, want string }{
		"killed when it was handed over":              {"", readyNow, readyNow, "previous: old previous running, next: new running"},
		"killed while the provider stops the old one": {"", readyNow, stopped, "previous: old previous exited, next: old next running"},
		"the old one was sick":                        {"", readyNow, deaf, "previous: old previous running, next: old next running"},
		"killed while the provider's own starts":      {deaf, readyNow, "", "current: old current running, next: old next running"},
		"all three":                                   {readyNow, readyNow, stopped, "previous: old current running, next: new running"},
		"only the old one, stopped":                   {"", "", stopped, "current: old previous exited"},
		"a failed try of an app that is down":         {"", stopped, "", ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			name := containerstest.Name(t)
			names := map[string]string{"current": name, "next": ledger.NextName(name), "previous": ledger.PreviousName(name)}
			ids := map[string]string{}
			var known []string
			for place, condition := range map[string]string{"current": tt.current, "next": tt.next, "previous": tt.previous} {
				c := containerstest.Container(names[place])
				switch condition {
				case "":
					continue
				case deaf:
					c.Environment["DEAF"] = "1"
				}
				ids["old "+place] = containerstest.Start(t, docker, c)
				known = append(known, ids["old "+place])
				switch condition {
				case readyNow:
					ready(t, docker, c.Name)
				case stopped:
					if err := containers.Stop(t.Context(), docker, c.Name); err != nil {
						t.Fatal(err)
					}
				}
			}
			mustDo(t, document.TakeOver, handedOver(t, name))
			want := map[string]string{}
			for pair := range strings.SplitSeq(tt.want, ", ") {
				if place, is, ok := strings.Cut(pair, ": "); ok {
					for old, id := range ids {
						is = strings.Replace(is, old, id, 1)
					}
					want[names[place]] = is
				}
			}
			expect(t, docker, name, want, known...)
		})
	}
}

func TestNobodyElsesContainerIsTouched(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	for _, label := range []string{"", "staging"} {
		for _, place := range []func(string) string{current, ledger.NextName, ledger.PreviousName} {
			t.Run(place("X")+" of "+label+".", func(t *testing.T) {
				t.Parallel()
				name := containerstest.Name(t)
				foreign := containerstest.Container(place(name))
				foreign.Labels = map[string]string{}
				if label != "" {
					foreign.Labels[ledger.LabelStack] = label
				}
				if err := containers.Create(t.Context(), docker, foreign); err != nil {
					t.Fatal(err)
				}
				got, _ := docker.ContainerInspect(t.Context(), foreign.Name)
				want, known := map[string]string{foreign.Name: got.ID + " created"}, []string{got.ID}
				if foreign.Name != name {
					if err := containers.Create(t.Context(), docker, containerstest.Container(name)); err != nil {
						t.Fatal(err)
					}
					ours, _ := docker.ContainerInspect(t.Context(), name)
					want[name], known = ours.ID+" created", append(known, ours.ID)
				}
				for _, verb := range handoverVerbs {
					mustFail(t, verb, handedOver(t, name), "the container "+foreign.Name+" stands in the way of a handover and does not belong to the stack "+containerstest.Stack, "rename or remove it, and run the update again")
				}
				expect(t, docker, name, want, known...)
			})
		}
	}
}

func TestTheNextVersionStaysUntilTheContainerIsReady(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	for what, tt := range map[string]struct {
		behaviour []string
		interval  int // of Docker's own looks
		missing   bool
		is, says  string
	}{
		"ended":        {behaviour: []string{"EXIT=3"}, interval: 30, is: "exited", says: "the container is stopped"},
		"missing":      {missing: true, says: "the container is missing"},
		"still starts": {behaviour: []string{"DEAF=1"}, interval: 30, is: "running", says: "is still starting after 2s, so"},
		"unhealthy":    {behaviour: []string{"DEAF=1"}, interval: 1, is: "running", says: "is unhealthy, so"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			name := containerstest.Name(t)
			next := ledger.NextName(name)
			serving := serve(t, docker, next)
			v := visit(t, docker, name)
			known, want := []string{serving}, map[string]string{next: serving + " running"}
			if !tt.missing {
				c := containerstest.Container(name, tt.behaviour...)
				c.Restart, c.Probe.Interval, c.Probe.StartUp, c.Probe.Retries = "no", tt.interval, 0, 1
				id := containerstest.Start(t, docker, c)
				if tt.is == "exited" {
					if _, err := containers.AwaitEnd(t.Context(), docker, name); err != nil {
						t.Fatal(err)
					}
				}
				known, want[name] = append(known, id), id+" "+tt.is
			}
			d := handedOver(t, name)
			d.Patience = 2
			if tt.interval == 1 {
				d.Patience = 30
			}
			mustFail(t, document.EndHandover, d, tt.says, next+" goes on serving in its place", "un the update again")
			expect(t, docker, name, want, known...)
			v.leave(t)
		})
	}
}

// The provider may find nothing to replace, or fail before it does. Whatever the end depends
// on follows every take-over, so each prints another text.
func TestAnUpdateThatReplacedNothingPutsTheOldOneBack(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	name := containerstest.Name(t)
	d := handedOver(t, name)
	old := serve(t, docker, name)
	v := visit(t, docker, name)
	first := mustDo(t, document.TakeOver, d)
	again := mustDo(t, document.TakeOver, d)
	if first.Run == again.Run {
		t.Errorf("both runs print %s; the end would not see that it ran again", first.Run)
	}
	mustDo(t, document.EndHandover, d)
	expect(t, docker, name, map[string]string{name: old + " running"}, old)
	v.leave(t)
}

// The program of an update that was killed may still be at it.
func TestTwoNeverWorkOnTheSameContainer(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	name := containerstest.Name(t)
	old := serve(t, docker, name)
	heard := listen(t, docker, ledger.NextName(name))
	d := handedOver(t, name)
	var all []*process
	for range 3 {
		all = append(all, begin(t, document.TryNext, d))
	}
	for _, p := range all {
		p.result()
	}
	expect(t, docker, name, map[string]string{name: old + " running"}, old)
	var order []string
	for deadline := time.After(patience); len(order) < 2*len(all); {
		select {
		case m := <-heard:
			if m.Action == "create" || m.Action == "destroy" {
				order = append(order, string(m.Action))
			}
		case <-deadline:
			t.Fatalf("heard only %v", order)
		}
	}
	if got := strings.Join(order, " "); got != "create destroy create destroy create destroy" {
		t.Errorf("in the order %s", got)
	}
}

// A connection that breaks ends its program.
func TestAProgramThatIsToldToEndEnds(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	t.Run("while it waits for the next version", func(t *testing.T) {
		t.Parallel()
		name := containerstest.Name(t)
		old := serve(t, docker, name)
		v := visit(t, docker, name)
		heard := listen(t, docker, name)
		for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
			p := begin(t, document.TakeOver, handedOver(t, name, "BOOT=1m"))
			p.await(heard, happening{ledger.NextName(name), "start"})
			p.signal(s)
			sent := time.Now()
			p.failure(s.String()+" signal received", "run the update again")
			if took := time.Since(sent); took > 20*time.Second {
				t.Errorf("it ended %s after %s", took, s)
			}
		}
		mustDo(t, document.TakeOver, handedOver(t, name))
		expect(t, docker, name, map[string]string{ledger.PreviousName(name): old + " running", ledger.NextName(name): "new running"}, old)
		v.leave(t)
	})
	t.Run("while it waits for the lock", func(t *testing.T) {
		t.Parallel()
		name := containerstest.Name(t)
		d := handedOver(t, name)
		other := flock.New(d.Lock)
		if err := other.Lock(); err != nil {
			t.Fatal(err)
		}
		defer other.Unlock()
		containerstest.Start(t, docker, d.Container)
		p := begin(t, document.TakeOver, d)
		select {
		case <-p.ended:
			t.Error("it does not wait")
		case <-time.After(3 * time.Second):
		}
		p.signal(syscall.SIGTERM)
		p.failure("terminated signal received, so run the update again: waiting for the lock " + d.Lock)
		if left, err := containerstest.List(t.Context(), docker, name); err != nil || len(left) != 1 {
			t.Errorf("there are %d containers (%v)", len(left), err)
		}
	})
	t.Run("while it waits for readiness", func(t *testing.T) {
		t.Parallel()
		name := containerstest.Name(t)
		containerstest.Start(t, docker, containerstest.Container(name, "BOOT=1m"))
		heard := listen(t, docker, name)
		p := begin(t, document.AwaitReady, document.Ready{Header: document.NewHeader("psydge", name), Patience: 60, Containers: []document.Awaited{{Name: name}}})
		p.await(heard, happening{name, "exec_die"})
		p.signal(syscall.SIGHUP)
		p.failure("hangup signal received")
	})
}

func TestALockThatCannotBeTaken(t *testing.T) {
	containerstest.Docker(t)
	t.Parallel()
	d := handedOver(t, containerstest.Name(t))
	d.Lock = filepath.Join(t.TempDir(), "missing", "lock")
	mustFail(t, document.TryNext, d, "taking the lock "+d.Lock, "must be able to write to its directory")
}

// awkward is all that something on the way could stumble over.
const awkward = canary + " 'single' \"double\" $HOME ${HOME} $(echo run) `echo run` \\ \\n * ; & | # %s = \n\tsecond line é\n"

func TestVariablesArriveUnchangedAndAreSeenNowhere(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	name := containerstest.Name(t)
	serve(t, docker, name)
	d := handedOver(t, name)
	d.Container.Environment["GREETING"], d.Container.Environment["EMPTY"] = awkward, ""

	watched := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-watched:
				return
			default:
				lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
				for _, path := range lines {
					if line, err := os.ReadFile(path); err == nil && strings.Contains(string(line), canary) {
						t.Errorf("a secret stands on a command line: %q", line)
					}
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
	})
	result := mustDo(t, document.TakeOver, d)
	close(watched)
	watching.Wait()
	if strings.Contains(strings.Join(result.Did, "\n"), canary) {
		t.Errorf("the result shows a secret: %q", result.Did)
	}
	said, code, err := containers.Exec(t.Context(), docker, ledger.NextName(name), nil, "/app", "environment")
	if err != nil || code != 0 {
		t.Fatalf("%d, %v: %s", code, err, said)
	}
	for key, value := range d.Container.Environment {
		if want := strconv.Quote(key + "=" + value); !strings.Contains(said, want+"\n") {
			t.Errorf("want %s among\n%s", want, said)
		}
	}
	kept, err := filepath.Glob(filepath.Join(filepath.Dir(program()), "*"))
	if err != nil || len(kept) < 2 {
		t.Fatalf("there is no log beside the program: %q (%v)", kept, err)
	}
	logged := false
	for _, path := range kept {
		if filepath.Base(path) == "alorig-server" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		logged = logged || strings.Contains(string(text), name)
		if strings.Contains(string(text), canary) {
			t.Errorf("%s shows a secret", path)
		}
	}
	if !logged {
		t.Errorf("no file of %q names %s", kept, name)
	}
}
