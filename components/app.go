// Package components holds the Pulumi components that turn ledger entries into resources.
package components

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/caddysite"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// AppArgs declares one Alorig application.
type AppArgs struct {
	App       ledger.App
	Workloads []workload.Spec
	Images    map[string]string              // references by image name
	Secrets   map[string]pulumi.StringOutput // the app's secrets by name
	Platform  *Platform

	Address    string            // the server's public IPv4 address
	Zones      map[string]string // Cloudflare zone ids by domain
	TLS        caddysite.TLS
	AdminCIDRs []netip.Prefix

	// Previous is the gate of the app before this one: its containers wait for it.
	Previous *Gate
}

// App is one Alorig application: its databases, its share of Redis, its containers,
// its DNS records, its site file, and the gate behind which the next app starts.
type App struct {
	pulumi.ResourceState

	Gate *Gate
}

// NewApp registers the application. A workload that the ledger does not book, or a
// booked container for which nothing runs, is an error.
func NewApp(ctx *pulumi.Context, name string, args *AppArgs, opts ...pulumi.ResourceOption) (*App, error) {
	app := &App{}
	inputs := pulumi.Map{"app": pulumi.String(args.App.Name), "title": pulumi.String(args.App.Title), "blueprint": pulumi.String(args.App.Blueprint)}
	if err := ctx.RegisterComponentResourceV2(ledger.TypeApp, name, inputs, app, opts...); err != nil {
		return nil, fmt.Errorf("registering app %q: %w", name, err)
	}
	if err := workload.Check(args.App, args.Workloads); err != nil {
		return nil, err
	}
	within := pulumi.Parent(app)

	databases := map[string]*Database{}
	var stores []pulumi.Resource
	for _, db := range args.App.Databases {
		password, err := secretValue(args.Secrets, args.App.Name, workload.DatabasePasswordKey(args.App, db))
		if err != nil {
			return nil, err
		}
		postgres := args.Platform.service(ledger.Postgres)
		databases[db.Name], err = NewDatabase(ctx, ledger.Logical(args.App.Name, db.Name), &DatabaseArgs{
			App: args.App, Database: db, Server: postgres.Container, Port: postgres.Port, Password: password,
		}, within, pulumi.DependsOn(args.Platform.Ready))
		if err != nil {
			return nil, err
		}
		stores = append(stores, databases[db.Name].Ready)
	}

	password, err := secretValue(args.Secrets, args.App.Name, workload.RedisPasswordKey)
	if err != nil {
		return nil, err
	}
	redis := args.Platform.service(ledger.Redis)
	user, err := NewRedisUser(ctx, ledger.Logical(args.App.Name, "redis"), &RedisUserArgs{
		App: args.App, Server: redis.Container, Port: redis.Port, Password: password,
		AdminPassword: args.Platform.redisPassword, Shell: args.Platform.shell,
	}, within, pulumi.DependsOn(args.Platform.Ready))
	if err != nil {
		return nil, err
	}
	stores = append(stores, user.Ready)

	images, err := pullImages(ctx, args, within)
	if err != nil {
		return nil, err
	}

	before := slices.Concat(stores, args.Platform.Ready)
	if args.Previous != nil {
		before = append(before, args.Previous.Passed)
	}
	workloads := make([]*WorkloadArgs, len(args.Workloads))
	for i, spec := range args.Workloads {
		c, _ := args.App.Container(spec.Role)
		secrets := map[string]pulumi.StringOutput{}
		for _, key := range spec.Secrets {
			if secrets[key], err = secretValue(args.Secrets, args.App.Name, key); err != nil {
				return nil, err
			}
		}
		workloads[i] = &WorkloadArgs{
			App: args.App, Container: c, Spec: spec,
			Image:       args.Images[c.Image],
			Secrets:     secrets,
			DatabaseURL: databases[c.Database].URL, RedisURL: user.URL,
			Network: args.Platform.Network, NetworkName: args.Platform.networkName,
			After: append(slices.Clone(before), images[c.Image]),
		}
	}
	containers, err := app.rollOut(ctx, args.Platform, args.App.Name, workloads, within)
	if err != nil {
		return nil, err
	}
	var names []string
	var running []pulumi.Resource
	triggers := pulumi.Array{}
	for _, spec := range args.Workloads {
		names = append(names, ledger.ContainerName(args.App.Name, spec.Role))
		running = append(running, containers[spec.Role].Done)
		triggers = append(triggers, containers[spec.Role].Container.ID())
	}

	if _, err := NewDomain(ctx, ledger.Logical(args.App.Name, "domain"), &DomainArgs{
		App: args.App, Address: args.Address, Zones: args.Zones,
	}, within, pulumi.DependsOn(args.Platform.Ready)); err != nil {
		return nil, err
	}
	route, err := NewRoute(ctx, ledger.Logical(args.App.Name, "route"), &RouteArgs{
		App: args.App, TLS: args.TLS, AdminCIDRs: args.AdminCIDRs,
		Caddy: args.Platform.service(ledger.Caddy).Container, Directory: args.Platform.caddyDirectory,
		Shell: args.Platform.shell, After: running,
	}, within)
	if err != nil {
		return nil, err
	}
	app.Gate, err = NewGate(ctx, ledger.Logical(args.App.Name, "gate"), &GateArgs{
		App: args.App.Name, Containers: names, Triggers: triggers,
		Shell: args.Platform.shell, After: append(running, route.Loaded),
	}, within)
	if err != nil {
		return nil, err
	}
	if err := ctx.RegisterResourceOutputs(app, inputs); err != nil {
		return nil, fmt.Errorf("registering outputs of app %q: %w", name, err)
	}
	return app, nil
}

// rollOut registers the containers in the order in which an update of the app goes. The
// database is migrated. Each serving container's next version is proven. The serving
// containers are handed over, one after the other; as soon as a next version serves, the
// workers are replaced. Of beat the old one ends before the new one starts.
func (a *App) rollOut(ctx *pulumi.Context, platform *Platform, name string, workloads []*WorkloadArgs, within pulumi.ResourceOption) (map[ledger.Role]*Workload, error) {
	var proven []pulumi.Resource
	var serving, others []*WorkloadArgs
	for _, w := range workloads {
		if w.Container.Role.Serves() {
			serving = append(serving, w)
		} else {
			others = append(others, w)
		}
		if w.Container.Role == ledger.Backend {
			migration, err := NewMigration(ctx, ledger.Logical(name, "migration"), &MigrationArgs{Workload: w, Platform: platform, After: w.After}, within)
			if err != nil {
				return nil, err
			}
			proven = append(proven, migration.Done)
		}
	}
	for i, w := range serving {
		var err error
		w.Handover, err = NewHandover(ctx, ledger.Logical(name, string(w.Container.Role), "handover"), &HandoverArgs{
			Workload: w, Platform: platform, Try: i > 0, After: slices.Concat(w.After, proven),
		}, within)
		if err != nil {
			return nil, err
		}
		if w.Handover.Proven != nil {
			proven = append(proven, w.Handover.Proven)
		}
	}
	registered := map[ledger.Role]*Workload{}
	register := func(w *WorkloadArgs, after []pulumi.Resource) error {
		w.After = slices.Concat(w.After, after)
		var err error
		registered[w.Container.Role], err = NewWorkload(ctx, ledger.Logical(name, string(w.Container.Role)), w, within)
		return err
	}
	previous := proven
	for _, w := range serving {
		if err := register(w, previous); err != nil {
			return nil, err
		}
		previous = []pulumi.Resource{registered[w.Container.Role].Done}
	}
	if len(serving) > 0 {
		proven = append(proven, serving[0].Handover.Taken)
	}
	for _, w := range others {
		if err := register(w, proven); err != nil {
			return nil, err
		}
	}
	return registered, nil
}

// pullImages registers each image of the app once. Images stay on the server when
// they are no longer declared: the one before is what a rollback starts.
func pullImages(ctx *pulumi.Context, args *AppArgs, within pulumi.ResourceOption) (map[string]pulumi.Resource, error) {
	images := map[string]pulumi.Resource{}
	for _, c := range args.App.Containers {
		if _, done := images[c.Image]; done {
			continue
		}
		reference, ok := args.Images[c.Image]
		if !ok {
			return nil, fmt.Errorf("app %q needs the image %q, for which the settings hold no reference", args.App.Name, c.Image)
		}
		image, err := docker.NewRemoteImage(ctx, ledger.Logical(args.App.Name, "image", c.Image), &docker.RemoteImageArgs{
			Name: pulumi.String(reference), KeepLocally: pulumi.Bool(true),
		}, within)
		if err != nil {
			return nil, fmt.Errorf("registering image %s: %w", c.Image, err)
		}
		images[c.Image] = image
	}
	return images, nil
}
