package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/client"
	"golang.org/x/mod/modfile"

	"github.com/alorig/fleet/internal/containers"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/settings"
)

// The end-to-end suite: what the program promises, on the real engine with the official
// providers and real servers. `make e2e` runs its parts, which build on each other, in this
// order; with PART, `make e2e` runs one part alone, or several with commas between them.
var parts = []part{
	{"existing", (*suite).testExistingPlatform},
	{"up", (*suite).testUpFromNothing},
	{"previews", (*suite).testPreviewsAreEmpty},
	{"routes", (*suite).testRoutes},
	{"ports", (*suite).testPorts},
	{"isolation", (*suite).testIsolation},
	{"handover", (*suite).testHandover},
	{"rollback", (*suite).testRollback},
	{"both", (*suite).testHandoverOfTwoContainers},
	{"rotation", (*suite).testRotation},
	{"failures", (*suite).testFailuresLeaveTheOldVersion},
	{"outages", (*suite).testOutages},
	{"drift", (*suite).testDrift},
	{"kills", (*suite).testKills},
	{"destroy", (*suite).testDestroy},
	{"memory", (*suite).testMemory},
	{"secrets", (*suite).testSecrets},
	{"compose", (*suite).testCompose},
}

type part struct {
	name string
	run  func(*suite, *testing.T)
}

// fleet is what the suite brings up: all apps, or those through which a rollout has come.
var fleet = ledger.Alorig()

func TestFleet(t *testing.T) {
	if os.Getenv("E2E") == "" {
		t.Skip("the end-to-end suite takes the whole Docker engine for about forty minutes; run it with `make e2e`")
	}
	chosen := choose(t, parts, os.Getenv("PART"))
	s := newSuite(t)
	if missing := s.missingPlugins(t); len(missing) > 0 {
		t.Skipf("the official providers are not all installed: %s missing", strings.Join(missing, ", "))
	}
	s.runParts(t, chosen, len(chosen) < len(parts))
}

// choose returns the parts with the names, in their own order; all where none is named.
func choose(t *testing.T, all []part, names string) []part {
	t.Helper()
	if names == "" {
		return all
	}
	wanted := strings.Split(names, ",")
	var chosen []part
	for _, p := range all {
		if slices.Contains(wanted, p.name) {
			chosen = append(chosen, p)
		}
	}
	if len(chosen) != len(wanted) {
		var known []string
		for _, p := range all {
			known = append(known, p.name)
		}
		t.Fatalf("PART=%s names a part that there is not; accepted: %s", names, strings.Join(known, ", "))
	}
	return chosen
}

// runParts runs parts in their order. Single ones run on the fleet that is up, or bring it up
// first, and leave it; after all of them nothing is left, whatever became of them.
func (s *suite) runParts(t *testing.T, chosen []part, single bool) {
	t.Helper()
	defer s.reportFigures(t)
	first := chosen[0].name
	present, err := s.containers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keep := single && first != "existing" && first != "up"
	if len(present) == 0 || !keep {
		s.startAnew(t, present)
		if keep {
			chosen = append([]part{{"up", (*suite).testUpFromNothing}}, chosen...)
		}
	}
	s.startSampling(t)
	if single && first != "existing" {
		t.Log("the fleet stays; the next whole run takes it down, or `make down DATA=delete`")
	} else {
		defer s.takeDownWhenInterrupted()()
		t.Cleanup(func() {
			if t.Failed() {
				said, err := tryDocker("ps", "--all", "--format", "{{.Names}} {{.Image}} {{.Status}}", "--filter", "label="+ledger.LabelStack+"="+stack)
				t.Logf("the containers before all of it was taken down (%v); PART=… keeps them:\n%s", err, said)
			}
			s.takeDown(t)
		})
	}
	for _, part := range chosen {
		ok := t.Run(part.name, func(t *testing.T) { part.run(s, t) })
		if !ok && (part.name == "up" || t.Context().Err() != nil) {
			t.Fatal("without a fleet there is nothing to try")
		}
	}
}

// suite is one run of the end-to-end suite.
type suite struct {
	sandbox
	own     ownSecrets
	figures map[string]time.Duration // what docs/performance.md shows

	// modest spares a machine that does other work besides: fewer requests a second, and the
	// CLI keeps its share of the processor.
	modest bool
	// elsewhere lets the CLI and its providers have what the server and its visitors leave
	// of the processor, as if they ran on the operator's own machine.
	elsewhere bool

	mu     sync.Mutex
	said   bytes.Buffer // everything Pulumi has printed
	memory map[string]float64
}

// newSuite finds out whether the suite can run on this engine, and says in one line why not.
func newSuite(t *testing.T) *suite {
	t.Helper()
	if said, err := exec.Command("docker", "info", "--format", "{{.ServerVersion}}").CombinedOutput(); err != nil {
		t.Skipf("no Docker engine answers: %s", bytes.TrimSpace(said))
	}
	box, err := open()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chdir(box.root); err != nil {
		t.Fatal(err)
	}
	s := &suite{sandbox: box, figures: map[string]time.Duration{}, memory: map[string]float64{}}
	if s.own, err = s.secrets(); err != nil {
		t.Fatal(err)
	}
	return s
}

// startAnew takes down what an earlier run of the suite has left, by labels that nothing
// else has. What somebody else has started under our names, or on our ports, stays, and the
// suite does not run beside it.
func (s *suite) startAnew(t *testing.T, present []string) {
	t.Helper()
	if len(present) > 0 && !s.leftByASuite() {
		t.Fatal("a sandbox is up on this engine; take it down first: make down DATA=delete")
	}
	removeByHand(t)
	s.takeDown(t)
	var taken []string
	for name := range ledgerMemory() {
		if _, err := tryDocker("container", "inspect", name); err == nil {
			taken = append(taken, "the container "+name)
		}
	}
	if _, err := tryDocker("network", "inspect", fleet.Server.Network); err == nil {
		taken = append(taken, "the network "+fleet.Server.Network)
	}
	for _, port := range []string{":80", ":443"} {
		l, err := net.Listen("tcp", port)
		if errors.Is(err, syscall.EADDRINUSE) {
			taken = append(taken, "port "+port[1:])
		}
		if err == nil {
			_ = l.Close() // nothing came
		}
	}
	if len(taken) > 0 {
		slices.Sort(taken)
		t.Skipf("somebody else's on this machine: %s", strings.Join(taken, ", "))
	}
	docker(t, "volume", "create", "--label", ledger.LabelStack+"="+stack, suiteMark)
}

// suiteMark is a volume that tells that what runs belongs to the suite and may go.
const suiteMark = "alorig_sandbox_suite"

func (s *suite) leftByASuite() bool {
	return exec.Command("docker", "volume", "inspect", suiteMark).Run() == nil
}

// takeDownWhenInterrupted takes the fleet down on Ctrl-C, which ends a test without its
// clean-ups, until the function it returns is called.
func (s *suite) takeDownWhenInterrupted() (stop func()) {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			fmt.Fprintln(os.Stderr, "Interrupted; the fleet is taken down.")
			if err := s.deleteAll(context.Background()); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
			os.Exit(130)
		case <-done:
		}
	}()
	return func() { signal.Stop(signals); close(done) }
}

func (s *suite) takeDown(t *testing.T) {
	t.Helper()
	// A test's own context has ended when its clean-up runs.
	if err := s.deleteAll(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	box, err := open()
	if err != nil {
		t.Fatal(err)
	}
	s.sandbox = box
	if s.own, err = s.secrets(); err != nil {
		t.Fatal(err)
	}
}

// missingPlugins are the providers and the language host that are not installed in the
// versions that go.mod names.
func (s *suite) missingPlugins(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	module, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	home := os.Getenv("PULUMI_HOME")
	if home == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			t.Fatal(err)
		}
		home = filepath.Join(user, ".pulumi")
	}
	var missing []string
	for _, r := range module.Require {
		path, ok := strings.CutPrefix(r.Mod.Path, "github.com/pulumi/pulumi-")
		name, _, isSDK := strings.Cut(path, "/sdk")
		if !ok || !isSDK {
			continue
		}
		// The CLI takes a directory for a plugin, whatever is in it.
		program := filepath.Join(home, "plugins", "resource-"+name+"-"+r.Mod.Version, "pulumi-resource-"+name)
		if info, err := os.Stat(program); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			missing = append(missing, name+" "+r.Mod.Version)
		}
	}
	if _, err := exec.LookPath("pulumi-language-go"); err != nil {
		missing = append(missing, "pulumi-language-go on the PATH")
	}
	if len(missing) == 0 {
		t.Log("runs with the official providers in the versions of go.mod")
	}
	return missing
}

// pulumi runs the official CLI on the sandbox's stack, as an operator would, and keeps
// what it says for the search for secrets.
func (s *suite) pulumi(t *testing.T, args ...string) (string, error) {
	t.Helper()
	started := time.Now()
	said, err := s.pulumiQuietly(t, args...)
	s.mu.Lock()
	s.said.WriteString(said)
	s.mu.Unlock()
	t.Logf("pulumi %s: %s, %v", args[0], time.Since(started).Round(100*time.Millisecond), errorOrDone(err))
	return said, err
}

func errorOrDone(err error) string {
	if err != nil {
		return err.Error()
	}
	return "done"
}

// runElsewhere lets the CLI run elsewhere until the function it returns is called.
func (s *suite) runElsewhere() (back func()) {
	s.elsewhere = !s.modest
	return func() { s.elsewhere = false }
}

// command is the sandbox's command, at the lowest weight where the CLI runs elsewhere. The
// session is a group of its own to the scheduler.
func (s *suite) command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	cmd, err := s.sandbox.command(ctx, s.own, args...)
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = withUs
	if !s.elsewhere {
		return cmd, nil
	}
	cmd.Args = append([]string{"sh", "-c", `[ ! -e /proc/self/autogroup ] || echo 19 >/proc/self/autogroup; exec nice -n 19 "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	return cmd, nil
}

// withUs ends a process with the suite, which can be killed too: nothing of it may be at work
// while the next run begins.
var withUs = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}

func (s *suite) pulumiQuietly(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd, err := s.command(context.WithoutCancel(t.Context()), args...)
	if err != nil {
		t.Fatal(err)
	}
	said, err := cmd.CombinedOutput()
	return string(said), err
}

// upArgs are the arguments of every update.
func (s *suite) upArgs() []string {
	return []string{"up", "--yes", "--skip-preview", "--suppress-progress", "--policy-pack", s.pack()}
}

func (s *suite) up(t *testing.T) (said string) {
	t.Helper()
	said, err := s.pulumi(t, s.upArgs()...)
	if err != nil {
		t.Fatalf("the update failed: %v\n%s", err, said)
	}
	return said
}

// upFails expects an update to fail with all of the texts in what it says.
func (s *suite) upFails(t *testing.T, texts ...string) {
	t.Helper()
	said, err := s.pulumi(t, s.upArgs()...)
	if err == nil {
		t.Errorf("the update succeeded:\n%s", said)
	}
	for _, text := range texts {
		if !strings.Contains(said, text) {
			t.Errorf("want %q in what the update says, got:\n%s", text, said)
		}
	}
}

// setImage gives an app's image another version, by configuration as an operator does.
func (s *suite) setImage(t *testing.T, name, reference string) {
	t.Helper()
	if said, err := s.pulumi(t, "config", "set", "--path", fmt.Sprintf("%s:images[%q]", settings.Project, name), reference); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
}

// docker runs the docker command and returns what it prints.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := tryDocker(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryDocker(args ...string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.Command("docker", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.TrimSpace(string(out)), nil
}

// condition says whether a container is ready, by its own probe where Docker has not looked
// yet, or what else it is.
func condition(t *testing.T, name string) string {
	t.Helper()
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	found, err := containers.Look(t.Context(), engine, name)
	if err != nil {
		t.Fatal(err)
	}
	return found.Condition.String()
}

// expectHealthy holds every container that the sandbox should have against what runs.
func (s *suite) expectHealthy(t *testing.T) {
	t.Helper()
	want := []string{"alorig_postgres", "alorig_redis", "alorig_caddy"}
	for _, app := range fleet.Apps {
		for _, c := range app.Containers {
			want = append(want, ledger.ContainerName(app.Name, c.Role))
		}
	}
	for _, name := range want {
		if got := condition(t, name); got != "ready" {
			t.Errorf("%s is %s", name, got)
		}
	}
	present := slices.Sorted(maps.Keys(s.ids(t)))
	slices.Sort(want)
	if !slices.Equal(present, want) {
		t.Errorf("the stack's containers are %v, want %v", present, want)
	}
	beside := docker(t, "ps", "--format", "{{.Names}}", "--filter", "label="+ledger.LabelStack+"="+stack)
	for _, name := range lines(beside) {
		if transient(name) {
			t.Errorf("%s still runs", name)
		}
	}
}

func (s *suite) testUpFromNothing(t *testing.T) {
	started := time.Now()
	if err := s.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.buildVersions(t)
	t.Logf("images and the emulated API after %s", time.Since(started).Round(time.Second))
	started = time.Now()
	s.up(t)
	s.figures["up from nothing"] = time.Since(started)
	s.expectHealthy(t)
}

func (s *suite) testPreviewsAreEmpty(t *testing.T) {
	s.expectNoChanges(t)
	started := time.Now()
	s.up(t)
	s.figures["up without a change"] = time.Since(started)
}

// expectNoChanges expects that the next update would change nothing.
func (s *suite) expectNoChanges(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{{"preview"}, {"preview", "--refresh"}} {
		said, err := s.pulumi(t, append(args, "--expect-no-changes", "--policy-pack", s.pack(), "--diff")...)
		if err != nil {
			t.Errorf("%v is not empty: %v\n%s", args, err, said)
		}
	}
}

// versions are images made from the demo project's: the next version, and such as fail in
// one way each. Each is a directory of sandbox/versions.
var versions = []string{"2", "crash", "sick", "broken-migration"}

// image is the reference of a version of the demo project.
func image(version string) string { return "alorig-sandbox/django:" + version }

func (s *suite) buildVersions(t *testing.T) {
	t.Helper()
	docker(t, "tag", "alorig-sandbox/payload:1", "alorig-sandbox/payload:2")
	for _, version := range versions {
		cmd := exec.Command(filepath.Join(s.root, "sandbox", "images", "layer.sh"), image(version), image("1"),
			filepath.Join(s.root, "sandbox", "versions", version), "/app", "ENV DEMO_VERSION="+version)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building version %s: %v: %s", version, err, said)
		}
	}
}

// waitFor asks until the answer is right, for a minute at most.
func waitFor(t *testing.T, what string, right func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err = right(); err == nil {
			return
		}
	}
	t.Errorf("%s: %v", what, err)
}
