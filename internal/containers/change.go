package containers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/strslice"
	"github.com/docker/docker/client"

	"github.com/alorig/fleet/internal/document"
)

// Create creates a container and does not start it. The image must be there.
func Create(ctx context.Context, docker *client.Client, c document.Container) error {
	config := &container.Config{
		Image: c.Image, Cmd: strslice.StrSlice(c.Command), Entrypoint: strslice.StrSlice(c.Entrypoint),
		Labels: c.Labels, StopTimeout: &c.Grace,
		// Without a probe of ours none is made, not even the image's own.
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
	}
	for _, name := range slices.Sorted(maps.Keys(c.Environment)) {
		config.Env = append(config.Env, name+"="+c.Environment[name])
	}
	if p := c.Probe; p != nil {
		config.Healthcheck = &container.HealthConfig{
			Test: p.Test, Interval: seconds(p.Interval), Timeout: seconds(p.Timeout), StartPeriod: seconds(p.StartUp), Retries: p.Retries,
		}
	}
	host := &container.HostConfig{
		NetworkMode:   container.NetworkMode(c.Network),
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyMode(c.Restart)},
		LogConfig:     container.LogConfig{Type: c.LogDriver, Config: c.LogOptions},
		Init:          &c.Init, SecurityOpt: c.Security, CapDrop: c.Capabilities.Drop, CapAdd: c.Capabilities.Add,
		Resources: container.Resources{
			Memory: mebibytes(c.Memory), MemoryReservation: mebibytes(c.Reservation), MemorySwap: mebibytes(c.Memory), CPUShares: int64(c.CPUShares),
		},
	}
	networks := &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{c.Network: {}}}
	if _, err := docker.ContainerCreate(ctx, config, host, networks, nil, c.Name); err != nil {
		return fmt.Errorf("creating the container %s: %w", c.Name, err)
	}
	return nil
}

// Start starts a container that does not run.
func Start(ctx context.Context, docker *client.Client, name string) error {
	if err := docker.ContainerStart(ctx, name, container.StartOptions{}); err != nil {
		return fmt.Errorf("starting the container %s: %w", name, err)
	}
	return nil
}

// Stop stops a container with its own signal and grace, and leaves it. One that is gone is no
// error.
func Stop(ctx context.Context, docker *client.Client, name string) error {
	if err := docker.ContainerStop(ctx, name, container.StopOptions{}); err != nil && !cerrdefs.IsNotFound(err) {
		return fmt.Errorf("stopping the container %s: %w", name, err)
	}
	return nil
}

// removeWait is how long a removal by somebody else may take.
const removeWait = 30 * time.Second

// Remove stops a container with its own signal and grace, and removes it. Its volumes stay.
// One that is gone is no error.
func Remove(ctx context.Context, docker *client.Client, name string) error {
	if err := Stop(ctx, docker, name); err != nil {
		return err
	}
	// While another removal of the container is under way, Docker answers "conflict".
	_, err := backoff.Retry(ctx, func() (bool, error) {
		err := docker.ContainerRemove(ctx, name, container.RemoveOptions{})
		switch {
		case err == nil || cerrdefs.IsNotFound(err):
			return true, nil
		case cerrdefs.IsConflict(err):
			return false, err
		default:
			return false, backoff.Permanent(err)
		}
	}, backoff.WithBackOff(backoff.NewConstantBackOff(removeWait/100)), backoff.WithMaxElapsedTime(removeWait))
	if err != nil {
		return fmt.Errorf("removing the container %s: %w", name, err)
	}
	return nil
}

// Serve gives a next version what a container that serves has: its weight on the processor,
// and its restart policy.
func Serve(ctx context.Context, docker *client.Client, name string, c document.Container) error {
	shares := int64(c.CPUShares)
	if shares == 0 {
		shares = 1024 // Docker's default; 0 would change nothing
	}
	if _, err := docker.ContainerUpdate(ctx, name, container.UpdateConfig{
		Resources:     container.Resources{CPUShares: shares},
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyMode(c.Restart)},
	}); err != nil {
		return fmt.Errorf("changing the container %s: %w", name, err)
	}
	return nil
}

// Rename gives a container another name.
func Rename(ctx context.Context, docker *client.Client, name, to string) error {
	if err := docker.ContainerRename(ctx, name, to); err != nil {
		return fmt.Errorf("renaming the container %s to %s: %w", name, to, err)
	}
	return nil
}

// AwaitEnd waits until a container has ended, and returns its exit code. There is no time
// limit: a migration that is cut off can leave a database half changed.
func AwaitEnd(ctx context.Context, docker *client.Client, name string) (int, error) {
	ended, failed := docker.ContainerWait(ctx, name, container.WaitConditionNotRunning)
	select {
	case result := <-ended:
		if result.Error != nil {
			return 0, fmt.Errorf("waiting for the container %s: %s", name, result.Error.Message)
		}
		return int(result.StatusCode), nil
	case err := <-failed:
		return 0, fmt.Errorf("waiting for the container %s: %w", name, err)
	}
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

func mebibytes(n int) int64 { return int64(n) << 20 }
