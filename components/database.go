package components

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/pulumi/pulumi-postgresql/sdk/v3/go/postgresql"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/ledger"
)

// DatabaseArgs declares one database and its owner.
type DatabaseArgs struct {
	App      ledger.App
	Database ledger.Database
	Server   string              // container name of PostgreSQL
	Port     int                 // its port inside the network
	Login    string              // the role that logs in with the password; see [ledger.LoginRole]
	Password pulumi.StringOutput // its password; a secret
}

// Database is a database, the role that owns it, and the role that logs in. Nobody else may
// connect to the database. All but the login is protected and retained, so that neither a
// destroy nor a new name drops data.
//
// The login has the password and the connection limit, and acts as the owner, to whom belongs
// what it makes. It is named after its password: a changed one is a role more, and Pulumi drops
// the one before at the end of the update, when all containers know the new one.
type Database struct {
	pulumi.ResourceState

	// URL is the DATABASE_URL of the containers that use it; a secret.
	URL pulumi.StringOutput
	// Ready is the last of its resources.
	Ready pulumi.Resource
}

// NewDatabase registers the owner, the database, the revoked PUBLIC privileges, the
// extensions and the login, one after the other: concurrent grants fail in PostgreSQL.
func NewDatabase(ctx *pulumi.Context, name string, args *DatabaseArgs, opts ...pulumi.ResourceOption) (*Database, error) {
	database := &Database{}
	inputs := pulumi.Map{
		"app":      pulumi.String(args.App.Name),
		"database": pulumi.String(args.Database.Name),
	}
	if err := ctx.RegisterComponentResourceV2(ledger.TypeDatabase, name, inputs, database, opts...); err != nil {
		return nil, fmt.Errorf("registering database %q: %w", name, err)
	}
	kept := func(after ...pulumi.Resource) []pulumi.ResourceOption {
		return []pulumi.ResourceOption{
			pulumi.Parent(database), pulumi.Protect(true), pulumi.RetainOnDelete(true), pulumi.DependsOn(after),
		}
	}
	app, db := args.App.Name, args.Database
	role, err := postgresql.NewRole(ctx, ledger.Logical(app, "role", db.Role), &postgresql.RoleArgs{
		Name: pulumi.String(db.Role),
	}, kept()...)
	if err != nil {
		return nil, fmt.Errorf("registering role %s: %w", db.Role, err)
	}
	created, err := postgresql.NewDatabase(ctx, ledger.Logical(app, "database", db.Name), &postgresql.DatabaseArgs{
		Name:     pulumi.String(db.Name),
		Owner:    role.Name,
		Encoding: pulumi.String("UTF8"),
	}, kept(role)...)
	if err != nil {
		return nil, fmt.Errorf("registering database %s: %w", db.Name, err)
	}
	// PostgreSQL lets every role connect to every database until this is revoked.
	revoked, err := postgresql.NewGrant(ctx, ledger.Logical(app, "revoke-public", db.Name), &postgresql.GrantArgs{
		Database:   created.Name,
		Role:       pulumi.String("public"),
		ObjectType: pulumi.String("database"),
		Privileges: pulumi.StringArray{},
	}, kept(created)...)
	if err != nil {
		return nil, fmt.Errorf("revoking PUBLIC on %s: %w", db.Name, err)
	}
	database.Ready = revoked
	for _, extension := range db.Extensions {
		installed, err := postgresql.NewExtension(ctx, ledger.Logical(app, "extension", extension), &postgresql.ExtensionArgs{
			Name:     pulumi.String(extension),
			Database: created.Name,
		}, kept(database.Ready)...)
		if err != nil {
			return nil, fmt.Errorf("registering extension %s of %s: %w", extension, db.Name, err)
		}
		database.Ready = installed
	}
	database.Ready, err = postgresql.NewRole(ctx, ledger.Logical(app, "login", args.Login), &postgresql.RoleArgs{
		Name:            pulumi.String(args.Login),
		Login:           pulumi.Bool(true),
		Password:        args.Password,
		ConnectionLimit: pulumi.Int(args.App.ConnectionLimit(db)),
		Roles:           pulumi.StringArray{pulumi.String(db.Role)},
		AssumeRole:      pulumi.String(db.Role),
	}, pulumi.Parent(database), pulumi.DependsOn([]pulumi.Resource{database.Ready}))
	if err != nil {
		return nil, fmt.Errorf("registering role %s: %w", args.Login, err)
	}
	database.URL = args.Password.ApplyT(func(password string) string {
		return connectionURL("postgres", args.Login, password, args.Server, args.Port, db.Name)
	}).(pulumi.StringOutput)
	if err := ctx.RegisterResourceOutputs(database, inputs); err != nil {
		return nil, fmt.Errorf("registering outputs of database %q: %w", name, err)
	}
	return database, nil
}

func connectionURL(scheme, user, password, host string, port int, path string) string {
	u := url.URL{
		Scheme: scheme, User: url.UserPassword(user, password),
		Host: fmt.Sprintf("%s:%d", host, port), Path: "/" + strings.TrimPrefix(path, "/"),
	}
	return u.String()
}
