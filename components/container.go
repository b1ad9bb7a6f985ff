package components

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// container is what all containers of the server have in common, those of apps and those of
// shared services: one network, limited memory, restart, health check and hardening. What
// the server's program needs to make one like it stands in the document.
type container struct {
	document.Container        // without its environment
	app                string // "" for shared services
	env                environment
	network            pulumi.StringInput // the same as in the document, known when it exists
	address            netip.Addr         // fixed on the network; the zero value lets Docker choose
	hostPorts          docker.ContainerPortArray
	volumes            docker.ContainerVolumeArray
	sharedMemory       int           // of /dev/shm, MiB; 0: Docker's own 64 MB
	replaceOn          []string      // properties whose change makes it anew; "*" is any
	steady             time.Duration // see [workload.Probe]
}

// runs is what runs in a container, and what it may use.
type runs struct {
	name, project, service, app, stack string // app is "" for shared services
	image, network                     string
	entrypoint, command                []string
	memory                             ledger.Memory
	background                         bool // nobody waits for it: it gets the processor after the others
	probe                              workload.Probe
	grace                              time.Duration
	capabilities                       []string // of Linux, that it keeps
}

// container returns the container, without what only some have.
func (r runs) container() container {
	c := container{app: r.app, env: environment{}, steady: r.probe.Steady, Container: document.Container{
		Name: r.name, Image: r.image, Entrypoint: r.entrypoint, Command: r.command, Network: r.network,
		Labels: map[string]string{
			ledger.LabelComposeProject: r.project,
			ledger.LabelComposeService: r.service,
			ledger.LabelStack:          r.stack,
		},
		Memory: int(r.memory.Limit), Reservation: int(r.memory.Steady),
		Restart: "unless-stopped", Grace: seconds(r.grace),
		LogDriver: "json-file", LogOptions: map[string]string{"max-size": "10m", "max-file": "3"},
		Init: true, Security: []string{"no-new-privileges:true"},
		Capabilities: document.Capabilities{Drop: []string{"ALL"}, Add: r.capabilities},
	}}
	if r.app != "" {
		c.Labels[ledger.LabelApp] = r.app
	}
	if r.background {
		c.CPUShares = document.BackgroundShares
	}
	if len(r.probe.Test) > 0 {
		c.Probe = &document.Probe{
			Test: r.probe.Test, Interval: seconds(r.probe.Interval), Timeout: seconds(r.probe.Timeout),
			StartUp: seconds(r.probe.StartUp), Retries: workload.Retries,
		}
	}
	return c
}

// documented is a document that holds the container with its environment.
func (c container) documented(around func(document.Container) any) pulumi.StringOutput {
	names := slices.Sorted(maps.Keys(c.env))
	values := make([]any, len(names))
	for i, name := range names {
		values[i] = c.env[name]
	}
	return pulumi.All(values...).ApplyT(func(values []any) (string, error) {
		whole := c.Container
		whole.Environment = map[string]string{}
		for i, name := range names {
			whole.Environment[name] = values[i].(string)
		}
		return document.Write(around(whole))
	}).(pulumi.StringOutput)
}

func (c container) register(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (*docker.Container, error) {
	var labels docker.ContainerLabelArray
	for _, k := range slices.Sorted(maps.Keys(c.Labels)) {
		labels = append(labels, docker.ContainerLabelArgs{Label: pulumi.String(k), Value: pulumi.String(c.Labels[k])})
	}
	network := docker.ContainerNetworksAdvancedArgs{Name: c.network}
	if c.address.IsValid() {
		network.Ipv4Address = pulumi.StringPtr(c.address.String())
	}
	args := &docker.ContainerArgs{
		Name:             pulumi.String(c.Name),
		Image:            pulumi.String(c.Image),
		Command:          pulumi.ToStringArray(c.Command),
		Envs:             c.env.entries(),
		Labels:           labels,
		NetworksAdvanced: docker.ContainerNetworksAdvancedArray{network},
		NetworkMode:      pulumi.String("bridge"), // the daemon's own default would show as a change

		Memory:            pulumi.Int(c.Memory),
		MemoryReservation: pulumi.Int(c.Reservation),
		MemorySwap:        pulumi.Int(c.Memory), // equal: no swap

		Restart:             pulumi.String(c.Restart),
		DestroyGraceSeconds: pulumi.Int(c.Grace), // unset, the provider kills at once
		StopTimeout:         pulumi.Int(c.Grace),
		// With mustRun a refresh deletes a stopped container (docs/provider-surprises.md).
		MustRun: pulumi.Bool(false),
		// The server's program waits until it is ready, since Docker looks for the first time
		// only after a whole interval (docs/adr/0024-the-program-on-the-server.md).
		Wait: pulumi.Bool(false),
		Healthcheck: docker.ContainerHealthcheckArgs{
			Tests:       pulumi.ToStringArray(c.Probe.Test),
			Interval:    pulumi.String(dockerDuration(c.Probe.Interval)),
			Timeout:     pulumi.String(dockerDuration(c.Probe.Timeout)),
			StartPeriod: pulumi.String(dockerDuration(c.Probe.StartUp)),
			Retries:     pulumi.Int(c.Probe.Retries),
		},
		LogDriver: pulumi.String(c.LogDriver),
		LogOpts:   pulumi.ToStringMap(c.LogOptions),

		Init:         pulumi.Bool(c.Init),
		SecurityOpts: pulumi.ToStringArray(c.Security),
		Capabilities: docker.ContainerCapabilitiesArgs{
			Drops: pulumi.ToStringArray(c.Capabilities.Drop),
			Adds:  pulumi.ToStringArray(c.Capabilities.Add),
		},
		Ports:   c.hostPorts,
		Volumes: c.volumes,
	}
	if c.CPUShares != 0 {
		args.CpuShares = pulumi.Int(c.CPUShares)
	}
	if c.sharedMemory != 0 {
		args.ShmSize = pulumi.Int(c.sharedMemory)
	}
	if len(c.Entrypoint) > 0 {
		args.Entrypoints = pulumi.ToStringArray(c.Entrypoint)
	}
	opts = append(opts,
		pulumi.DeleteBeforeReplace(true), // the name is fixed
		pulumi.ReplaceOnChanges(c.replaceOn),
	)
	registered, err := docker.NewContainer(ctx, name, args, opts...)
	if err != nil {
		return nil, fmt.Errorf("registering container %s: %w", c.Name, err)
	}
	return registered, nil
}

// seconds is a duration in whole seconds, as Docker and documents take it.
func seconds(d time.Duration) int { return int(d.Seconds()) }

// dockerDuration writes a duration as Docker prints it back: "1m30s", "10s". Any other
// form would show as a change on every preview.
func dockerDuration(seconds int) string { return (time.Duration(seconds) * time.Second).String() }
