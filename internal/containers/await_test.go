package containers_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/alorig/fleet/internal/containers"
	"github.com/alorig/fleet/internal/containers/containerstest"
)

// patience is for what comes, however busy the machine is; late is when it has been waited for
// in vain.
const patience, late = 2 * time.Minute, time.Minute

// await waits for one container, and returns how long that took.
func await(t *testing.T, docker *client.Client, patience time.Duration, w containers.Wait) (time.Duration, error) {
	t.Helper()
	began := time.Now()
	err := containers.AwaitReady(t.Context(), docker, patience, w)
	return time.Since(began), err
}

// Docker itself would look for the first time after half a minute.
func TestAContainerIsReadyLongBeforeDockerLooks(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	c := containerstest.Container(containerstest.Name(t), "BOOT=1s")
	containerstest.Start(t, docker, c)
	if _, err := await(t, docker, patience, containers.Wait{Name: c.Name}); err != nil {
		t.Fatal(err)
	}
	got := inspect(t, docker, c.Name)
	if got.State.Health.Status != container.Starting {
		t.Errorf("Docker calls it %s already, so this shows nothing", got.State.Health.Status)
	}
	started, err := time.Parse(time.RFC3339Nano, got.State.StartedAt)
	if took := time.Since(started); err != nil || took < time.Second {
		t.Errorf("it was called ready %s after its start, before it listened (%v)", took, err)
	}
	// For docs/performance.md. Its boot is a sleep, so nearly all of that time is the probe's.
	t.Logf("ready %s after its start, of which 1 s is its boot; its processes took %s of the processor",
		time.Since(started).Round(10*time.Millisecond), processor(t, docker, c.Name).Round(time.Millisecond))
}

func TestWhatDoesNotGetReadyIsToldWithItsCondition(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	for name, tt := range map[string]struct {
		behaviour    []string
		interval     int // of Docker's own looks, in seconds
		restart      string
		says         string
		stops        bool // with Once there is no sense in waiting on
		neverStarted bool
	}{
		"deaf":          {behaviour: []string{"DEAF=1"}, interval: 30, says: "is still starting"},
		"unhealthy":     {behaviour: []string{"DEAF=1"}, interval: 1, says: "is unhealthy"},
		"ended":         {behaviour: []string{"EXIT=3"}, interval: 30, restart: "no", says: "has ended with exit code 3", stops: true},
		"ended well":    {behaviour: []string{"EXIT=0"}, interval: 30, restart: "no", says: "has ended with exit code 0", stops: true},
		"falls over":    {behaviour: []string{"EXIT=3", "BOOT=20ms"}, interval: 30, says: "is restarting"},
		"never started": {interval: 30, neverStarted: true, says: "is created and never started"},
		"hangs":         {behaviour: []string{"HANGS=1"}, interval: 30, says: "is still starting"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := containerstest.Container(containerstest.Name(t), tt.behaviour...)
			c.Probe.Interval, c.Probe.StartUp, c.Probe.Timeout = tt.interval, 0, 1
			if tt.restart != "" {
				c.Restart = tt.restart
			}
			if tt.neverStarted {
				if err := containers.Create(t.Context(), docker, c); err != nil {
					t.Fatal(err)
				}
			} else {
				containerstest.Start(t, docker, c)
			}
			if name == "falls over" { // its condition is another one from moment to moment
				if _, err := await(t, docker, 2*time.Second, containers.Wait{Name: c.Name, Steady: 2 * time.Second}); err == nil {
					t.Error("it is called ready")
				}
				return
			}
			for began := time.Now(); name == "unhealthy" && time.Since(began) < patience && inspect(t, docker, c.Name).State.Health.Status != container.Unhealthy; {
				time.Sleep(100 * time.Millisecond)
			}
			took, err := await(t, docker, 3*time.Second, containers.Wait{Name: c.Name})
			var not containers.NotReady
			if !errors.As(err, &not) || err.Error() != c.Name+" "+tt.says+" after 3s" {
				t.Errorf("%v, want that it %s", err, tt.says)
			}
			if took < 3*time.Second || took > late {
				t.Errorf("gave up after %s", took)
			}
			if tt.stops {
				if took, err := await(t, docker, patience, containers.Wait{Name: c.Name, Once: true}); !errors.As(err, &not) || err.Error() != c.Name+" "+tt.says || took > late {
					t.Errorf("waited %s for one that nobody starts again: %v", took, err)
				}
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		name := containerstest.Name(t)
		if _, err := await(t, docker, time.Second, containers.Wait{Name: name}); err == nil || err.Error() != name+" is missing" {
			t.Error(err)
		}
		if took, err := await(t, docker, patience, containers.Wait{Name: name, Once: true}); err == nil || err.Error() != name+" is missing" || took > late {
			t.Errorf("%v after %s", err, took)
		}
	})
}

// A worker's process exists long before it works, and so does one that falls over again and
// again.
func TestAContainerThatMustBeSteadyHasToHoldOut(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	t.Run("it holds out", func(t *testing.T) {
		t.Parallel()
		c := containerstest.Container(containerstest.Name(t))
		containerstest.Start(t, docker, c)
		if _, err := await(t, docker, patience, containers.Wait{Name: c.Name, Steady: 2 * time.Second}); err != nil {
			t.Fatal(err)
		}
		started, err := time.Parse(time.RFC3339Nano, inspect(t, docker, c.Name).State.StartedAt)
		if ran := time.Since(started); err != nil || ran < 2*time.Second {
			t.Errorf("it was called steady %s after its start (%v)", ran, err)
		}
	})
	t.Run("it falls over first", func(t *testing.T) {
		t.Parallel()
		c := containerstest.Container(containerstest.Name(t), "CRASHES=3")
		c.Probe = nil // as soon as its process exists, it passes for ready
		containerstest.Start(t, docker, c)
		if _, err := await(t, docker, patience, containers.Wait{Name: c.Name, Steady: 2 * time.Second}); err != nil {
			t.Fatal(err)
		}
		got, err := containers.Look(t.Context(), docker, c.Name)
		if err != nil || got.Restarts != 3 {
			t.Errorf("it was called steady after %d restarts of 3 (%v)", got.Restarts, err)
		}
	})
}

// All are asked at the same time, and all that is wrong is told at once.
func TestEveryContainerThatIsNotReadyIsNamed(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	name := containerstest.Name(t)
	containerstest.Start(t, docker, containerstest.Container(name))
	began := time.Now()
	err := containers.AwaitReady(t.Context(), docker, time.Second,
		containers.Wait{Name: name + "_one"}, containers.Wait{Name: name}, containers.Wait{Name: name + "_two"})
	if err == nil || err.Error() != name+"_one is missing\n"+name+"_two is missing" {
		t.Error(err)
	}
	if took := time.Since(began); took > late {
		t.Errorf("they are waited for one after the other: %s", took)
	}
}

// Docker cannot end what it has started inside a container. So a probe that hangs is waited
// for, and no second one joins it in the memory of the container.
func TestAHangingProbeDoesNotPileUp(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	c := containerstest.Container(containerstest.Name(t), "HANGS=1")
	c.Probe.Timeout = 1
	containerstest.Start(t, docker, c)
	if took, err := await(t, docker, 5*time.Second, containers.Wait{Name: c.Name}); err == nil || took > late {
		t.Errorf("%v after %s", err, took)
	}
	top, err := docker.ContainerTop(t.Context(), c.Name, nil)
	if err != nil {
		t.Fatal(err)
	}
	probes := 0
	for _, process := range top.Processes {
		if strings.HasSuffix(strings.Join(process, " "), "/app probe") {
			probes++
		}
	}
	if probes != 1 {
		t.Errorf("%d probes hang", probes)
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	docker := containerstest.Docker(t)
	t.Parallel()
	c := containerstest.Container(containerstest.Name(t), "HANGS=1")
	c.Probe.Timeout = 20
	containerstest.Start(t, docker, c)
	ctx, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	began := time.Now()
	err := containers.AwaitReady(ctx, docker, time.Minute, containers.Wait{Name: c.Name}, containers.Wait{Name: c.Name + "_missing"})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > late {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}
