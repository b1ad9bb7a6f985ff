package workload

import (
	_ "embed" // the probes
	"slices"
	"strconv"
	"time"
)

// All timing of health is in this file. The probes give up by themselves shortly before their
// Timeout; a test compares.

// Probe is a health check as Docker runs it.
type Probe struct {
	Test []string // "CMD" and the words of a command, or "CMD-SHELL" and a line for a shell
	Timing
	// Steady is how long the process must have run before an update takes a probe that passes
	// for an answer. It is for a probe that passes as soon as the process exists; 0 is for one
	// that passes only when the program works.
	Steady time.Duration
}

// Timing says when Docker runs a probe.
type Timing struct {
	Interval time.Duration // from the end of one check to the start of the next
	Timeout  time.Duration // a check that takes longer has failed
	StartUp  time.Duration // failures this early do not count
}

const (
	// Retries is how many checks in a row must fail before a container is unhealthy.
	Retries = 3
	// Patience is how long an update waits for a new container to become healthy. It also
	// is how long the gate waits for all containers of an app.
	Patience = 180 * time.Second
)

// Timing of each kind of process. A worker's ping travels through the broker, so it takes
// longer and runs less often.
var (
	servingTiming = Timing{Interval: 10 * time.Second, Timeout: 5 * time.Second, StartUp: 90 * time.Second}
	workerTiming  = Timing{Interval: 30 * time.Second, Timeout: 20 * time.Second, StartUp: 90 * time.Second}
	beatTiming    = Timing{Interval: 30 * time.Second, Timeout: 10 * time.Second, StartUp: 90 * time.Second}
	serviceTiming = Timing{Interval: 10 * time.Second, Timeout: 5 * time.Second, StartUp: time.Minute}
)

// beatSteady is longer than beat takes to load the app and to fail if it cannot.
const beatSteady = 5 * time.Second

// beatOldest is how long beat may go without waking up.
const beatOldest = 5 * time.Minute

// HealthPath is where every serving container answers 200 when it can work. It is
// part of the environment contract (docs/contract.md).
const HealthPath = "/health"

//go:embed probes/http.py
var httpProbe string

//go:embed probes/http.js
var nodeHTTPProbe string

//go:embed probes/worker.py
var workerProbe string

//go:embed probes/beat.py
var beatProbe string

// httpHealth asks the container's own port for [HealthPath], in the given interpreter.
func httpHealth(at Place, interpreter ...string) Probe {
	words := []string{strconv.Itoa(at.Container.Port), at.host(), HealthPath}
	return Probe{Test: slices.Concat([]string{"CMD"}, interpreter, words), Timing: servingTiming}
}

// host is the host name that the container's own probe asks for: one that is routed to
// the container, or else any of the app's.
func (at Place) host() string {
	for _, r := range at.App.Routes {
		if r.Upstream == at.Container.Role && r.Host[0] != '*' {
			return r.Host
		}
	}
	for _, h := range at.App.Hosts {
		if h.Name[0] != '*' {
			return h.Name
		}
	}
	return "localhost"
}
