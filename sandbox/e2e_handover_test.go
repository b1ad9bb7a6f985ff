package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alorig/fleet/internal/ledger"
)

// A new image for one app while GET and POST requests run through Caddy.
func (s *suite) testHandover(t *testing.T) {
	defer s.runElsewhere()()
	client := browser(t)
	before := countJobs(t, client, "https://snapify.pk")
	task := postTask(t, client, "https://snapify.pk", 20*time.Second)
	socket := openSocket(t, client)
	others := startAttack(browser(t), 20, otherApps("snapify"), nil)
	load := startAttack(browser(t), s.perSecond(), []string{"https://snapify.pk/"}, []string{"https://snapify.pk/jobs"})
	time.Sleep(5 * time.Second)
	s.figures["handover, longest wait at rest"] = rest(t, client, "https://snapify.pk")

	watched := watchEvents(t)
	s.setImage(t, "snapify-backend", image("2"))
	started := time.Now()
	s.compileAsPulumi(t)
	s.up(t)
	s.figures["handover of one app"] = time.Since(started)

	time.Sleep(5 * time.Second)
	load.stop()
	others.stop()
	load.expectClean(t)
	others.expectClean(t)
	socket.close(t)
	s.figures["handover, longest wait"] = load.metrics.Latencies.Max
	s.expectHealthy(t)
	expectVersion(t, client, "https://snapify.pk", "2")

	after := countJobs(t, client, "https://snapify.pk")
	posted := int(load.posted.Load()) + 1 // with the task
	if after.Jobs-before.Jobs != posted || after.Texts-before.Texts != posted {
		t.Errorf("%d POSTs were answered; %d are kept, %d different ones", posted, after.Jobs-before.Jobs, after.Texts-before.Texts)
	}
	expectDone(t, client, "https://snapify.pk", task)

	seen := watched()
	seen.once(t, "snapify_migrate", "create")
	seen.inOrder(t,
		event{"snapify_migrate", "die"}, event{"snapify_backend_next", "create"}, event{"snapify_backend_next", "update"},
		event{"snapify_backend_previous", "rename"}, event{"snapify_backend_previous", "die"}, event{"snapify_backend", "create"},
		event{"snapify_backend", "start"}, event{"snapify_backend_next", "die"}, event{"snapify_backend_next", "destroy"},
	)
	seen.inOrder(t, event{"snapify_backend_next", "update"}, event{"snapify_celery_worker", "die"}, event{"snapify_celery_worker", "start"})
	seen.inOrder(t, event{"snapify_celery_beat", "die"}, event{"snapify_celery_beat", "destroy"}, event{"snapify_celery_beat", "create"}, event{"snapify_celery_beat", "start"})
	seen.oneTransient(t)
	seen.only(t, "snapify_")
}

// compileAsPulumi does what Pulumi's language host does at each `pulumi up` of the repository:
// the sandbox's own project has its program compiled. What an update takes is measured with it.
// The stand-in for Pulumi compiles nothing.
func (s *suite) compileAsPulumi(t *testing.T) {
	t.Helper()
	if s.modest {
		return
	}
	if err := s.compile(t.Context(), s.file("program"), "."); err != nil {
		t.Fatal(err)
	}
}

// Back by configuration alone, onto a database that the newer version has migrated.
func (s *suite) testRollback(t *testing.T) {
	defer s.runElsewhere()()
	client := browser(t)
	before := countJobs(t, client, "https://snapify.pk")
	load := startAttack(browser(t), 20, []string{"https://snapify.pk/"}, []string{"https://snapify.pk/jobs"})
	s.setImage(t, "snapify-backend", image("1"))
	started := time.Now()
	s.compileAsPulumi(t)
	s.up(t)
	s.figures["handover of one app, 20 a second"] = time.Since(started)
	load.stop()
	load.expectClean(t)
	s.figures["handover, longest wait, 20 a second"] = load.metrics.Latencies.Max
	expectVersion(t, client, "https://snapify.pk", "1")
	if after := countJobs(t, client, "https://snapify.pk"); after.Jobs-before.Jobs != int(load.posted.Load()) {
		t.Errorf("%d POSTs were answered, %d are kept", load.posted.Load(), after.Jobs-before.Jobs)
	}
	s.expectHealthy(t)
}

// Two serving containers of one app: none stops before the next versions of both were tried.
func (s *suite) testHandoverOfTwoContainers(t *testing.T) {
	defer s.runElsewhere()()
	client := browser(t)
	others := startAttack(browser(t), 20, otherApps("psydge"), nil)
	defer s.watchCommandLines(t)() // it takes too much of a small machine for a measurement
	load := startAttack(browser(t), 50, []string{"https://api.psydge.com/", "https://ws.psydge.com/", "https://cms.alorig.com/"}, []string{"https://api.psydge.com/jobs"})
	watched := watchEvents(t)
	s.setImage(t, "psydge-backend", image("2"))
	s.setImage(t, "sitebuilder-payload", "alorig-sandbox/payload:2")
	s.up(t)
	load.stop()
	others.stop()
	load.expectClean(t)
	others.expectClean(t)
	expectVersion(t, client, "https://api.psydge.com", "2")
	s.expectHealthy(t)
	openSocket(t, client).close(t)

	seen := watched()
	seen.once(t, "psydge_migrate", "create")
	seen.inOrder(t,
		event{"psydge_channels_next", "start"}, event{"psydge_channels_next", "destroy"},
		event{"psydge_backend_next", "update"}, event{"psydge_backend_previous", "die"}, event{"psydge_backend_next", "destroy"},
	)
	seen.inOrder(t, event{"psydge_backend_next", "destroy"}, event{"psydge_channels_previous", "die"})
	seen.inOrder(t, event{"sitebuilder_payload_next", "update"}, event{"sitebuilder_payload_previous", "die"}, event{"sitebuilder_payload_next", "destroy"})
	seen.oneTransient(t)
}

// perSecond is how many requests go to an app that is handed over.
func (s *suite) perSecond() int {
	if s.modest {
		return 20
	}
	return 100
}

// rest is the longest that one of a hundred requests waits while nothing is updated, under
// the load that runs: what the same wait during an update is to be held against.
func rest(t *testing.T, client *http.Client, site string) time.Duration {
	t.Helper()
	var longest time.Duration
	for range 100 {
		started := time.Now()
		if status, body, _ := get(t, client, site+"/"); status != http.StatusOK {
			t.Errorf("%s answers %d %.200s", site, status, body)
		}
		longest = max(longest, time.Since(started))
	}
	return longest
}

type jobs struct{ Jobs, Texts int }

// countJobs is what the demo project keeps of all that was POSTed.
func countJobs(t *testing.T, client *http.Client, site string) jobs {
	t.Helper()
	var found jobs
	status, body, _ := get(t, client, site+"/jobs")
	if err := json.Unmarshal([]byte(body), &found); err != nil || status != http.StatusOK {
		t.Fatalf("%s/jobs answers %d %.200s", site, status, body)
	}
	return found
}

// postTask queues a task that takes so long, and returns where its answer appears.
func postTask(t *testing.T, client *http.Client, site string, takes time.Duration) int {
	t.Helper()
	job, err := tryTask(client, site, takes)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func tryTask(client *http.Client, site string, takes time.Duration) (int, error) {
	answer, err := client.PostForm(site+"/jobs", url.Values{"text": {fmt.Sprint("task ", time.Now().UnixNano())}, "seconds": {fmt.Sprint(takes.Seconds())}})
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	var queued struct{ Job int }
	if err := json.NewDecoder(answer.Body).Decode(&queued); err != nil || answer.StatusCode != http.StatusAccepted {
		return 0, fmt.Errorf("the task was not queued: %s, %w", answer.Status, err)
	}
	return queued.Job, nil
}

// expectDone expects the answer of a task.
func expectDone(t *testing.T, client *http.Client, site string, job int) {
	t.Helper()
	waitFor(t, fmt.Sprintf("task %d of %s", job, site), func() error {
		var found struct{ Answer string }
		status, body, _ := get(t, client, fmt.Sprintf("%s/jobs/%d", site, job))
		if err := json.Unmarshal([]byte(body), &found); err != nil || status != http.StatusOK || found.Answer == "" {
			return fmt.Errorf("it answers %d %.200s", status, body)
		}
		return nil
	})
}

func expectVersion(t *testing.T, client *http.Client, site, version string) {
	t.Helper()
	var found struct{ Version string }
	status, body, _ := get(t, client, site+"/")
	if err := json.Unmarshal([]byte(body), &found); err != nil || status != http.StatusOK || found.Version != version {
		t.Errorf("%s answers %d %.200s, want version %s", site, status, body, version)
	}
}

// event is something that happened to a container.
type event struct{ container, action string }

// history is what happened to the stack's containers, in order.
type history []event

// eventsCommand prints what happens to the stack's containers, as NAME, tab, action.
func eventsCommand(ctx context.Context) *exec.Cmd {
	return exec.CommandContext(ctx, "docker", "events", "--filter", "type=container", "--filter", "label="+ledger.LabelStack+"="+stack,
		"--format", "{{index .Actor.Attributes \"name\"}}\t{{.Action}}")
}

// watchEvents notes what happens to the stack's containers until the function it returns is
// called. The engine itself remembers 256 events, which health checks alone fill in minutes.
func watchEvents(t *testing.T) func() history {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := eventsCommand(ctx)
	var said bytes.Buffer
	cmd.Stdout = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return sync.OnceValue(func() history {
		time.Sleep(time.Second) // the last of them are on their way
		cancel()
		_ = cmd.Wait() // it was cancelled
		var seen history
		for _, line := range lines(said.String()) {
			if name, action, ok := strings.Cut(line, "\t"); ok && !strings.HasPrefix(action, "exec_") {
				seen = append(seen, event{name, action})
			}
		}
		return seen
	})
}

func (h history) String() string {
	var b strings.Builder
	for _, e := range h {
		fmt.Fprintf(&b, "%s %s\n", e.container, e.action)
	}
	return b.String()
}

// once expects that something happened exactly one time.
func (h history) once(t *testing.T, container, action string) {
	t.Helper()
	n := 0
	for _, e := range h {
		if e == (event{container, action}) {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%s: %s happened %d times in\n%s", container, action, n, h)
	}
}

// inOrder expects each of the events behind the one before.
func (h history) inOrder(t *testing.T, want ...event) {
	t.Helper()
	rest := h
	for _, e := range want {
		i := slices.Index(rest, e)
		if i < 0 {
			t.Errorf("%s: %s did not happen, or too early, in\n%s", e.container, e.action, h)
			return
		}
		rest = rest[i+1:]
	}
}

// oneTransient expects that at most one container at a time stood beside those that the
// ledger knows, since the server has memory for one.
func (h history) oneTransient(t *testing.T) {
	t.Helper()
	present := map[string]bool{}
	for _, e := range h {
		if !strings.HasSuffix(e.container, "_next") && !strings.HasSuffix(e.container, "_migrate") {
			continue
		}
		switch e.action {
		case "start":
			present[e.container] = true
		case "die":
			delete(present, e.container)
		}
		if len(present) > 1 {
			t.Errorf("%v stood there at the same time in\n%s", present, h)
			return
		}
	}
}

// only expects that nothing happened to containers of other names.
func (h history) only(t *testing.T, prefix string) {
	t.Helper()
	for _, e := range h {
		// A busy machine answers a probe late, whatever the update does.
		if !strings.HasPrefix(e.container, prefix) && !strings.HasPrefix(e.action, "health_status") {
			t.Errorf("%s was touched: %s", e.container, e.action)
		}
	}
}
