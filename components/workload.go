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
	Image       string                         // full reference, best with a digest
	Secrets     map[string]pulumi.StringOutput // by the name of the variable
	DatabaseURL pulumi.StringOutput            // a secret
	RedisURL    pulumi.StringOutput            // a secret
	Platform    *Platform
	After       []pulumi.Resource // what must be there before any of its steps
}

// Workload is one container of an app, and the steps in which an update replaces it.
// [NewWorkload] registers none of them. The app calls them in the order of an update: for
// a container that serves [Workload.Try], unless it is the app's first, and then
// [Workload.HandOver]; for any other [Workload.Replace] alone. Each is called at most
// once, HandOver or Replace last.
type Workload struct {
	pulumi.ResourceState

	Container *docker.Container
	// Tried is there once the next version has become healthy in a try.
	Tried pulumi.Resource
	// Taken is there once the next version serves.
	Taken pulumi.Resource
	// Done is there once the container does its work and nothing stands beside it.
	Done pulumi.Resource

	name      string
	role      ledger.Role
	container container
	after     []pulumi.Resource
	inputs    pulumi.Map
	platform  *Platform
}

// NewWorkload registers the component.
func NewWorkload(ctx *pulumi.Context, name string, args *WorkloadArgs, opts ...pulumi.ResourceOption) (*Workload, error) {
	w := &Workload{
		name: name, role: args.Container.Role, container: args.container(ctx.Stack()),
		after: args.After, platform: args.Platform,
	}
	w.inputs = pulumi.Map{
		"app": pulumi.String(w.container.app), "container": pulumi.String(w.container.Name), "port": pulumi.Int(args.Container.Port),
		"memoryReservation": pulumi.Int(w.container.Reservation), "memory": pulumi.Int(w.container.Memory),
	}
	if w.role.Serves() {
		w.inputs["next"] = pulumi.String(ledger.NextName(w.container.Name))
	}
	if err := ctx.RegisterComponentResourceV2(ledger.TypeWorkload, name, w.inputs, w, opts...); err != nil {
		return nil, fmt.Errorf("registering workload %q: %w", name, err)
	}
	return w, nil
}

// Replace registers the container, and waits until it is ready. An update ends the old one
// before it starts the new one, so of beat there are never two.
func (w *Workload) Replace(ctx *pulumi.Context, after ...pulumi.Resource) (err error) {
	if err := w.replace(ctx, after); err != nil {
		return err
	}
	w.Done, err = w.platform.awaitReady(ctx, ledger.Logical(w.container.Name, "ready"), w.container.app, []container{w.container},
		pulumi.Array{w.Container.ID()}, "The containers of "+w.container.app+" that serve have been replaced.",
		pulumi.Parent(w), pulumi.DependsOn([]pulumi.Resource{w.Container}))
	if err != nil {
		return err
	}
	return w.registerOutputs(ctx)
}

func (w *Workload) replace(ctx *pulumi.Context, after []pulumi.Resource) (err error) {
	w.Container, err = w.container.register(ctx, w.name, pulumi.Parent(w), w.waitFor(after))
	return err
}

func (w *Workload) waitFor(after []pulumi.Resource) pulumi.ResourceOption {
	return pulumi.DependsOn(append(after[:len(after):len(after)], w.after...))
}

func (w *Workload) registerOutputs(ctx *pulumi.Context) error {
	if err := ctx.RegisterResourceOutputs(w, w.inputs); err != nil {
		return fmt.Errorf("registering outputs of workload %q: %w", w.name, err)
	}
	return nil
}

// container is the container that the arguments describe.
func (args *WorkloadArgs) container(stack string) container {
	app, c := args.App, args.Container
	program := args.Spec.Process.At(workload.Place{App: app, Container: c})
	made := runs{
		name: ledger.ContainerName(app.Name, c.Role), project: app.Name, service: string(c.Role), app: app.Name, stack: stack,
		image: args.Image, command: program.Command, network: args.Platform.networkName,
		memory: c.Memory, background: !c.Role.Serves(), probe: program.Probe, grace: program.Grace,
	}.container()
	made.env, made.network = args.environment(), args.Platform.Network
	made.replaceOn = []string{"*"} // what is changed in place would not be handed over
	return made
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
