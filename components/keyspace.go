package components

import (
	"crypto/sha256"
	_ "embed" // the script
	"fmt"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/fleet"
)

// KeyspaceArgs declares one app's share of Redis.
type KeyspaceArgs struct {
	App           fleet.App
	Server        string // container name of Redis
	Port          int
	Password      pulumi.StringOutput // the app's password; a secret
	AdminPassword pulumi.StringOutput // of Redis' default user; a secret
	Shell         Shell
}

// Keyspace is one app's Redis user, which reaches the app's own database number, keys
// and channels and nothing else.
type Keyspace struct {
	pulumi.ResourceState

	// URL is the REDIS_URL of the app's containers; a secret.
	URL pulumi.StringOutput
	// Ready is the user.
	Ready pulumi.Resource
}

//go:embed scripts/redis-acl.sh
var redisACL string

// NewKeyspace registers the Redis user.
func NewKeyspace(ctx *pulumi.Context, name string, args *KeyspaceArgs, opts ...pulumi.ResourceOption) (*Keyspace, error) {
	keyspace := &Keyspace{}
	app := args.App
	inputs := pulumi.Map{"app": pulumi.String(app.Name), "redisDB": pulumi.Int(app.RedisDB), "keyPrefix": pulumi.String(app.KeyPrefix)}
	if err := ctx.RegisterComponentResourceV2(fleet.TypeKeyspace, name, inputs, keyspace, opts...); err != nil {
		return nil, fmt.Errorf("registering keyspace %q: %w", name, err)
	}
	// Redis keeps the hash; sending the hash keeps the password out of its slow log.
	stdin := pulumi.All(args.AdminPassword, args.Password).ApplyT(func(both []any) string {
		admin, password := both[0].(string), both[1].(string)
		return fmt.Sprintf("%s\nACL SETUSER %s reset on #%x %s\nACL SAVE\n",
			admin, app.Name, sha256.Sum256([]byte(password)), strings.Join(app.RedisACL(), " "))
	}).(pulumi.StringOutput)
	// Standard input is not given to a delete, so removing an app leaves its user; the
	// runbook says how to drop it.
	user, err := args.Shell.run(ctx, fleet.Logical(app.Name, "redis-user"), script{
		apply: "redis=" + args.Server + "\n" + redisACL,
		stdin: stdin,
	}, pulumi.Parent(keyspace))
	if err != nil {
		return nil, err
	}
	keyspace.Ready = user
	keyspace.URL = args.Password.ApplyT(func(password string) string {
		return connectionURL("redis", app.Name, password, args.Server, args.Port, strconv.Itoa(app.RedisDB))
	}).(pulumi.StringOutput)
	if err := ctx.RegisterResourceOutputs(keyspace, inputs); err != nil {
		return nil, fmt.Errorf("registering outputs of keyspace %q: %w", name, err)
	}
	return keyspace, nil
}
