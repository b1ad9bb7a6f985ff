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
	Logins    map[string]string              // login roles by the role that owns the database
	Platform  *Platform

	Address    string            // the server's public IPv4 address
	Zones      map[string]string // Cloudflare zone ids by domain
	TLS        caddysite.TLS
	AdminCIDRs []netip.Prefix

	// WaitFor is the gate of the app before this one; nil for the first app. No container
	// of this app is touched before it is open.
	WaitFor *Gate
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

	stores, err := newStores(ctx, args, within)
	if err != nil {
		return nil, err
	}
	workloads, err := newWorkloads(ctx, args, stores, within)
	if err != nil {
		return nil, err
	}
	if err := rollOut(ctx, args, workloads, within); err != nil {
		return nil, err
	}
	var done []pulumi.Resource
	for _, w := range workloads {
		done = append(done, w.Done)
	}

	route, err := NewRoute(ctx, ledger.Logical(args.App.Name, "route"), &RouteArgs{
		App: args.App, TLS: args.TLS, AdminCIDRs: args.AdminCIDRs,
		Platform: args.Platform, After: done,
	}, within)
	if err != nil {
		return nil, err
	}
	if _, err := NewDomain(ctx, ledger.Logical(args.App.Name, "domain"), &DomainArgs{
		App: args.App, Address: args.Address, Zones: args.Zones, After: []pulumi.Resource{route.Loaded},
	}, within); err != nil {
		return nil, err
	}
	app.Gate, err = NewGate(ctx, ledger.Logical(args.App.Name, "gate"), &GateArgs{
		App: args.App.Name, Workloads: workloads, Platform: args.Platform, After: append(done, route.Loaded),
	}, within)
	if err != nil {
		return nil, err
	}
	if err := stores.redis.Settle(ctx, app.Gate.Passed); err != nil {
		return nil, err
	}
	if err := ctx.RegisterResourceOutputs(app, inputs); err != nil {
		return nil, fmt.Errorf("registering outputs of app %q: %w", name, err)
	}
	return app, nil
}

// rollOut registers the containers in the order in which an update of the app goes:
//
//  1. The database is migrated.
//  2. The next version of each serving container is tried, except that of the first, with
//     which step 3 begins.
//  3. The serving containers are handed over to their next versions, one after the other.
//  4. As soon as the first next version serves, the workers and beat are replaced.
//
// Nothing stops before all of it has been tried: if a next version does not become
// healthy, the whole app goes on as it is.
func rollOut(ctx *pulumi.Context, args *AppArgs, workloads []*Workload, within pulumi.ResourceOption) error {
	var serving, background []*Workload
	for _, w := range workloads {
		if w.role.Serves() {
			serving = append(serving, w)
		} else {
			background = append(background, w)
		}
	}

	var ready []pulumi.Resource // what must be there before anything stops
	for _, w := range serving {
		if w.role == ledger.Backend {
			migration, err := NewMigration(ctx, ledger.Logical(args.App.Name, "migration"), &MigrationArgs{Workload: w}, within)
			if err != nil {
				return err
			}
			ready = append(ready, migration.Done)
		}
	}
	for i, w := range serving {
		if i == 0 {
			continue
		}
		if err := w.Try(ctx, ready...); err != nil {
			return err
		}
		ready = append(ready, w.Tried)
	}
	for i, w := range serving {
		before := ready
		if i > 0 {
			before = []pulumi.Resource{serving[i-1].Done}
		}
		if err := w.HandOver(ctx, before...); err != nil {
			return err
		}
	}
	if len(serving) > 0 {
		ready = append(ready, serving[0].Taken)
	}
	for _, w := range background {
		if err := w.Replace(ctx, ready...); err != nil {
			return err
		}
	}
	return nil
}

// stores are where an app keeps its data.
type stores struct {
	databases map[string]*Database
	redis     *RedisUser
	ready     []pulumi.Resource
}

func newStores(ctx *pulumi.Context, args *AppArgs, within pulumi.ResourceOption) (stores, error) {
	s := stores{databases: map[string]*Database{}}
	afterPlatform := pulumi.DependsOn(args.Platform.Ready)
	postgres := args.Platform.service(ledger.Postgres)
	for _, db := range args.App.Databases {
		password, err := secretValue(args.Secrets, args.App.Name, workload.DatabasePasswordKey(args.App, db))
		if err != nil {
			return s, err
		}
		created, err := NewDatabase(ctx, ledger.Logical(args.App.Name, db.Name), &DatabaseArgs{
			App: args.App, Database: db, Server: postgres.Container, Port: postgres.Port,
			Login: args.Logins[db.Role], Password: password,
		}, within, afterPlatform)
		if err != nil {
			return s, err
		}
		s.databases[db.Name] = created
		s.ready = append(s.ready, created.Ready)
	}
	password, err := secretValue(args.Secrets, args.App.Name, workload.RedisPasswordKey)
	if err != nil {
		return s, err
	}
	s.redis, err = NewRedisUser(ctx, ledger.Logical(args.App.Name, "redis"), &RedisUserArgs{
		App: args.App, Password: password, Platform: args.Platform,
	}, within, afterPlatform)
	if err != nil {
		return s, err
	}
	s.ready = append(s.ready, s.redis.Ready)
	return s, nil
}

// newWorkloads registers the app's images and workloads. No step of a workload runs
// before its image, the stores, the platform and the gate of the app before are there.
func newWorkloads(ctx *pulumi.Context, args *AppArgs, stores stores, within pulumi.ResourceOption) ([]*Workload, error) {
	images, err := pullImages(ctx, args, within)
	if err != nil {
		return nil, err
	}
	before := slices.Concat(stores.ready, args.Platform.Ready)
	if args.WaitFor != nil {
		before = append(before, args.WaitFor.Passed)
	}
	workloads := make([]*Workload, len(args.Workloads))
	for i, spec := range args.Workloads {
		c, _ := args.App.Container(spec.Role)
		secrets := map[string]pulumi.StringOutput{}
		for _, key := range spec.Secrets {
			if secrets[key], err = secretValue(args.Secrets, args.App.Name, key); err != nil {
				return nil, err
			}
		}
		workloads[i], err = NewWorkload(ctx, ledger.Logical(args.App.Name, string(spec.Role)), &WorkloadArgs{
			App: args.App, Container: c, Spec: spec, Platform: args.Platform,
			Image: args.Images[c.Image], Secrets: secrets,
			DatabaseURL: stores.databases[c.Database].URL, RedisURL: stores.redis.URL,
			After: append(slices.Clone(before), images[c.Image]),
		}, within)
		if err != nil {
			return nil, err
		}
	}
	return workloads, nil
}

// pullImages registers each image of the app once. An image that is no longer declared
// stays on the server, because a rollback starts it.
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
