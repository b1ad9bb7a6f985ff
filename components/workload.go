package components

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/ledger"
)

// WorkloadArgs declares one container of an app.
type WorkloadArgs struct {
	App         ledger.App
	Container   ledger.Container
	Process     Process
	Image       string            // full reference, best with a digest
	Environment map[string]string // beyond the contract; not secret
	Secrets     map[string]pulumi.StringOutput
	DatabaseURL pulumi.StringOutput
	RedisURL    pulumi.StringOutput
	Network     pulumi.StringInput
	NetworkName string            // the same, known before the update
	Handover    *Handover         // of a serving container; nil for the others
	After       []pulumi.Resource // what must be there before it starts
}

// Workload is one container of an app.
type Workload struct {
	pulumi.ResourceState

	Container *docker.Container
	// Done is there once the container does its work and nothing stands beside it.
	Done pulumi.Resource
}

// NewWorkload registers the container.
func NewWorkload(ctx *pulumi.Context, name string, args *WorkloadArgs, opts ...pulumi.ResourceOption) (*Workload, error) {
	workload := &Workload{}
	app, c := args.App, args.Container
	physical := ledger.ContainerName(app.Name, c.Role)
	inputs := pulumi.Map{
		"app": pulumi.String(app.Name), "container": pulumi.String(physical), "port": pulumi.Int(c.Port),
		"memoryReservation": pulumi.Int(int(c.Memory.Steady)), "memory": pulumi.Int(int(c.Memory.Limit)),
	}
	if err := ctx.RegisterComponentResourceV2(ledger.TypeWorkload, name, inputs, workload, opts...); err != nil {
		return nil, fmt.Errorf("registering workload %q: %w", name, err)
	}
	if need := args.Process.connections(); need > c.Connections {
		return nil, fmt.Errorf("%s holds up to %d PostgreSQL connections, the ledger gives it %d; run fewer processes or threads in stacks/%s.go, or raise Connections in internal/ledger",
			physical, need, c.Connections, app.Name)
	}
	if taken := args.steering(); len(taken) > 0 {
		return nil, fmt.Errorf("stacks/%s.go gives %s the variables %s, which would steer the docker command that creates its next version; give them other names or set them in the image",
			app.Name, physical, strings.Join(taken, ", "))
	}
	after := args.After
	if args.Handover != nil {
		if err := args.Handover.take(ctx, after); err != nil {
			return nil, err
		}
		after = append(after, args.Handover.Taken)
	}
	registered, err := args.container(ctx.Stack()).register(ctx, name, pulumi.Parent(workload), pulumi.DependsOn(after))
	if err != nil {
		return nil, err
	}
	workload.Container, workload.Done = registered, registered
	if args.Handover != nil {
		if workload.Done, err = args.Handover.end(ctx, registered); err != nil {
			return nil, err
		}
	}
	if err := ctx.RegisterResourceOutputs(workload, inputs); err != nil {
		return nil, fmt.Errorf("registering outputs of workload %q: %w", name, err)
	}
	return workload, nil
}

// container is the container that the arguments describe.
func (args *WorkloadArgs) container(stack string) container {
	app, c := args.App, args.Container
	at := args.place()
	return container{
		name: ledger.ContainerName(app.Name, c.Role), project: app.Name, service: string(c.Role), app: app.Name, stack: stack,
		image:       args.Image,
		command:     args.Process.command(at),
		env:         args.environment(at),
		network:     args.Network,
		networkName: args.NetworkName,
		memory:      c.Memory,
		background:  !c.Role.Serves(),
		probe:       args.Process.probe(at),
		grace:       args.Process.grace(),
		replaceOn:   []string{"*"}, // what is changed in place would not be handed over
	}
}

// steering are the variables that mean something to the docker command itself, whose
// environment is how they reach a container (see create).
func (args *WorkloadArgs) steering() []string {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(args.environment(args.place()))) {
		if name == "PATH" || strings.HasPrefix(name, "DOCKER_") || strings.HasPrefix(name, "LD_") {
			found = append(found, name)
		}
	}
	return found
}

func (args *WorkloadArgs) place() place {
	return place{app: args.App, container: args.Container, host: probeHost(args.App, args.Container.Role)}
}

func (args *WorkloadArgs) environment(at place) environment {
	env := environment{}
	if args.Process.django() {
		env.djangoHosts(args.App)
	}
	env.plain(args.Process.environment())
	env.plain(args.Environment)
	for key, secret := range args.Secrets {
		env[key] = secret
	}
	env.contract(at, args.DatabaseURL, args.RedisURL)
	return env
}

// probeHost is a host name the container is asked for by its own probe: one that is
// routed to it, or else any of the app's.
func probeHost(app ledger.App, role ledger.Role) string {
	for _, r := range app.Routes {
		if r.Upstream == role && r.Host[0] != '*' {
			return r.Host
		}
	}
	for _, h := range app.Hosts {
		if h.Name[0] != '*' {
			return h.Name
		}
	}
	return "localhost"
}
