package stacks

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

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
	name := fmt.Sprintf("%s/%s/%s", ctx.Organization(), ctx.Project(), ctx.Stack())
	if _, err := ctx.InvokePackageRaw("pulumi:pulumi:readStackResourceOutputs", map[string]any{"stackName": name}, &answer, ""); err != nil {
		return nil, fmt.Errorf("reading the state of %s: %w", name, err)
	}
	all := map[string]readback.Resource{}
	for urn, r := range answer.Outputs {
		all[urn] = readback.Resource{Type: r.Type, Outputs: r.Outputs}
	}
	return all, nil
}
