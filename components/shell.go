package components

import (
	"fmt"

	"github.com/pulumi/pulumi-command/sdk/go/command/local"
	"github.com/pulumi/pulumi-command/sdk/go/command/remote"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Shell runs commands on the server: over SSH, or on this machine when Connection is
// nil. What is secret goes in on standard input; command lines are public.
type Shell struct {
	// Connection must pin the host key. Without one, any server is accepted.
	Connection *remote.ConnectionArgs
	// DockerHost is the Docker engine that scripts on this machine speak to. It is the one
	// whose containers the program declares, not that of the operator's Docker context.
	DockerHost string
}

// script is one command resource: what to run when it is created, changed or deleted.
type script struct {
	apply    string // create and update; must be repeatable
	remove   string // "" does nothing
	stdin    pulumi.StringInput
	triggers pulumi.Array // a change runs apply again
}

// run registers the script. A replacement deletes the old resource first. In the
// provider's own order the removal of the old one would undo what the new one has made.
func (s Shell) run(ctx *pulumi.Context, name string, sc script, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	opts = append(opts, pulumi.DeleteBeforeReplace(true))
	var stdin, remove pulumi.StringPtrInput
	if sc.stdin != nil {
		stdin = sc.stdin.ToStringOutput().ToStringPtrOutput()
	}
	if sc.remove != "" {
		remove = pulumi.StringPtr(sc.remove)
	}
	if s.Connection == nil {
		c, err := local.NewCommand(ctx, name, &local.CommandArgs{
			Create: pulumi.StringPtr(sc.apply), Update: pulumi.StringPtr(sc.apply), Delete: remove,
			Stdin: stdin, Triggers: sc.triggers,
			Environment: pulumi.StringMap{"DOCKER_HOST": pulumi.String(s.DockerHost)},
			Logging:     local.LoggingNone, AddPreviousOutputInEnv: pulumi.BoolPtr(false),
		}, opts...)
		if err != nil {
			return nil, fmt.Errorf("registering local command %q: %w", name, err)
		}
		return c, nil
	}
	c, err := remote.NewCommand(ctx, name, &remote.CommandArgs{
		Connection: *s.Connection,
		Create:     pulumi.StringPtr(sc.apply), Update: pulumi.StringPtr(sc.apply), Delete: remove,
		Stdin: stdin, Triggers: sc.triggers,
		Logging: remote.LoggingNone, AddPreviousOutputInEnv: pulumi.BoolPtr(false),
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("registering remote command %q: %w", name, err)
	}
	return c, nil
}

// stdout is what a script has printed. It is unknown in a preview in which the script would
// run.
func stdout(ran pulumi.Resource) pulumi.StringOutput {
	switch c := ran.(type) {
	case *local.Command:
		return c.Stdout
	case *remote.Command:
		return c.Stdout
	}
	panic(fmt.Sprintf("%T is not what Shell.run registers", ran))
}
