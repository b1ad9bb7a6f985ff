package components

import (
	"fmt"

	"github.com/pulumi/pulumi-cloudflare/sdk/v5/go/cloudflare"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/ledger"
)

// DomainArgs declares the DNS records of one app.
type DomainArgs struct {
	App     ledger.App
	Address string            // the server's public IPv4 address
	Zones   map[string]string // Cloudflare zone ids by domain
	After   []pulumi.Resource // what must answer for the hosts before anybody is sent there
}

// Domain holds the Cloudflare records of an app's hosts, one A record each.
type Domain struct {
	pulumi.ResourceState
}

// How many seconds a resolver may keep a record. For proxied records Cloudflare decides
// this itself and accepts only 1, which means "automatic".
const (
	ttlAutomatic = 1
	ttlDNSOnly   = 300
)

// NewDomain registers the records.
func NewDomain(ctx *pulumi.Context, name string, args *DomainArgs, opts ...pulumi.ResourceOption) (*Domain, error) {
	domain := &Domain{}
	inputs := pulumi.Map{"app": pulumi.String(args.App.Name)}
	if err := ctx.RegisterComponentResourceV2(ledger.TypeDomain, name, inputs, domain, opts...); err != nil {
		return nil, fmt.Errorf("registering domain %q: %w", name, err)
	}
	for _, host := range args.App.Hosts {
		ttl := ttlDNSOnly
		if host.Proxied {
			ttl = ttlAutomatic
		}
		_, err := cloudflare.NewRecord(ctx, ledger.Logical(args.App.Name, "dns", host.Name), &cloudflare.RecordArgs{
			ZoneId:  pulumi.String(args.Zones[host.Zone]),
			Name:    pulumi.String(host.Name),
			Type:    pulumi.String("A"),
			Content: pulumi.String(args.Address),
			Proxied: pulumi.Bool(host.Proxied),
			Ttl:     pulumi.Int(ttl),
			// The free plan has no tags.
			Comment: pulumi.String("alorig fleet: " + args.App.Name),
		}, pulumi.Parent(domain), pulumi.DependsOn(args.After), pulumi.DeleteBeforeReplace(true))
		if err != nil {
			return nil, fmt.Errorf("registering the record of %s: %w", host.Name, err)
		}
	}
	if err := ctx.RegisterResourceOutputs(domain, inputs); err != nil {
		return nil, fmt.Errorf("registering outputs of domain %q: %w", name, err)
	}
	return domain, nil
}
