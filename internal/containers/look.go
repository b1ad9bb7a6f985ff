// Package containers does to the containers of a Docker engine what a handover, a migration
// and a recovery need, through Docker's API.
package containers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"github.com/alorig/fleet/internal/handover"
	"github.com/alorig/fleet/internal/ledger"
)

// Found is a container as it is at one moment. The zero value is one that is missing.
type Found struct {
	ID, Name  string
	Stack     string // label of the stack that it belongs to; "" for somebody else's
	Condition handover.Condition
	Status    string // in Docker's words; "missing"
	Restarts  int    // by Docker itself, since it was made
	Started   string // when its process was started, as Docker writes it
	ExitCode  int    // of one that has ended

	SharedMemory int64 // bytes of /dev/shm

	networks    map[string]*network.EndpointSettings
	healthcheck *container.HealthConfig
	health      string
}

// probed reports whether the container has a health check.
func (f Found) probed() bool { return f.healthcheck != nil && len(f.healthcheck.Test) > 1 }

// On reports whether the container is on the network.
func (f Found) On(name string) bool { return f.networks[name] != nil }

// ran is how long the process had run at a moment; 0 where that is not known.
func (f Found) ran(at time.Time) time.Duration {
	started, err := time.Parse(time.RFC3339Nano, f.Started)
	if err != nil {
		return 0
	}
	return at.Sub(started)
}

// Address is the container's IP address on the network; "" without one.
func (f Found) Address(name string) string {
	if endpoint := f.networks[name]; endpoint != nil {
		return endpoint.IPAddress
	}
	return ""
}

// Look looks at a container by its name or ID. A running one that Docker does not call healthy
// is probed at once: Docker itself looks for the first time only after a whole interval. A
// container that is missing is no error.
func Look(ctx context.Context, docker *client.Client, name string) (Found, error) {
	return (&watch{docker: docker, name: name}).look(ctx)
}

// watch looks at one container, once or again and again.
type watch struct {
	docker *client.Client
	name   string
	hangs  string // ID of a probe that has not ended in its time
}

func (w *watch) look(ctx context.Context) (Found, error) {
	f, err := inspect(ctx, w.docker, w.name)
	if err != nil || !f.Condition.Running() || f.Condition == handover.Ready {
		return f, err
	}
	passes, err := w.probe(ctx, f)
	if err != nil {
		return f, err
	}
	if passes {
		f.Condition = handover.Ready
	}
	return f, nil
}

// inspect is Look without a probe of its own.
func inspect(ctx context.Context, docker *client.Client, name string) (Found, error) {
	got, err := docker.ContainerInspect(ctx, name)
	if cerrdefs.IsNotFound(err) {
		return Found{Name: name, Status: "missing"}, nil
	}
	if err != nil {
		return Found{}, fmt.Errorf("looking at the container %s: %w", name, err)
	}
	f := Found{
		ID: got.ID, Name: strings.TrimPrefix(got.Name, "/"), Stack: got.Config.Labels[ledger.LabelStack],
		Status: got.State.Status, Restarts: got.RestartCount, Started: got.State.StartedAt, ExitCode: got.State.ExitCode,
		SharedMemory: got.HostConfig.ShmSize, healthcheck: got.Config.Healthcheck,
	}
	if got.NetworkSettings != nil {
		f.networks = got.NetworkSettings.Networks
	}
	if got.State.Health != nil && got.State.Health.Status != container.NoHealthcheck {
		f.health = got.State.Health.Status
	}
	if f.health == "" && f.probed() {
		f.health = container.Starting // Docker has not begun to look yet
	}
	f.Condition = Condition(f.Status, f.health)
	return f, nil
}

// Condition translates Docker's status and health. A running container without a health check
// is ready.
func Condition(status, health string) handover.Condition {
	switch {
	case status == container.StateCreated:
		return handover.Created
	case status != container.StateRunning:
		return handover.Stopped
	case health == container.Healthy || health == "":
		return handover.Ready
	case health == container.Starting:
		return handover.Starting
	default:
		return handover.Sick
	}
}

// String is the name and the condition, for people.
func (f Found) String() string {
	switch f.Condition {
	case handover.Stopped:
		if f.Status == container.StateExited {
			return fmt.Sprintf("%s has ended with exit code %d", f.Name, f.ExitCode)
		}
		return f.Name + " is " + f.Status
	default:
		return f.Name + " is " + f.Condition.String()
	}
}

// defaultTimeout is Docker's own for a health check that has none.
const defaultTimeout = 30 * time.Second

// probe runs the container's own health check inside it, once. Docker has no way to end what
// it has started inside a container. So one that hangs is not joined by another, which would
// take of the container's memory too.
func (w *watch) probe(ctx context.Context, f Found) (bool, error) {
	if !f.probed() {
		return false, nil
	}
	if w.hangs != "" {
		hanging, err := w.docker.ContainerExecInspect(ctx, w.hangs)
		if err == nil && hanging.Running {
			return false, nil
		}
		w.hangs = ""
	}
	words := f.healthcheck.Test[1:]
	if f.healthcheck.Test[0] == "CMD-SHELL" {
		words = []string{"/bin/sh", "-c", words[0]}
	}
	timeout := f.healthcheck.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	waiting, stop := context.WithTimeout(ctx, timeout)
	defer stop()
	e, err := prepare(waiting, w.docker, f.ID, container.ExecOptions{Cmd: words})
	var code int
	if err == nil {
		_, code, err = e.run(waiting, nil)
	}
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case waiting.Err() != nil:
		w.hangs = e.id
		return false, nil
	case cerrdefs.IsConflict(err) || cerrdefs.IsNotFound(err) || errors.Is(err, errCutOff):
		return false, nil // the container has ended meanwhile; the next look tells
	case err != nil:
		return false, fmt.Errorf("probing the container %s: %w", f.Name, err)
	}
	return code == 0, nil
}

// pause is how long a probe of a waiting program rests after one that took a while: twice as
// long, so that it takes at most a third of what the container needs for its own start. But
// nobody waits longer than two seconds for the next one.
func pause(took time.Duration) time.Duration {
	return min(max(2*took, 200*time.Millisecond), 2*time.Second)
}
