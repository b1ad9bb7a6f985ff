package components

import (
	_ "embed" // the script
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

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

//go:embed scripts/migrate.sh
var migrate string

// NewMigration registers the migration.
func NewMigration(ctx *pulumi.Context, name string, args *MigrationArgs, opts ...pulumi.ResourceOption) (*Migration, error) {
	migration := &Migration{}
	c, platform := args.Workload.container, args.Workload.platform
	c.service, c.command, c.probe = "migrate", workload.Migration, workload.Probe{}
	inputs := pulumi.Map{"app": pulumi.String(c.app), "memory": pulumi.Int(int(c.memory.Limit))}
	if err := ctx.RegisterComponentResourceV2(ledger.TypeMigration, name, inputs, migration, opts...); err != nil {
		return nil, fmt.Errorf("registering migration %q: %w", name, err)
	}
	done, err := platform.shell.run(ctx, ledger.Logical(c.app, "migrate"), script{
		apply: fmt.Sprintf("stack=%s\napp=%s\nmigration=%s\nneeds='%s %s'\nlock=%s\n", c.stack, c.app, ledger.MigrationName(c.app),
			platform.service(ledger.Postgres).Container, platform.service(ledger.Redis).Container, platform.lock(ledger.MigrationName(c.app))) + c.create() + migrate,
		stdin: c.env.exports(),
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
