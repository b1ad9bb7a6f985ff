package workload

import (
	"fmt"
	"strconv"
	"time"

	"github.com/alorig/fleet/internal/ledger"
)

// Process is a program that containers run, with its settings.
type Process interface {
	// At returns what the program is in one container.
	At(place Place) Program
}

// Program is what one container runs.
type Program struct {
	Command     []string // the command line; it never holds a secret
	Probe       Probe    // tells whether the program does its work
	Grace       time.Duration
	Connections int               // PostgreSQL connections that it holds at most
	Environment map[string]string // what the program itself reads, beyond the contract; not secret
	Django      bool              // it runs the app's Django project
}

// Gunicorn serves the app's WSGI application.
type Gunicorn struct {
	Workers int // processes
	Threads int // per process; each holds one PostgreSQL connection at most
}

// At implements [Process].
func (g Gunicorn) At(place Place) Program {
	return Program{
		Command: []string{
			"gunicorn", "config.wsgi:application",
			"--bind", fmt.Sprintf("0.0.0.0:%d", place.Container.Port),
			"--workers", strconv.Itoa(g.Workers), "--threads", strconv.Itoa(g.Threads),
			// The app is loaded before the port opens. Until then requests go to the
			// container that this one takes over from.
			"--preload",
			// The heartbeat file on a disk blocks workers when the disk is slow.
			"--worker-tmp-dir", "/dev/shm",
			"--timeout", "60", "--graceful-timeout", "30",
			// Workers are renewed before what they leak comes near the hard limit.
			"--max-requests", "2000", "--max-requests-jitter", "200",
			"--access-logfile", "-",
		},
		Probe: httpHealth(place, "python", "-c", httpProbe), Grace: 35 * time.Second,
		Connections: g.Workers * g.Threads, Django: true,
	}
}

// Daphne serves the app's ASGI application: WebSockets by Django Channels.
type Daphne struct {
	Threads int // for synchronous code; each holds one PostgreSQL connection at most
}

// At implements [Process].
func (d Daphne) At(place Place) Program {
	return Program{
		Command: []string{
			"daphne", "--bind", "0.0.0.0", "--port", strconv.Itoa(place.Container.Port),
			"--proxy-headers", "--ping-interval", "20", "--ping-timeout", "30",
			"--application-close-timeout", "20", "config.asgi:application",
		},
		Probe: httpHealth(place, "python", "-c", httpProbe), Grace: 30 * time.Second,
		Connections: d.Threads, Django: true,
		Environment: map[string]string{"ASGI_THREADS": strconv.Itoa(d.Threads)},
	}
}

// CeleryWorker runs the app's background tasks.
type CeleryWorker struct {
	Concurrency int           // processes; each holds one PostgreSQL connection at most
	Longest     time.Duration // the longest that a task may take; 0 means two minutes
}

// A task that takes longer than the app's longest gets SoftTimeLimitExceeded, and a little later
// its process is killed, so that none is held for ever. A stop waits until that is over.
const (
	untilKilled  = 10 * time.Second // from the soft limit of a task to the hard one
	untilStopped = 20 * time.Second // from the soft limit to the end of the grace of a stop
)

// At implements [Process].
func (w CeleryWorker) At(place Place) Program {
	node := ledger.WorkerNode(place.App.Name)
	longest := w.Longest
	if longest == 0 {
		longest = 2 * time.Minute
	}
	return Program{
		Command: []string{
			"celery", "--app", "config", "worker", "--loglevel", "INFO",
			"--hostname", node,
			"--concurrency", strconv.Itoa(w.Concurrency),
			"--max-memory-per-child", strconv.Itoa(int(w.renewedAbove(place.Container.Memory.Limit)) * 1024), // KiB
			"--max-tasks-per-child", "500",
			"--soft-time-limit", inSeconds(longest), "--time-limit", inSeconds(longest + untilKilled),
			// An app has one worker, so no neighbours. Looking for them after Redis was away
			// can leave it connected and deaf for ever (docs/provider-surprises.md).
			"--without-mingle", "--without-gossip",
		},
		Probe: Probe{Test: []string{"CMD", "python", "-c", workerProbe, node, inSeconds(longest)}, Timing: workerTiming},
		Grace: longest + untilStopped, Connections: w.Concurrency, Django: true,
	}
}

// renewedAbove is the resident memory above which a process of the pool is renewed after its task.
// A process starts with all that the worker's main process has loaded, which counts as its own
// though all of them share it: half of the hard limit is left for that. Of the other half a process may
// grow by four fifths of its part. It keeps what tasks leak from adding up; what protects the server is
// the hard limit.
func (w CeleryWorker) renewedAbove(limit ledger.MiB) ledger.MiB {
	return limit/2 + limit*2/5/ledger.MiB(max(1, w.Concurrency))
}

func inSeconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }

// CeleryBeat sends the app's scheduled tasks. An app has one, never two.
type CeleryBeat struct{}

// At implements [Process].
func (CeleryBeat) At(Place) Program {
	return Program{
		Command: []string{
			"celery", "--app", "config", "beat", "--loglevel", "INFO",
			"--schedule", "/tmp/celerybeat-schedule", "--pidfile=", "--max-interval", "60",
		},
		Probe: Probe{Test: []string{"CMD", "python", "-c", beatProbe, inSeconds(beatOldest)}, Timing: beatTiming, Steady: beatSteady}, Grace: 10 * time.Second,
		Connections: 1, Django: true,
	}
}

// PayloadCMS serves Payload CMS on Node.js.
type PayloadCMS struct {
	Pool int        // PostgreSQL connections at most
	Heap ledger.MiB // of JavaScript
}

// At implements [Process].
func (p PayloadCMS) At(place Place) Program {
	return Program{
		Command: []string{"node", "server.js"},
		Probe:   httpHealth(place, "node", "-e", nodeHTTPProbe), Grace: 30 * time.Second,
		Connections: p.Pool,
		Environment: map[string]string{
			"HOSTNAME":          "0.0.0.0", // where the server binds
			"NODE_ENV":          "production",
			"NODE_OPTIONS":      fmt.Sprintf("--max-old-space-size=%d", p.Heap),
			"DATABASE_POOL_MAX": strconv.Itoa(p.Pool),
		},
	}
}
