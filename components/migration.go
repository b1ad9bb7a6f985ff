package components

import (
	"fmt"
	"maps"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// MigrationArgs declares the migration of an app's database.
type MigrationArgs struct {
	Workload *Workload // whose image, variables and memory the migration uses
}

// Migration brings an app's database to what the next version of the app needs. It runs
// whenever the image or what it is given changes, and before any container of the app is
// replaced. It has a container of its own, which takes the memory of a handover: no next
// version stands beside a container meanwhile.
type Migration struct {
	pulumi.ResourceState

	// Done is there once the database is migrated.
	Done pulumi.Resource
}

// NewMigration registers the migration.
func NewMigration(ctx *pulumi.Context, name string, args *MigrationArgs, opts ...pulumi.ResourceOption) (*Migration, error) {
	migration := &Migration{}
	c, platform := args.Workload.container, args.Workload.platform
	c.Name, c.Command, c.Probe = ledger.MigrationName(c.app), workload.Migration, nil
	c.Restart, c.CPUShares = "no", document.BackgroundShares
	c.Labels = maps.Clone(c.Labels)
	c.Labels[ledger.LabelComposeService] = "migrate"
	inputs := pulumi.Map{"app": pulumi.String(c.app), "memory": pulumi.Int(c.Memory)}
	if err := ctx.RegisterComponentResourceV2(ledger.TypeMigration, name, inputs, migration, opts...); err != nil {
		return nil, fmt.Errorf("registering migration %q: %w", name, err)
	}
	header := document.NewHeader(c.app, c.Name)
	header.Digest = c.Image
	done, err := platform.program.run(ctx, ledger.Logical(c.app, "migrate"), task{
		verb: document.Migrate,
		document: c.documented(func(whole document.Container) any {
			return document.Migration{
				Header: header, Stack: c.Labels[ledger.LabelStack], Container: whole, Lock: platform.lock(c.Name),
				Needs: []string{platform.service(ledger.Postgres).Container, platform.service(ledger.Redis).Container},
			}
		}),
	}, pulumi.Parent(migration), args.Workload.waitFor(nil))
	if err != nil {
		return nil, err
	}
	migration.Done = done
	if err := ctx.RegisterResourceOutputs(migration, inputs); err != nil {
		return nil, fmt.Errorf("registering outputs of migration %q: %w", name, err)
	}
	return migration, nil
}
