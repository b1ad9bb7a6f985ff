package workload

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alorig/fleet/internal/ledger"
)

func psydge() (ledger.App, []Spec) {
	app, _ := ledger.Alorig().App("psydge")
	return app, []Spec{
		{Role: ledger.Backend, Process: Gunicorn{Workers: 3, Threads: 2}},
		{Role: ledger.Channels, Process: Daphne{Threads: 2}},
		{Role: ledger.Worker, Process: CeleryWorker{Concurrency: 4}},
		{Role: ledger.Beat, Process: CeleryBeat{}},
	}
}

func TestWhatRunsIsHeldAgainstTheLedger(t *testing.T) {
	t.Parallel()
	app, specs := psydge()
	if err := Check(app, specs); err != nil {
		t.Fatal(err)
	}
	specs[0].Process = Gunicorn{Workers: 4, Threads: 2}
	specs[2].Role = ledger.Backend
	specs[3].Role = ledger.Payload
	app.Containers = slices.Clone(app.Containers)
	app.Containers[2].Database = "other_db"
	err := Check(app, specs)
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	for _, want := range []string{
		"psydge_backend holds up to 8 PostgreSQL connections, the ledger gives it 6; run fewer",
		"runs psydge_backend twice",
		"runs psydge_payload, which the ledger does not book",
		"gives psydge_celery_worker the database \"other_db\", which psydge does not have",
		"books psydge_celery_worker, and stacks/psydge.go runs nothing in it",
		"books psydge_celery_beat, and",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("does not say %q:\n%v", want, err)
		}
	}
	if lines := strings.Count(err.Error(), "\n") + 1; lines != 6 {
		t.Errorf("%d problems, want 6:\n%v", lines, err)
	}
}

func TestASpecWithoutAProcessIsNamed(t *testing.T) {
	t.Parallel()
	app, specs := psydge()
	specs[0].Process = nil
	if err := Check(app, specs); err == nil || err.Error() != "stacks/psydge.go gives psydge_backend no Process; set one of internal/workload/process.go, such as workload.Gunicorn" {
		t.Errorf("%v", err)
	}
}

// What a spec sets for a process wins over what the process sets for itself.
func TestTheSpecComesLast(t *testing.T) {
	t.Parallel()
	app, specs := psydge()
	c, _ := app.Container(ledger.Channels)
	specs[1].Environment = map[string]string{"ASGI_THREADS": "9", "DJANGO_ALLOWED_HOSTS": "*"}
	env := specs[1].Variables(Place{app, c})
	if env["ASGI_THREADS"] != "9" || env["DJANGO_ALLOWED_HOSTS"] != "*" || env["DJANGO_CSRF_TRUSTED_ORIGINS"] == "" {
		t.Errorf("%v", env)
	}
}

// A loop that hangs is found, though the container's init, which has beat's words on its own
// command line, goes on waking.
func TestBeatIsNotTakenForItsInit(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 to run the probe with")
	}
	proc, note := t.TempDir(), filepath.Join(t.TempDir(), "note")
	script := strings.NewReplacer("/proc/", proc+"/", "/tmp/beat-probe", note).Replace(beatProbe)
	healthy := func() bool { return exec.Command(python, "-c", script, "300").Run() == nil }
	runs := func(pid string, wakeups int, words ...string) {
		t.Helper()
		err := os.MkdirAll(filepath.Join(proc, pid), 0o700)
		for name, text := range map[string]string{
			"cmdline": strings.Join(words, "\x00") + "\x00",
			"status":  fmt.Sprintf("Name:\tx\nvoluntary_ctxt_switches:\t%d\n", wakeups),
		} {
			if err == nil {
				err = os.WriteFile(filepath.Join(proc, pid, name), []byte(text), 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	beat := CeleryBeat{}.At(Place{}).Command
	initial := append([]string{"/sbin/docker-init", "--"}, beat...)
	running := append([]string{"/usr/local/bin/python3", "/usr/local/bin/celery"}, beat[1:]...)

	runs("1", 10, initial...)
	if healthy() {
		t.Error("the init alone is taken for beat")
	}
	runs("7", 5, running...)
	if !healthy() {
		t.Fatal("beat is not found")
	}
	long := time.Now().Add(-10 * time.Minute)
	if err := os.Chtimes(note, long, long); err != nil {
		t.Fatal(err)
	}
	runs("1", 11, initial...)
	if healthy() {
		t.Error("beat has not woken for ten minutes, and is called healthy")
	}
	runs("7", 6, running...)
	if !healthy() {
		t.Error("beat has woken, and is called unhealthy")
	}
}

// With a main process of 110 MB, as Django with its libraries has, a process of the pool begins at
// that: it must not be renewed after every task (celery/celery#4125).
func TestAWorkersProcessMayGrow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		limit       ledger.MiB
		concurrency int
	}{{900, 4}, {350, 3}, {400, 3}, {350, 2}, {170, 1}, {280, 2}} { // the fleet's
		above := CeleryWorker{Concurrency: tt.concurrency}.renewedAbove(tt.limit)
		if above < 110+30 || above > tt.limit {
			t.Errorf("of %d MiB, each of %d processes is renewed above %d MiB", tt.limit, tt.concurrency, above)
		}
	}
}

// A container that comes up at the last moment that its probe allows is still waited for:
// otherwise an update fails while nothing is wrong.
func TestAnUpdateIsAsPatientAsItsProbes(t *testing.T) {
	t.Parallel()
	for name, timing := range map[string]Timing{"serving": servingTiming, "worker": workerTiming, "beat": beatTiming, "service": serviceTiming} {
		if longest := timing.StartUp + timing.Interval + timing.Timeout; longest > Patience {
			t.Errorf("%s: a healthy container may take %s, an update waits %s", name, longest, Patience)
		}
		if timing.Timeout >= timing.Interval || timing.Interval < time.Second {
			t.Errorf("%s: %+v", name, timing)
		}
	}
}

// A probe that Docker ends says nothing, and its process may outlive the check.
func TestAProbeGivesUpBeforeItsTimeout(t *testing.T) {
	t.Parallel()
	own := regexp.MustCompile(`(?:timeout[=:] ?|monotonic\(\) \+ )(\d+)`)
	for name, c := range map[string]struct {
		script string
		unit   string
		timing Timing
	}{
		"http.py":   {httpProbe, "s", servingTiming},
		"http.js":   {nodeHTTPProbe, "ms", servingTiming},
		"worker.py": {workerProbe, "s", workerTiming},
	} {
		found := own.FindStringSubmatch(c.script)
		if found == nil {
			t.Errorf("%s waits for ever", name)
			continue
		}
		if patience, err := time.ParseDuration(found[1] + c.unit); err != nil || patience >= c.timing.Timeout {
			t.Errorf("%s waits %s, and Docker waits %s for it (%v)", name, patience, c.timing.Timeout, err)
		}
	}
}
