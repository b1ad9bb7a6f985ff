package components

import (
	_ "embed" // the script
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// GateArgs declares what must be true before the next app starts.
type GateArgs struct {
	App        string
	Containers []string     // that must be running and healthy
	Triggers   pulumi.Array // a change asks again
	Shell      Shell
	After      []pulumi.Resource
}

// Gate holds the rollout until all containers of an app run and are healthy at the same
// time. It asks Docker once more, because a container that was not healthy in time is in
// Pulumi's state all the same, and the next update may take it for a good one.
type Gate struct {
	pulumi.ResourceState

	// Passed is there once the gate is open.
	Passed pulumi.Resource
}

//go:embed scripts/gate.sh
var gateScript string

// NewGate registers the gate.
func NewGate(ctx *pulumi.Context, name string, args *GateArgs, opts ...pulumi.ResourceOption) (*Gate, error) {
	gate := &Gate{}
	inputs := pulumi.Map{"app": pulumi.String(args.App), "containers": pulumi.ToStringArray(args.Containers)}
	if err := ctx.RegisterComponentResourceV2(ledger.TypeGate, name, inputs, gate, opts...); err != nil {
		return nil, fmt.Errorf("registering gate %q: %w", name, err)
	}
	passed, err := args.Shell.run(ctx, ledger.Logical(args.App, "healthy"), script{
		apply:    fmt.Sprintf("containers='%s'\npatience=%d\n", strings.Join(args.Containers, " "), seconds(workload.Patience)) + gateScript,
		triggers: args.Triggers,
	}, pulumi.Parent(gate), pulumi.DependsOn(args.After))
	if err != nil {
		return nil, err
	}
	gate.Passed = passed
	if err := ctx.RegisterResourceOutputs(gate, inputs); err != nil {
		return nil, fmt.Errorf("registering outputs of gate %q: %w", name, err)
	}
	return gate, nil
}
