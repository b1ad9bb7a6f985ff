package components

import (
	"fmt"
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
)

// RedisUserArgs declares one app's share of Redis.
type RedisUserArgs struct {
	App      ledger.App
	Password pulumi.StringOutput // the app's password; a secret
	Platform *Platform
}

// RedisUser is one app's Redis user, which reaches the app's own database number, keys
// and channels and nothing else.
//
// A changed password works beside the one before, until [RedisUser.Settle] ends that: the
// containers that know the old one go on while they are replaced.
type RedisUser struct {
	pulumi.ResourceState

	// URL is the REDIS_URL of the app's containers; a secret.
	URL pulumi.StringOutput
	// Ready is the user.
	Ready pulumi.Resource

	app      string
	document pulumi.StringOutput
	program  *ServerProgram
	inputs   pulumi.Map
}

// NewRedisUser registers the Redis user.
func NewRedisUser(ctx *pulumi.Context, name string, args *RedisUserArgs, opts ...pulumi.ResourceOption) (*RedisUser, error) {
	app, service := args.App, args.Platform.service(ledger.Redis)
	redisUser := &RedisUser{app: app.Name, program: args.Platform.program}
	redisUser.inputs = pulumi.Map{"app": pulumi.String(app.Name), "redisDB": pulumi.Int(app.RedisDB), "keyPrefix": pulumi.String(app.KeyPrefix)}
	if err := ctx.RegisterComponentResourceV2(ledger.TypeRedisUser, name, redisUser.inputs, redisUser, opts...); err != nil {
		return nil, fmt.Errorf("registering Redis user %q: %w", name, err)
	}
	redisUser.document = pulumi.All(args.Platform.redisPassword, args.Password).ApplyT(func(both []any) (string, error) {
		return document.Write(document.RedisUser{
			Header: document.NewHeader(app.Name, app.Name), Redis: service.Container, Network: args.Platform.networkName, Port: service.Port,
			AdminPassword: both[0].(string), User: app.Name, Password: both[1].(string), Permissions: app.RedisACL(),
		})
	}).(pulumi.StringOutput)
	var err error
	redisUser.Ready, err = redisUser.program.run(ctx, ledger.Logical(app.Name, "redis-user"), task{
		verb: document.PutRedisUser, undo: document.RemoveRedisUser, document: redisUser.document,
	}, pulumi.Parent(redisUser))
	if err != nil {
		return nil, err
	}
	redisUser.URL = args.Password.ApplyT(func(password string) string {
		return connectionURL("redis", app.Name, password, service.Container, service.Port, strconv.Itoa(app.RedisDB))
	}).(pulumi.StringOutput)
	return redisUser, nil
}

// Settle ends the password before, once all that is listed is there. It is called once.
func (r *RedisUser) Settle(ctx *pulumi.Context, after ...pulumi.Resource) error {
	if _, err := r.program.run(ctx, ledger.Logical(r.app, "redis-user-settled"), task{
		verb: document.SettleRedisUser, document: r.document,
	}, pulumi.Parent(r), pulumi.DependsOn(append(after, r.Ready))); err != nil {
		return err
	}
	if err := ctx.RegisterResourceOutputs(r, r.inputs); err != nil {
		return fmt.Errorf("registering outputs of the Redis user of %q: %w", r.app, err)
	}
	return nil
}
