package stacks

import (
	"fmt"
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/pulumicli"
	"github.com/alorig/fleet/internal/readback"
)

// stateOf is what the stack's state holds before the update changes anything, by URN; what
// --refresh has just seen is not in it yet. The Pulumi engine answers this to any program
// (readStackResourceOutputs in pkg/resource/deploy of Pulumi 3.259); no SDK has a function
// for it.
func stateOf(ctx *pulumi.Context) (map[string]readback.Resource, error) {
	var answer struct {
		Outputs map[string]struct {
			Type    string         `pulumi:"type"`
			Outputs map[string]any `pulumi:"outputs"`
		} `pulumi:"outputs"`
	}
	name := qualifiedStack(ctx)
	if _, err := ctx.InvokePackageRaw("pulumi:pulumi:readStackResourceOutputs", map[string]any{"stackName": name}, &answer, ""); err != nil {
		return nil, fmt.Errorf("reading the state of %s: %w", name, err)
	}
	all := map[string]readback.Resource{}
	for urn, r := range answer.Outputs {
		all[urn] = readback.Resource{Type: r.Type, Outputs: r.Outputs}
	}
	return all, nil
}

// removedContainers are those that an update has removed itself, to make them anew, and that it
// has not made because it failed. The engine's answer to a program does not tell them from
// others, its export does.
func removedContainers(ctx *pulumi.Context) ([]string, error) {
	cli, err := pulumicli.Find(ctx.Context(), "", os.Stderr)
	if err != nil {
		return nil, err
	}
	state, err := pulumicli.Stack{CLI: cli, Name: qualifiedStack(ctx)}.Export(ctx.Context())
	if err != nil {
		return nil, fmt.Errorf("seeing which containers the update before has removed: %w", err)
	}
	var names []string
	for _, r := range state.Resources {
		if name, ok := r.Outputs["name"].(string); ok && string(r.Type) == declared.TypeContainer && r.PendingReplacement {
			names = append(names, name)
		}
	}
	return names, nil
}

func qualifiedStack(ctx *pulumi.Context) string {
	return fmt.Sprintf("%s/%s/%s", ctx.Organization(), ctx.Project(), ctx.Stack())
}
