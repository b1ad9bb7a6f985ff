package components

import (
	"fmt"

	"github.com/pulumi/pulumi-command/sdk/go/command/local"
	"github.com/pulumi/pulumi-command/sdk/go/command/remote"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/document"
)

// task is what the server's program does when a resource is created, changed or deleted.
type task struct {
	verb     document.Verb      // create and update; can be repeated
	undo     document.Verb      // delete; "" does nothing
	document pulumi.StringInput // for both; travels on standard input
	triggers pulumi.Array       // a change does it again
}

// run registers the task.
func (p *ServerProgram) run(ctx *pulumi.Context, name string, t task, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	c := command{does: p.Command(t.verb), stdin: t.document, triggers: t.triggers}
	if t.undo != "" {
		c.undoes = p.Command(t.undo)
	}
	return p.shell.run(ctx, name, c, append(opts, pulumi.DependsOn([]pulumi.Resource{p.Ready}))...)
}

// stdout is what a task has printed. It is unknown in a preview in which the task would run.
func stdout(ran pulumi.Resource) pulumi.StringOutput {
	switch c := ran.(type) {
	case *local.Command:
		return c.Stdout
	case *remote.Command:
		return c.Stdout
	}
	panic(fmt.Sprintf("%T is not what Shell.run registers", ran))
}
