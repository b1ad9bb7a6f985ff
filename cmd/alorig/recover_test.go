package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alorig/fleet/internal/access/accesstest"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/recovery"
)

// wreck is a stack of which everything but the commands of this package is made up: the
// Pulumi CLI is a script, and the Docker engine has nothing.
type wreck struct {
	testing.TB
	dir string
}

// fakeCLI answers with files. A refresh settles, and leaves what it was called with.
const fakeCLI = `#!/bin/sh
cd %[1]q
echo "$*" >>calls
case "$*" in
*"config get"*) [ ! -e key ] || exec cat key; echo hunter2 ;;
*version*) echo v3.259.0 ;;
*whoami*) printf '{"url": "file://%%s"}\n' %[1]q ;;
*export*) [ ! -e meanwhile ] || mv meanwhile .pulumi/locks/organization/alorig/sandbox/one.json; [ ! -e fault ] || { cat fault >&2; echo hunter2; exit 255; }; cat state.json ;;
*refresh*) [ ! -e stuck ] || { cat stuck >&2; exit 255; }; echo "$*" >>ran; echo '{"version": 3, "deployment": {}}' >state.json ;;
esac
`

func newWreck(t *testing.T) *wreck {
	t.Helper()
	w := &wreck{TB: t, dir: t.TempDir()}
	w.cli()
	socket := filepath.Join(t.TempDir(), "d") // a socket's path must be short
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	engine := httptest.NewUnstartedServer(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		answer.Header().Set("Api-Version", "1.41")
		answer.Header().Set("Content-Type", "application/json")
		_, _ = answer.Write([]byte("[]"))
	}))
	engine.Listener = listener
	engine.Start()
	t.Cleanup(engine.Close)

	for _, name := range []string{"Pulumi.yaml", "Pulumi.sandbox.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		w.write(name, strings.Replace(string(text), "config:\n  alorig:rollout: asms", "config:\n  alorig:dockerSocket: unix://"+socket+"\n  alorig:rollout: asms", 1))
	}
	return w
}

// cli puts a Pulumi CLI on the PATH, whose state is empty.
func (w *wreck) cli() {
	w.Helper()
	bin := w.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "pulumi"), fmt.Appendf(nil, fakeCLI, w.dir), 0o755); err != nil {
		w.Fatal(err)
	}
	w.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	w.write("state.json", map[string]any{"version": 3, "deployment": map[string]any{}})
}

func (w *wreck) write(name string, content any) {
	w.Helper()
	text, ok := content.(string)
	if !ok {
		encoded, err := json.Marshal(content)
		if err != nil {
			w.Fatal(err)
		}
		text = string(encoded)
	}
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
}

func (w *wreck) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(w.dir, name))
	return string(text)
}

const lockName = ".pulumi/locks/organization/alorig/sandbox/one.json"

// lock leaves the lock of a process.
func (w *wreck) lock(pid int, host string) {
	w.write(lockName, map[string]any{"pid": pid, "username": "op", "hostname": host, "timestamp": time.Now()})
}

// pending leaves an operation that was under way.
func (w *wreck) pending() {
	resource := map[string]any{"urn": "urn:pulumi:sandbox::alorig::docker:index/container:Container::psydge-backend", "custom": true, "type": "docker:index/container:Container"}
	w.write("state.json", map[string]any{"version": 3, "deployment": map[string]any{
		"resources":          []any{map[string]any{"urn": "urn:pulumi:sandbox::alorig::pulumi:pulumi:Stack::alorig-sandbox", "type": "pulumi:pulumi:Stack"}},
		"pending_operations": []any{map[string]any{"type": "creating", "resource": resource}},
	}})
}

func (w *wreck) recover(args ...string) (code int, stdout, stderr string) {
	w.Helper()
	code, stdout, stderr = alorig(w, append([]string{"recover", "--stack", "sandbox", "--dir", w.dir}, args...)...)
	if strings.Contains(stdout+stderr, "hunter2") {
		w.Errorf("shows a secret: %s%s", stdout, stderr)
	}
	return code, stdout, stderr
}

// endedProcess is the number of a process that has ended.
func endedProcess(t testing.TB) int {
	t.Helper()
	cmd := exec.Command("/bin/true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

func TestRecoverNothing(t *testing.T) {
	w := newWreck(t)
	code, stdout, stderr := w.recover()
	if code != exitClean || stderr != "" || !strings.HasSuffix(stdout, "Nothing is in the way of the next update.\n") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

func TestRecoverAsksFirst(t *testing.T) {
	w := newWreck(t)
	here, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	w.lock(endedProcess(t), here)
	w.pending()
	code, stdout, stderr := w.recover()
	if code != exitRefused || stderr != "" {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{
		": dead, no process of this machine has its number any more\n",
		"  pending    creating docker:index/container:Container psydge-backend\n",
		"  1. Delete the lock of op@",
		"  2. Refresh what was under way, 1 operation, and forget 1 create, which the next update makes again.\n",
		"Nothing was done. There is nobody to ask here: run this on a terminal, or with --yes.\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("does not say %q: %s", want, stdout)
		}
	}
	if w.read(lockName) == "" || w.read("ran") != "" {
		t.Error("something was done")
	}

	code, stdout, stderr = w.recover("--yes")
	if code != exitClean || !strings.Contains(stdout, "1/2 Delete the lock") || !strings.HasSuffix(stdout, "Nothing is in the way of the next update.\n") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if w.read(lockName) != "" {
		t.Error("the lock is still there")
	}
	if ran := w.read("ran"); !strings.Contains(ran, "refresh --yes --skip-preview --clear-pending-creates") || strings.Count(ran, "\n") != 1 || !strings.Contains(ran, "--target urn:pulumi:sandbox::alorig::pulumi:pulumi:Stack::alorig-sandbox") {
		t.Errorf("runs %q", ran)
	}
}

func TestRecoverLeavesLocksOfOthers(t *testing.T) {
	w := newWreck(t)
	w.lock(1, "elsewhere")
	w.pending()
	code, stdout, stderr := w.recover("--yes")
	if code != exitRefused || stderr != "" || !strings.Contains(stdout, "- The lock of op@elsewhere, pid 1, since ") || !strings.Contains(stdout, "--lock-holder-is-gone") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if w.read(lockName) == "" || w.read("ran") != "" {
		t.Error("something was done")
	}
	if code, stdout, stderr := w.recover("--yes", "--lock-holder-is-gone"); code != exitClean {
		t.Errorf("by the operator's word: exit code %d: %s%s", code, stdout, stderr)
	}
}

func TestRecoverAsJSON(t *testing.T) {
	w := newWreck(t)
	w.pending()
	for _, yes := range []bool{false, true} {
		args := []string{"--json"}
		want := exitRefused
		if yes {
			args, want = append(args, "--yes"), exitClean
		}
		code, stdout, stderr := w.recover(args...)
		var o outcome
		decoder := json.NewDecoder(strings.NewReader(stdout))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&o); err != nil || decoder.More() {
			t.Fatalf("not one JSON value: %v: %s%s", err, stdout, stderr)
		}
		if code != want || len(o.Found.Operations) != 1 || len(o.Plan.Steps) != 1 || o.Plan.Steps[0].Do != recovery.Settle || o.Done != yes {
			t.Errorf("exit code %d: %s", code, stdout)
		}
		if yes && (o.Remaining == nil || !o.Remaining.Clear()) {
			t.Errorf("remaining is %+v", o.Remaining)
		}
	}
}

// What was found stands in the JSON of a failure too, and what was not looked at is null.
func TestRecoverAsJSONAfterAFault(t *testing.T) {
	fault := func(w *wreck, args ...string) outcome {
		t.Helper()
		code, stdout, stderr := w.recover(append(args, "--json")...)
		var o outcome
		decoder := json.NewDecoder(strings.NewReader(stdout))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&o); err != nil || decoder.More() {
			t.Fatalf("not one JSON value: %v: %s%s", err, stdout, stderr)
		}
		if code != exitFault || o.Done || o.Remaining != nil || len(o.Found.Locks) != 1 || o.Found.Locks[0].Host != "elsewhere" {
			t.Errorf("exit code %d: %s%s", code, stdout, stderr)
		}
		return o
	}
	w := newWreck(t)
	w.lock(1, "elsewhere")
	w.pending()
	w.write("stuck", "error: the provider cannot be reached\n")
	if o := fault(w, "--yes", "--lock-holder-is-gone"); !strings.Contains(o.Error, "step 2, settle sandbox: pulumi refresh: error: the provider cannot be reached") || len(o.Found.Operations) != 1 || len(o.Plan.Steps) != 2 {
		t.Errorf("a step failed: %+v", o)
	}
	w.lock(1, "elsewhere")
	w.write("fault", "error: the state is gone\n")
	if o := fault(w); !strings.Contains(o.Error, "pulumi stack export: error: the state is gone") || o.Found.Operations != nil || o.Found.Containers != nil || o.Plan.Steps != nil {
		t.Errorf("the look failed: %+v", o)
	}
}

// The CLI is asked for the stack as it was named: another organization has another stack.
func TestRecoverNamesTheStackAsItWasNamed(t *testing.T) {
	w := newWreck(t)
	w.pending()
	if code, stdout, stderr := w.recover("--yes", "--stack", "acme/alorig/sandbox"); code != exitClean || !strings.HasPrefix(stdout, "Stack sandbox, state in ") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	asked := 0
	for call := range strings.Lines(w.read("calls")) {
		if _, stack, named := strings.Cut(call, "--stack "); named {
			asked++
			if stack != "acme/alorig/sandbox\n" {
				t.Errorf("asks %s", call)
			}
		}
	}
	if asked < 3 {
		t.Errorf("asks for the stack %d times", asked)
	}
}

// Somebody locks the stack between the look and the steps.
func TestRecoverStopsForAnotherProcess(t *testing.T) {
	for _, args := range [][]string{{"--yes", "--lock-holder-is-gone"}, {"--yes", "--lock-holder-is-gone", "--json"}} {
		w := newWreck(t)
		w.lock(1, "elsewhere")
		// The export comes after the look at the locks: meanwhile the lock becomes that of this living test.
		here, _ := os.Hostname()
		text, err := json.Marshal(map[string]any{"pid": os.Getpid(), "username": "op\x1b[2J", "hostname": here, "timestamp": time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		w.write("meanwhile", string(text))
		code, stdout, stderr := w.recover(args...)
		if code != exitRefused {
			t.Errorf("%q: exit code %d: %s%s", args, code, stdout, stderr)
		}
		said := stdout
		if args[len(args)-1] == "--json" {
			var o outcome
			if err := json.Unmarshal([]byte(stdout), &o); err != nil || o.Done || o.Remaining != nil {
				t.Errorf("not the JSON of what was not done: %v: %s", err, stdout)
			}
			said = o.Stopped
		}
		for _, want := range []string{`the lock of op\x1b[2J@`, " is alive now: ", "(file " + lockName + " in file://" + w.dir + ")", "docs/runbook.md, When an update fails"} {
			if !strings.Contains(said, want) {
				t.Errorf("%q: does not say %q: %s%s", args, want, stdout, stderr)
			}
		}
		if w.read(lockName) == "" {
			t.Error("the lock of a living process is gone")
		}
	}
}

// Docker of the server is looked at, and mended, over SSH.
func TestRecoverOverSSH(t *testing.T) {
	f := newFaraway(t)
	w := &wreck{TB: t, dir: f.dir}
	w.cli()
	f.SetContainers(
		accesstest.Container{Name: "psydge_backend", Status: "running", Labels: map[string]string{ledger.LabelStack: "prod"}},
		accesstest.Container{Name: "psydge_celery_worker", Status: "exited", Labels: map[string]string{ledger.LabelStack: "staging"}},
		accesstest.Container{Name: "neighbour", Status: "running"},
	)
	code, stdout, stderr := alorig(t, "recover", "--stack", "prod", "--dir", f.dir, "--json", "--yes")
	var o outcome
	if err := json.Unmarshal([]byte(stdout), &o); err != nil {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	if code != exitRefused || o.Error != "" || !o.Done || len(o.Found.Containers) != 2 || !o.Found.Containers[0].Ours || o.Found.Containers[1].Label != "staging" {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if len(o.Plan.Steps) != 1 || o.Plan.Steps[0].Name != "psydge_backend" || len(o.Remaining.Steps) != 0 || len(o.Remaining.Undecided) != 1 {
		t.Errorf("plans %+v, and then %+v", o.Plan, o.Remaining)
	}
	if left := f.Containers(); len(left) != 2 || left[0].Name != "psydge_celery_worker" || left[1].Name != "neighbour" {
		t.Errorf("left are %+v", left)
	}
	if f.Logins() != 1 || strings.Contains(stdout+stderr, "PRIVATE KEY") {
		t.Errorf("%d logins: %s", f.Logins(), stderr)
	}
	// The way is said when it is not there.
	f.settings(t, accesstest.NewKey(t).Public)
	w.dir = f.dir
	w.cli()
	w.write("key", f.Login.Private)
	if code, stdout, _ := alorig(t, "recover", "--stack", "prod", "--dir", f.dir, "--json"); code != exitFault || !strings.Contains(stdout, "the server shows the host key SHA256:") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
}

func TestRecoverFaults(t *testing.T) {
	w := newWreck(t)
	for _, tt := range []struct {
		name   string
		args   []string
		stderr string
	}{
		{"path for a stack", []string{"--stack", "../prod"}, `--stack "../prod" names no stack`},
		{"unknown flag", []string{"--force"}, "unknown flag: --force"},
		{"argument too many", []string{"prod"}, `unknown command "prod"`},
	} {
		if code, stdout, stderr := w.recover(tt.args...); code != exitFault || stdout != "" || !strings.Contains(stderr, tt.stderr) {
			t.Errorf("%s: exit code %d: %s%s", tt.name, code, stdout, stderr)
		}
	}
	w.write("fault", "error: no stack named 'sandbox' found\n")
	if code, stdout, stderr := w.recover(); code != exitFault || stdout != "" || !strings.Contains(stderr, "pulumi stack export: error: no stack named 'sandbox' found") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	committed := w.read("Pulumi.sandbox.yaml")
	w.write("Pulumi.sandbox.yaml", strings.Replace(committed, "platform: managed", "platform: both", 1))
	if code, _, stderr := w.recover(); code != exitFault || !strings.Contains(stderr, `alorig:platform is "both"; accepted: existing, managed`) {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	w.write("Pulumi.sandbox.yaml", committed)
	t.Setenv("PATH", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if code, _, stderr := w.recover(); code != exitFault || !strings.Contains(stderr, "does not lie in the fleet repository") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// Pulumi Cloud shows nobody its locks: an update may be running.
func TestRecoverCallsNothingClearThatItCannotSee(t *testing.T) {
	t.Parallel()
	const clear = "Nothing is in the way"
	for _, c := range []struct {
		name  string
		found recovery.Found
		clear bool
	}{
		{"locks that are seen", recovery.Found{}, true},
		{"no locks to see", recovery.Found{NoLocks: true}, false},
		{"no locks to see, by the operator's word", recovery.Found{NoLocks: true, Trusted: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if err := conclude(&out, c.found, recovery.MakePlan(c.found)); err != nil {
				t.Fatal(err)
			}
			if said := out.String(); strings.Contains(said, clear) != c.clear {
				t.Errorf("it says %q", said)
			}
		})
	}
}
