package components

import (
	"crypto/sha256"
	_ "embed" // the script
	"fmt"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/ledger"
)

// RedisUserArgs declares one app's share of Redis.
type RedisUserArgs struct {
	App           ledger.App
	Server        string // container name of Redis
	Port          int
	Password      pulumi.StringOutput // the app's password; a secret
	AdminPassword pulumi.StringOutput // of Redis' default user; a secret
	Shell         Shell
}

// RedisUser is one app's Redis user, which reaches the app's own database number, keys
// and channels and nothing else.
type RedisUser struct {
	pulumi.ResourceState

	// URL is the REDIS_URL of the app's containers; a secret.
	URL pulumi.StringOutput
	// Ready is the user.
	Ready pulumi.Resource
}

//go:embed scripts/redis-acl.sh
var redisACL string

// NewRedisUser registers the Redis user.
func NewRedisUser(ctx *pulumi.Context, name string, args *RedisUserArgs, opts ...pulumi.ResourceOption) (*RedisUser, error) {
	redisUser := &RedisUser{}
	app := args.App
	inputs := pulumi.Map{"app": pulumi.String(app.Name), "redisDB": pulumi.Int(app.RedisDB), "keyPrefix": pulumi.String(app.KeyPrefix)}
	if err := ctx.RegisterComponentResourceV2(ledger.TypeRedisUser, name, inputs, redisUser, opts...); err != nil {
		return nil, fmt.Errorf("registering Redis user %q: %w", name, err)
	}
	// Redis gets the hash of the password, so that the password is not in its slow log.
	stdin := pulumi.All(args.AdminPassword, args.Password).ApplyT(func(both []any) string {
		admin, password := both[0].(string), both[1].(string)
		return fmt.Sprintf("%s\nACL SETUSER %s reset on #%x %s\nACL SAVE\n",
			admin, app.Name, sha256.Sum256([]byte(password)), strings.Join(app.RedisACL(), " "))
	}).(pulumi.StringOutput)
	// There is no delete: removing an app leaves its user. The runbook says how to drop it.
	user, err := args.Shell.run(ctx, ledger.Logical(app.Name, "redis-user"), script{
		apply: "redis=" + args.Server + "\n" + redisACL,
		stdin: stdin,
	}, pulumi.Parent(redisUser))
	if err != nil {
		return nil, err
	}
	redisUser.Ready = user
	redisUser.URL = args.Password.ApplyT(func(password string) string {
		return connectionURL("redis", app.Name, password, args.Server, args.Port, strconv.Itoa(app.RedisDB))
	}).(pulumi.StringOutput)
	if err := ctx.RegisterResourceOutputs(redisUser, inputs); err != nil {
		return nil, fmt.Errorf("registering outputs of Redis user %q: %w", name, err)
	}
	return redisUser, nil
}
