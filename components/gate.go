package components

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/ledger"
)

// GateArgs declares what must be true before the next app starts.
type GateArgs struct {
	App       string
	Workloads []*Workload // that must be ready
	Platform  *Platform
	After     []pulumi.Resource
}

// Gate holds the rollout until all containers of an app are ready once more. Some of them
// have been ready for a while, and what came later may have made them sick.
type Gate struct {
	pulumi.ResourceState

	// Passed is there once the gate is open.
	Passed pulumi.Resource
}

// NewGate registers the gate.
func NewGate(ctx *pulumi.Context, name string, args *GateArgs, opts ...pulumi.ResourceOption) (*Gate, error) {
	gate := &Gate{}
	var names []string
	var containers []container
	triggers := pulumi.Array{}
	for _, w := range args.Workloads {
		names = append(names, w.container.Name)
		containers = append(containers, w.container)
		triggers = append(triggers, w.Container.ID()) // a new container asks again
	}
	inputs := pulumi.Map{"app": pulumi.String(args.App), "containers": pulumi.ToStringArray(names)}
	if err := ctx.RegisterComponentResourceV2(ledger.TypeGate, name, inputs, gate, opts...); err != nil {
		return nil, fmt.Errorf("registering gate %q: %w", name, err)
	}
	passed, err := args.Platform.awaitReady(ctx, ledger.Logical(args.App, "healthy"), args.App, containers, triggers,
		"The next app was not started.", pulumi.Parent(gate), pulumi.DependsOn(args.After))
	if err != nil {
		return nil, err
	}
	gate.Passed = passed
	if err := ctx.RegisterResourceOutputs(gate, inputs); err != nil {
		return nil, fmt.Errorf("registering outputs of gate %q: %w", name, err)
	}
	return gate, nil
}
