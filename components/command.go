package components

import (
	"fmt"

	"github.com/pulumi/pulumi-command/sdk/go/command/local"
	"github.com/pulumi/pulumi-command/sdk/go/command/remote"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// command is what one resource runs on the server when it is created, changed or deleted.
type command struct {
	does     string // create and update; can be repeated
	undoes   string // delete; "" does nothing
	stdin    pulumi.StringInput
	triggers pulumi.Array // a change does it again
}

// run registers the command. A replacement deletes the old resource first: in the
// provider's own order the removal of the old one would undo what the new one has made.
func (s Shell) run(ctx *pulumi.Context, name string, c command, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	opts = append(opts, pulumi.DeleteBeforeReplace(true))
	does := pulumi.StringPtr(c.does)
	var undoes pulumi.StringPtrInput
	if c.undoes != "" {
		undoes = pulumi.StringPtr(c.undoes)
	}
	stdin := c.stdin.ToStringOutput().ToStringPtrOutput()
	if s.Connection == nil {
		ran, err := local.NewCommand(ctx, name, &local.CommandArgs{
			Create: does, Update: does, Delete: undoes, Stdin: stdin, Triggers: c.triggers,
			Environment: pulumi.StringMap{"DOCKER_HOST": pulumi.String(s.DockerHost)},
			Logging:     local.LoggingNone, AddPreviousOutputInEnv: pulumi.BoolPtr(false),
		}, opts...)
		if err != nil {
			return nil, fmt.Errorf("registering local command %q: %w", name, err)
		}
		return ran, nil
	}
	ran, err := remote.NewCommand(ctx, name, &remote.CommandArgs{
		Connection: *s.Connection,
		Create:     does, Update: does, Delete: undoes, Stdin: stdin, Triggers: c.triggers,
		Logging: remote.LoggingNone, AddPreviousOutputInEnv: pulumi.BoolPtr(false),
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("registering remote command %q: %w", name, err)
	}
	return ran, nil
}
