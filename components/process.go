package components

import (
	_ "embed" // the probes
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/alorig/fleet/internal/ledger"
)

// Process is the program that a container runs.
type Process interface {
	// command is the container's command line; it never holds a secret.
	command(at place) []string
	// probe tells whether the process does its work.
	probe(at place) probe
	// grace is how long the process may take to stop before it is killed.
	grace() time.Duration
	// connections is how many PostgreSQL connections the process holds at most.
	connections() int
	// environment is what the process itself reads, beyond the contract.
	environment() map[string]string
	// django reports whether the process runs the app's Django project.
	django() bool
}

// place is where a process runs.
type place struct {
	app       ledger.App
	container ledger.Container
	host      string // a DNS name the app answers for
}

type probe struct {
	test                       []string
	interval, timeout, startup time.Duration
}

//go:embed probes/http.py
var httpProbe string

//go:embed probes/http.js
var nodeHTTPProbe string

//go:embed probes/worker.py
var workerProbe string

//go:embed probes/beat.py
var beatProbe string

// HealthPath is where every serving container answers 200 when it can work. It is
// part of the environment contract (docs/contract.md).
const HealthPath = "/health"

func httpHealth(interpreter []string, at place) probe {
	return probe{
		test:     slices.Concat([]string{"CMD"}, interpreter, []string{strconv.Itoa(at.container.Port), at.host, HealthPath}),
		interval: 10 * time.Second, timeout: 5 * time.Second, startup: 90 * time.Second,
	}
}

// Gunicorn serves the app's WSGI application.
type Gunicorn struct {
	Workers int // processes
	Threads int // per process; each holds one PostgreSQL connection at most
}

func (g Gunicorn) command(at place) []string {
	return []string{
		"gunicorn", "config.wsgi:application",
		"--bind", fmt.Sprintf("0.0.0.0:%d", at.container.Port),
		"--workers", strconv.Itoa(g.Workers), "--threads", strconv.Itoa(g.Threads),
		// Loaded before it listens: until then requests go to the container it takes over from.
		"--preload",
		// The heartbeat file on a disk blocks workers when the disk is slow.
		"--worker-tmp-dir", "/dev/shm",
		"--timeout", "60", "--graceful-timeout", "30",
		// Workers are renewed before what they leak comes near the hard limit.
		"--max-requests", "2000", "--max-requests-jitter", "200",
		"--access-logfile", "-",
	}
}

func (g Gunicorn) probe(at place) probe {
	return httpHealth([]string{"python", "-c", httpProbe}, at)
}
func (g Gunicorn) grace() time.Duration           { return 35 * time.Second }
func (g Gunicorn) connections() int               { return g.Workers * g.Threads }
func (g Gunicorn) environment() map[string]string { return nil }
func (g Gunicorn) django() bool                   { return true }

// Daphne serves the app's ASGI application: WebSockets by Django Channels.
type Daphne struct {
	Threads int // for synchronous code; each holds one PostgreSQL connection at most
}

func (d Daphne) command(at place) []string {
	return []string{
		"daphne", "--bind", "0.0.0.0", "--port", strconv.Itoa(at.container.Port),
		"--proxy-headers", "--ping-interval", "20", "--ping-timeout", "30",
		"--application-close-timeout", "20", "config.asgi:application",
	}
}

func (d Daphne) probe(at place) probe {
	return httpHealth([]string{"python", "-c", httpProbe}, at)
}
func (d Daphne) grace() time.Duration { return 30 * time.Second }
func (d Daphne) connections() int     { return d.Threads }
func (d Daphne) environment() map[string]string {
	return map[string]string{"ASGI_THREADS": strconv.Itoa(d.Threads)}
}
func (d Daphne) django() bool { return true }

// CeleryWorker runs the app's background tasks.
type CeleryWorker struct {
	Concurrency int           // processes; each holds one PostgreSQL connection at most
	Longest     time.Duration // the longest task, which may finish before a stop; 0 means two minutes
}

func (w CeleryWorker) command(at place) []string {
	// A process above its share of the hard limit is renewed after its task.
	share := at.container.Memory.Limit / ledger.MiB(w.Concurrency+1)
	return []string{
		"celery", "--app", "config", "worker", "--loglevel", "INFO",
		"--hostname", ledger.WorkerNode(at.app.Name),
		"--concurrency", strconv.Itoa(w.Concurrency),
		"--max-memory-per-child", strconv.Itoa(int(share) * 1024), // KiB
		"--max-tasks-per-child", "500",
		// An app has one worker, so no neighbours. Looking for them after Redis was away can
		// leave it connected and deaf for ever (docs/provider-surprises.md).
		"--without-mingle", "--without-gossip",
	}
}

func (w CeleryWorker) probe(at place) probe {
	return probe{
		test:     []string{"CMD", "python", "-c", workerProbe, ledger.WorkerNode(at.app.Name)},
		interval: 30 * time.Second, timeout: 20 * time.Second, startup: 90 * time.Second,
	}
}

func (w CeleryWorker) grace() time.Duration {
	if w.Longest == 0 {
		return 2 * time.Minute
	}
	return w.Longest
}
func (w CeleryWorker) connections() int               { return w.Concurrency }
func (w CeleryWorker) environment() map[string]string { return nil }
func (w CeleryWorker) django() bool                   { return true }

// CeleryBeat sends the app's scheduled tasks. There is one per app, never two.
type CeleryBeat struct{}

const (
	beatSchedule = "/tmp/celerybeat-schedule"
	beatOldest   = 5 * time.Minute
)

func (CeleryBeat) command(place) []string {
	return []string{
		"celery", "--app", "config", "beat", "--loglevel", "INFO",
		"--schedule", beatSchedule, "--pidfile=", "--max-interval", "60",
	}
}

func (CeleryBeat) probe(place) probe {
	return probe{
		test:     []string{"CMD", "python", "-c", beatProbe, strconv.Itoa(int(beatOldest.Seconds()))},
		interval: 30 * time.Second, timeout: 10 * time.Second, startup: 90 * time.Second,
	}
}
func (CeleryBeat) grace() time.Duration           { return 10 * time.Second }
func (CeleryBeat) connections() int               { return 1 }
func (CeleryBeat) environment() map[string]string { return nil }
func (CeleryBeat) django() bool                   { return true }

// PayloadCMS serves Payload CMS on Node.js.
type PayloadCMS struct {
	Pool int // PostgreSQL connections at most
	Heap ledger.MiB
}

func (PayloadCMS) command(place) []string { return []string{"node", "server.js"} }
func (p PayloadCMS) probe(at place) probe {
	return httpHealth([]string{"node", "-e", nodeHTTPProbe}, at)
}
func (PayloadCMS) grace() time.Duration { return 30 * time.Second }
func (p PayloadCMS) connections() int   { return p.Pool }
func (p PayloadCMS) environment() map[string]string {
	return map[string]string{
		"HOSTNAME":          "0.0.0.0", // where the server binds
		"NODE_ENV":          "production",
		"NODE_OPTIONS":      fmt.Sprintf("--max-old-space-size=%d", p.Heap),
		"DATABASE_POOL_MAX": strconv.Itoa(p.Pool),
	}
}
func (PayloadCMS) django() bool { return false }
