package components

import (
	"fmt"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// WorkloadArgs declares one container of an app.
type WorkloadArgs struct {
	App         ledger.App
	Container   ledger.Container
	Spec        workload.Spec
	Image       string // full reference, best with a digest
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
	w := &Workload{}
	app, c := args.App, args.Container
	physical := ledger.ContainerName(app.Name, c.Role)
	inputs := pulumi.Map{
		"app": pulumi.String(app.Name), "container": pulumi.String(physical), "port": pulumi.Int(c.Port),
		"memoryReservation": pulumi.Int(int(c.Memory.Steady)), "memory": pulumi.Int(int(c.Memory.Limit)),
	}
	if err := ctx.RegisterComponentResourceV2(ledger.TypeWorkload, name, inputs, w, opts...); err != nil {
		return nil, fmt.Errorf("registering workload %q: %w", name, err)
	}
	after := args.After
	if args.Handover != nil {
		if err := args.Handover.take(ctx, after); err != nil {
			return nil, err
		}
		after = append(after, args.Handover.Taken)
	}
	registered, err := args.container(ctx.Stack()).register(ctx, name, pulumi.Parent(w), pulumi.DependsOn(after))
	if err != nil {
		return nil, err
	}
	w.Container, w.Done = registered, registered
	if args.Handover != nil {
		if w.Done, err = args.Handover.end(ctx, registered); err != nil {
			return nil, err
		}
	}
	if err := ctx.RegisterResourceOutputs(w, inputs); err != nil {
		return nil, fmt.Errorf("registering outputs of workload %q: %w", name, err)
	}
	return w, nil
}

// container is the container that the arguments describe.
func (args *WorkloadArgs) container(stack string) container {
	app, c := args.App, args.Container
	program := args.Spec.Process.At(workload.Place{App: app, Container: c})
	return container{
		name: ledger.ContainerName(app.Name, c.Role), project: app.Name, service: string(c.Role), app: app.Name, stack: stack,
		image:       args.Image,
		command:     program.Command,
		env:         args.environment(),
		network:     args.Network,
		networkName: args.NetworkName,
		memory:      c.Memory,
		background:  !c.Role.Serves(),
		probe:       program.Probe,
		grace:       program.Grace,
		replaceOn:   []string{"*"}, // what is changed in place would not be handed over
	}
}

// environment is the container's variables. The contract comes last: nothing overrides it.
func (args *WorkloadArgs) environment() environment {
	at := workload.Place{App: args.App, Container: args.Container}
	env := environment{}
	env.plain(args.Spec.Variables(at))
	for key, secret := range args.Secrets {
		env[key] = secret
	}
	env.plain(workload.Contract(at))
	env[workload.DatabaseURL], env[workload.RedisURL] = args.DatabaseURL, args.RedisURL
	return env
}
