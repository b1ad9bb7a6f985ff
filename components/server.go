package components

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/ledger"
)

// ServerArgs is what the stack declares about its server.
type ServerArgs struct {
	Ledger  ledger.Ledger
	Rollout string            // the last app that is declared; "" for none
	Address string            // public IPv4 address
	Zones   map[string]string // Cloudflare zone ids by domain
}

// Server is the root of a stack and is registered first. Its inputs hold the ledger in
// plain values. So a resource policy can refuse a broken fleet before anything else is
// registered, even in an update that skips the preview.
type Server struct {
	pulumi.ResourceState
}

// NewServer registers the Server component.
func NewServer(ctx *pulumi.Context, name string, args *ServerArgs, opts ...pulumi.ResourceOption) (*Server, error) {
	plain, err := args.Ledger.Plain()
	if err != nil {
		return nil, err
	}
	declared := pulumi.Map{
		"ledger":        pulumi.ToMap(plain),
		"rollout":       pulumi.String(args.Rollout),
		"serverAddress": pulumi.String(args.Address),
		"zones":         pulumi.ToStringMap(args.Zones),
	}
	server := &Server{}
	if err := ctx.RegisterComponentResourceV2(ledger.TypeServer, name, declared, server, opts...); err != nil {
		return nil, fmt.Errorf("registering server %q: %w", name, err)
	}
	// Stack policies read outputs.
	if err := ctx.RegisterResourceOutputs(server, declared); err != nil {
		return nil, fmt.Errorf("registering outputs of server %q: %w", name, err)
	}
	return server, nil
}
