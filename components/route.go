package components

import (
	"fmt"
	"net/netip"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/caddysite"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
)

// RouteArgs declares how the outside reaches one app.
type RouteArgs struct {
	App        ledger.App
	TLS        caddysite.TLS
	AdminCIDRs []netip.Prefix // who may reach restricted routes
	Platform   *Platform
	After      []pulumi.Resource // containers that answer
}

// Route is the Caddy site file of an app. It is put in place atomically: the Caddy that
// will load it validates it, then the file is swapped and Caddy reloads. After any failure
// the old file is back, and the update of this app alone fails.
type Route struct {
	pulumi.ResourceState

	// Loaded is there once Caddy serves the file.
	Loaded pulumi.Resource
}

// NewRoute registers the site file.
func NewRoute(ctx *pulumi.Context, name string, args *RouteArgs, opts ...pulumi.ResourceOption) (*Route, error) {
	site, err := caddysite.Render(args.App, caddysite.Options{TLS: args.TLS, AdminCIDRs: args.AdminCIDRs})
	if err != nil {
		return nil, fmt.Errorf("rendering the site file of %s: %w", args.App.Name, err)
	}
	cidrs := make([]string, len(args.AdminCIDRs))
	for i, c := range args.AdminCIDRs {
		cidrs[i] = c.String()
	}
	route := &Route{}
	inputs := pulumi.Map{
		"app": pulumi.String(args.App.Name), "tls": pulumi.String(args.TLS),
		"adminCidrs": pulumi.ToStringArray(cidrs), "site": pulumi.String(site),
	}
	if err := ctx.RegisterComponentResourceV2(ledger.TypeRoute, name, inputs, route, opts...); err != nil {
		return nil, fmt.Errorf("registering route %q: %w", name, err)
	}
	file := ledger.SiteFile(args.App.Name)
	text, err := document.Write(document.Site{
		Header: document.NewHeader(args.App.Name, file), Caddy: args.Platform.service(ledger.Caddy).Container,
		Directory: args.Platform.caddyDirectory, File: file, Text: site,
	})
	if err != nil {
		return nil, err
	}
	loaded, err := args.Platform.program.run(ctx, ledger.Logical(args.App.Name, "site"), task{
		verb: document.PutSite, undo: document.RemoveSite, document: pulumi.String(text),
	}, pulumi.Parent(route), pulumi.DependsOn(args.After))
	if err != nil {
		return nil, err
	}
	route.Loaded = loaded
	if err := ctx.RegisterResourceOutputs(route, inputs); err != nil {
		return nil, fmt.Errorf("registering outputs of route %q: %w", name, err)
	}
	return route, nil
}
