package recovery

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"github.com/alorig/fleet/internal/containers"
	"github.com/alorig/fleet/internal/handover"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/internal/terminal"
	"github.com/alorig/fleet/internal/workload"
)

// Container is a container with our label or a name of ours.
type Container struct {
	Name     string `json:"name"`
	ID       string `json:"id"`
	Status   string `json:"status"`           // "running", "exited", "created", …
	Health   string `json:"health,omitempty"` // "healthy", "starting", "unhealthy"; "" without a health check
	Ours     bool   `json:"ours"`             // carries the label of this stack
	Label    string `json:"label,omitempty"`  // of the stack it belongs to
	InState  bool   `json:"inState"`
	ExitCode int    `json:"exitCode,omitempty"` // of one that has ended
	// Volumes are the named volumes it has mounted.
	Volumes []string `json:"volumes,omitempty"`
}

func (c Container) running() bool { return c.Status == "running" }

// orphan reports a container of ours that Docker has and the state does not.
func (c Container) orphan() bool { return c.Ours && !c.InState }

// String is the name and the condition of the container, for people.
func (c Container) String() string {
	if c.running() && c.Health != "" {
		return fmt.Sprintf("%s (%s)", c.Name, c.Health)
	}
	return fmt.Sprintf("%s (%s)", c.Name, c.Status)
}

// Network is a Docker network with the name of ours.
type Network struct {
	Name       string   `json:"name"`
	ID         string   `json:"id"`
	Ours       bool     `json:"ours"`
	Label      string   `json:"label,omitempty"` // of the stack it belongs to
	InState    bool     `json:"inState"`
	Containers []string `json:"containers"` // names of the running containers on it
}

// Slot is a container that the ledger gives us, and the two that stand beside it during a
// handover.
type Slot struct {
	Container, Next, Previous string
	// Needed tells that an update creates it: the rollout has come to its app.
	Needed bool
	// Volume is where a shared service keeps its data; "" for an app's container.
	Volume string
}

// Declared is what the settings and the ledger let us have on the server.
type Declared struct {
	Slots      []Slot
	Migrations map[string]bool // names, and whether an update runs them
	Network    string          // "" where another project made it
}

// declaredBy lists all names of ours. They include the apps that the rollout has not reached:
// the killed update may have been removing one of them.
func declaredBy(l ledger.Ledger, s settings.Settings) Declared {
	d := Declared{Migrations: map[string]bool{}}
	stage, _ := l.Through(s.Rollout)
	for _, app := range l.Apps {
		_, needed := stage.App(app.Name)
		for _, c := range app.Containers {
			name := ledger.ContainerName(app.Name, c.Role)
			d.Slots = append(d.Slots, Slot{
				Container: name, Next: ledger.NextName(name), Previous: ledger.PreviousName(name), Needed: needed,
			})
		}
		d.Migrations[ledger.MigrationName(app.Name)] = needed
	}
	if s.Platform == workload.Managed {
		d.Network = l.Server.Network
		for _, service := range l.Services {
			if !service.OnDemand {
				d.Slots = append(d.Slots, Slot{Container: service.Container, Needed: true, Volume: ledger.Volume(service.Container)})
			}
		}
	}
	return d
}

// has reports a name that the ledger gives us.
func (d Declared) has(name string) bool {
	if _, ok := d.Migrations[name]; ok {
		return true
	}
	return slices.ContainsFunc(d.Slots, func(s Slot) bool {
		return name == s.Container || name == s.Next || name == s.Previous
	})
}

// engine is the Docker engine of the stack.
type engine struct{ client *client.Client }

// look lists the containers with our label or a name of ours, sorted by name, and the
// networks with the name of ours.
func (e *engine) look(ctx context.Context, stack string, d Declared, known map[string]bool) ([]Container, []Network, error) {
	list, err := e.client.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, nil, fmt.Errorf("listing the server's containers: %w", err)
	}
	found := []Container{}
	for _, summary := range list {
		ours := summary.Labels[ledger.LabelStack] == stack
		if !ours && !slices.ContainsFunc(summary.Names, func(name string) bool { return d.has(strings.TrimPrefix(name, "/")) }) {
			continue
		}
		c, err := e.container(ctx, stack, summary.ID)
		if cerrdefs.IsNotFound(err) {
			continue // gone meanwhile
		}
		if err != nil {
			return nil, nil, err
		}
		c.InState = known[c.ID]
		if c.Ours && c.running() && c.Health != "" && c.Health != container.Healthy {
			// Docker looks at a new container only after a whole interval.
			now, err := containers.Look(ctx, e.client, c.ID)
			if err != nil {
				return nil, nil, err
			}
			if now.Condition == handover.Ready {
				c.Health = container.Healthy
			}
		}
		found = append(found, c)
	}
	slices.SortFunc(found, func(a, b Container) int { return cmp.Compare(a.Name, b.Name) })

	networks := []Network{}
	if d.Network == "" {
		return found, networks, nil
	}
	all, err := e.client.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("name", d.Network))})
	if err != nil {
		return nil, nil, fmt.Errorf("listing the server's networks: %w", err)
	}
	for _, summary := range all {
		if summary.Name != d.Network { // the filter also takes a part of a name
			continue
		}
		n, err := e.network(ctx, stack, summary.ID)
		if cerrdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		n.InState = known[n.ID]
		networks = append(networks, n)
	}
	slices.SortFunc(networks, func(a, b Network) int { return cmp.Compare(a.ID, b.ID) })
	return found, networks, nil
}

func (e *engine) container(ctx context.Context, stack, id string) (Container, error) {
	found, err := e.client.ContainerInspect(ctx, id)
	if err != nil {
		return Container{}, fmt.Errorf("looking at the container %s: %w", id, err)
	}
	c := Container{
		Name: terminal.Line(strings.TrimPrefix(found.Name, "/")), ID: found.ID, Status: found.State.Status,
		Label: terminal.Line(found.Config.Labels[ledger.LabelStack]),
	}
	c.Ours = c.Label == stack
	if c.Status == "exited" {
		c.ExitCode = found.State.ExitCode
	}
	if found.State.Health != nil && found.State.Health.Status != container.NoHealthcheck {
		c.Health = found.State.Health.Status
	}
	for _, m := range found.Mounts {
		if m.Type == mount.TypeVolume {
			c.Volumes = append(c.Volumes, terminal.Line(m.Name))
		}
	}
	slices.Sort(c.Volumes)
	return c, nil
}

func (e *engine) network(ctx context.Context, stack, id string) (Network, error) {
	found, err := e.client.NetworkInspect(ctx, id, network.InspectOptions{})
	if err != nil {
		return Network{}, fmt.Errorf("looking at the network %s: %w", id, err)
	}
	n := Network{Name: terminal.Line(found.Name), ID: found.ID, Label: terminal.Line(found.Labels[ledger.LabelStack]), Containers: []string{}}
	n.Ours = n.Label == stack
	for _, endpoint := range found.Containers {
		n.Containers = append(n.Containers, terminal.Line(endpoint.Name))
	}
	slices.Sort(n.Containers)
	return n, nil
}
