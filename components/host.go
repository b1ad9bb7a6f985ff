package components

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/fleet"
)

// HostArgs is what the stack declares about its server.
type HostArgs struct {
	Ledger  fleet.Ledger
	Rollout string            // the last app that is declared; "" for none
	Address string            // public IPv4 address
	Zones   map[string]string // Cloudflare zone ids by domain
}

// Host is the root of a stack and is registered first. Its inputs carry the ledger in
// plain values, so that a resource policy refuses a broken fleet before anything else
// is registered, even in an update that skips the preview.
type Host struct {
	pulumi.ResourceState
}

// NewHost registers the Host component.
func NewHost(ctx *pulumi.Context, name string, args *HostArgs, opts ...pulumi.ResourceOption) (*Host, error) {
	ledger, err := args.Ledger.Plain()
	if err != nil {
		return nil, err
	}
	declared := pulumi.Map{
		"ledger":        pulumi.ToMap(ledger),
		"rollout":       pulumi.String(args.Rollout),
		"serverAddress": pulumi.String(args.Address),
		"zones":         pulumi.ToStringMap(args.Zones),
	}
	host := &Host{}
	if err := ctx.RegisterComponentResourceV2(fleet.TypeHost, name, declared, host, opts...); err != nil {
		return nil, fmt.Errorf("registering host %q: %w", name, err)
	}
	// Stack policies read outputs.
	if err := ctx.RegisterResourceOutputs(host, declared); err != nil {
		return nil, fmt.Errorf("registering outputs of host %q: %w", name, err)
	}
	return host, nil
}
