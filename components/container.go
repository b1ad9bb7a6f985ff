package components

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/shell"
	"github.com/alorig/fleet/internal/workload"
)

// container is what all containers of the server have in common, those of apps and those of
// shared services: one network, limited memory, restart, health check and hardening.
type container struct {
	name, project, service, app string // app is "" for shared services
	stack                       string
	image                       string
	command                     []string
	entrypoint                  []string
	env                         environment
	network                     pulumi.StringInput
	networkName                 string     // the same, known before the update
	address                     netip.Addr // fixed on the network; the zero value lets Docker choose
	memory                      ledger.Memory
	background                  bool // nobody waits for it: it gets the processor after the others
	probe                       workload.Probe
	grace                       time.Duration
	hostPorts                   docker.ContainerPortArray
	volumes                     docker.ContainerVolumeArray
	capabilities                []string
	replaceOn                   []string // properties whose change makes it anew; "*" is any
}

// How much Docker keeps of what a container prints.
const (
	logFileSize = "10m"
	logFiles    = "3"
)

// backgroundShares is the share of the processor (--cpu-shares) of a container that nobody
// waits for; the others have Docker's default of 1024. It matters only while the processor
// is busy.
const backgroundShares = 128

func (c container) labels() map[string]string {
	labels := map[string]string{
		ledger.LabelComposeProject: c.project,
		ledger.LabelComposeService: c.service,
		ledger.LabelStack:          c.stack,
	}
	if c.app != "" {
		labels[ledger.LabelApp] = c.app
	}
	return labels
}

func (c container) register(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (*docker.Container, error) {
	labels := c.labels()
	var labelArgs docker.ContainerLabelArray
	for _, k := range slices.Sorted(maps.Keys(labels)) {
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
		Envs:             c.env.entries(),
		Labels:           labelArgs,
		NetworksAdvanced: docker.ContainerNetworksAdvancedArray{network},
		NetworkMode:      pulumi.String("bridge"), // the daemon's own default would show as a change

		Memory:            pulumi.Int(int(c.memory.Limit)),
		MemoryReservation: pulumi.Int(int(c.memory.Steady)),
		MemorySwap:        pulumi.Int(int(c.memory.Limit)), // equal: no swap

		Restart:             pulumi.String("unless-stopped"),
		DestroyGraceSeconds: pulumi.Int(seconds(c.grace)), // unset, the provider kills at once
		StopTimeout:         pulumi.Int(seconds(c.grace)),
		// With mustRun a refresh deletes a stopped container (docs/provider-surprises.md).
		MustRun:     pulumi.Bool(false),
		Wait:        pulumi.Bool(true),
		WaitTimeout: pulumi.Int(seconds(workload.Patience)),
		Healthcheck: docker.ContainerHealthcheckArgs{
			Tests:       pulumi.ToStringArray(c.probe.Test),
			Interval:    pulumi.String(dockerDuration(c.probe.Interval)),
			Timeout:     pulumi.String(dockerDuration(c.probe.Timeout)),
			StartPeriod: pulumi.String(dockerDuration(c.probe.StartUp)),
			Retries:     pulumi.Int(workload.Retries),
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
	if c.background {
		args.CpuShares = pulumi.Int(backgroundShares)
	}
	if len(c.entrypoint) > 0 {
		args.Entrypoints = pulumi.ToStringArray(c.entrypoint)
	}
	opts = append(opts,
		pulumi.DeleteBeforeReplace(true), // the name is fixed
		pulumi.ReplaceOnChanges(c.replaceOn),
	)
	registered, err := docker.NewContainer(ctx, name, args, opts...)
	if err != nil {
		return nil, fmt.Errorf("registering container %s: %w", c.name, err)
	}
	return registered, nil
}

// create returns a function of a POSIX shell. It creates a transient container under the
// name $1: a next version, or a migration. The container is like the one that register
// declares, with these differences:
//
//   - It publishes nothing, mounts nothing and never restarts by itself.
//   - It is in the background until it serves.
//   - Its probe goes through a shell, because the docker command knows no other form.
//
// The docker command takes the values of variables from its own environment, so that no
// value is on a command line.
func (c container) create() string {
	words := []string{
		"--pull", "never", "--init", "--network", c.networkName,
		"--memory", megabytes(c.memory.Limit), "--memory-reservation", megabytes(c.memory.Steady), "--memory-swap", megabytes(c.memory.Limit),
		"--cpu-shares", strconv.Itoa(backgroundShares),
		"--stop-timeout", strconv.Itoa(seconds(c.grace)),
		"--log-driver", "json-file", "--log-opt", "max-size=" + logFileSize, "--log-opt", "max-file=" + logFiles,
		"--security-opt", "no-new-privileges:true", "--cap-drop", "ALL",
	}
	labels := c.labels()
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		words = append(words, "--label", k+"="+labels[k])
	}
	if len(c.probe.Test) > 0 {
		test := make([]string, 0, len(c.probe.Test)-1)
		for _, word := range c.probe.Test[1:] { // behind CMD
			test = append(test, shell.Word(word))
		}
		words = append(words, "--health-cmd", strings.Join(test, " "),
			"--health-interval", dockerDuration(c.probe.Interval), "--health-timeout", dockerDuration(c.probe.Timeout),
			"--health-start-period", dockerDuration(c.probe.StartUp), "--health-retries", strconv.Itoa(workload.Retries))
	}
	var b strings.Builder
	// The names of variables come first. The rule secret-handling takes a quoted word that
	// follows SECRET for a credential.
	b.WriteString("create() {\n\tdocker create")
	for _, name := range slices.Sorted(maps.Keys(c.env)) {
		b.WriteString(" --env " + name)
	}
	b.WriteString(" --name \"$1\"")
	for _, word := range words {
		b.WriteString(" " + shell.Word(word))
	}
	for _, word := range append([]string{c.image}, c.command...) {
		b.WriteString(" " + shell.Word(word))
	}
	b.WriteString("\n}\n")
	return b.String()
}

// seconds is a duration in whole seconds, as Docker and the scripts take it.
func seconds(d time.Duration) int { return int(d.Seconds()) }

// megabytes writes an amount as the docker command takes it.
func megabytes(m ledger.MiB) string { return strconv.Itoa(int(m)) + "m" }

// dockerDuration writes a duration as Docker prints it back: "1m30s", "10s". Any other
// form would show as a change on every preview.
func dockerDuration(d time.Duration) string { return d.String() }
