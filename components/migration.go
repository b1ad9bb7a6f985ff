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
	Workload *WorkloadArgs // whose image, variables and memory the migration uses
	Platform *Platform
	After    []pulumi.Resource
}

// Migration brings an app's database to what the next version of the app needs: once for
// each change of the image or of what it is given, before any container of it starts. It
// runs in a container of its own, while none stands beside another, and so takes the
// memory of a handover.
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
	c := args.Workload.container(ctx.Stack())
	c.service, c.command, c.probe = "migrate", workload.Migration, workload.Probe{}
	inputs := pulumi.Map{"app": pulumi.String(c.app), "memory": pulumi.Int(int(c.memory.Limit))}
	if err := ctx.RegisterComponentResourceV2(ledger.TypeMigration, name, inputs, migration, opts...); err != nil {
		return nil, fmt.Errorf("registering migration %q: %w", name, err)
	}
	done, err := args.Platform.shell.run(ctx, ledger.Logical(c.app, "migrate"), script{
		apply: fmt.Sprintf("stack=%s\napp=%s\nmigration=%s\nneeds='%s %s'\nlock=%s\n", c.stack, c.app, ledger.MigrationName(c.app),
			args.Platform.service(ledger.Postgres).Container, args.Platform.service(ledger.Redis).Container, args.Platform.lock(ledger.MigrationName(c.app))) + c.create() + migrate,
		stdin: c.env.exports(),
	}, pulumi.Parent(migration), pulumi.DependsOn(args.After))
	if err != nil {
		return nil, err
	}
	migration.Done = done
	if err := ctx.RegisterResourceOutputs(migration, inputs); err != nil {
		return nil, fmt.Errorf("registering outputs of migration %q: %w", name, err)
	}
	return migration, nil
}
