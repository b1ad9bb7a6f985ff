package components

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/fleet"
)

// container is the form every container of the server has, an app's or a shared
// service's: on the one network, within its memory, restarted, watched, hardened.
type container struct {
	name, project, service, app string // app is "" for shared services
	stack                       string
	image                       string
	command                     []string
	entrypoint                  []string
	env                         pulumi.StringArray
	network                     pulumi.StringInput
	address                     netip.Addr // fixed on the network; the zero value lets Docker choose
	memory                      fleet.Memory
	probe                       probe
	grace                       time.Duration
	hostPorts                   docker.ContainerPortArray
	volumes                     docker.ContainerVolumeArray
	capabilities                []string
	user                        string
}

// How long Docker waits for a new container's health, and how much it keeps of what a
// container prints.
const (
	healthWait  = 180 * time.Second
	logFileSize = "10m"
	logFiles    = "3"
)

func (c container) register(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (*docker.Container, error) {
	labels := map[string]string{
		fleet.LabelComposeProject: c.project,
		fleet.LabelComposeService: c.service,
		fleet.LabelStack:          c.stack,
	}
	if c.app != "" {
		labels[fleet.LabelApp] = c.app
	}
	keys := make([]string, 0, len(labels))
	for k := range labels {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var labelArgs docker.ContainerLabelArray
	for _, k := range keys {
		labelArgs = append(labelArgs, docker.ContainerLabelArgs{Label: pulumi.String(k), Value: pulumi.String(labels[k])})
	}
	network := docker.ContainerNetworksAdvancedArgs{Name: c.network}
	if c.address.IsValid() {
		network.Ipv4Address = pulumi.StringPtr(c.address.String())
	}
	args := &docker.ContainerArgs{
		Name:             pulumi.String(c.name),
		Image:            pulumi.String(c.image),
		Command:          pulumi.ToStringArray(c.command),
		Envs:             c.env,
		Labels:           labelArgs,
		NetworksAdvanced: docker.ContainerNetworksAdvancedArray{network},
		NetworkMode:      pulumi.String("bridge"), // the daemon's own default would show as a change

		Memory:            pulumi.Int(int(c.memory.Limit)),
		MemoryReservation: pulumi.Int(int(c.memory.Steady)),
		MemorySwap:        pulumi.Int(int(c.memory.Limit)), // equal: no swap

		Restart:             pulumi.String("unless-stopped"),
		DestroyGraceSeconds: pulumi.Int(int(c.grace.Seconds())), // unset, the provider kills at once
		StopTimeout:         pulumi.Int(int(c.grace.Seconds())),
		// With mustRun a refresh deletes a stopped container (docs/provider-surprises.md).
		MustRun:     pulumi.Bool(false),
		Wait:        pulumi.Bool(true),
		WaitTimeout: pulumi.Int(int(healthWait.Seconds())),
		Healthcheck: docker.ContainerHealthcheckArgs{
			Tests:       pulumi.ToStringArray(c.probe.test),
			Interval:    pulumi.String(dockerDuration(c.probe.interval)),
			Timeout:     pulumi.String(dockerDuration(c.probe.timeout)),
			StartPeriod: pulumi.String(dockerDuration(c.probe.startup)),
			Retries:     pulumi.Int(3),
		},
		LogDriver: pulumi.String("json-file"),
		LogOpts:   pulumi.StringMap{"max-size": pulumi.String(logFileSize), "max-file": pulumi.String(logFiles)},

		Init:         pulumi.Bool(true),
		SecurityOpts: pulumi.StringArray{pulumi.String("no-new-privileges:true")},
		Capabilities: docker.ContainerCapabilitiesArgs{
			Drops: pulumi.StringArray{pulumi.String("ALL")},
			Adds:  pulumi.ToStringArray(c.capabilities),
		},
		Ports:   c.hostPorts,
		Volumes: c.volumes,
	}
	if len(c.entrypoint) > 0 {
		args.Entrypoints = pulumi.ToStringArray(c.entrypoint)
	}
	if c.user != "" {
		args.User = pulumi.String(c.user)
	}
	opts = append(opts,
		pulumi.DeleteBeforeReplace(true),                 // the name is fixed
		pulumi.ReplaceOnChanges([]string{"healthcheck"}), // the provider ignores the change otherwise
	)
	registered, err := docker.NewContainer(ctx, name, args, opts...)
	if err != nil {
		return nil, fmt.Errorf("registering container %s: %w", c.name, err)
	}
	return registered, nil
}

// dockerDuration writes a duration as Docker prints it back: "1m30s", "10s". Any other
// form would show as a change on every preview.
func dockerDuration(d time.Duration) string { return d.String() }
