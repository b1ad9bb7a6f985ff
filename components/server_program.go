package components

import (
	"cmp"
	"fmt"

	"github.com/pulumi/pulumi-command/sdk/go/command/remote"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/delivery"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/shell"
)

// ServerProgramArgs declares the program on the server (cmd/alorig-server).
type ServerProgramArgs struct {
	// Path is the file that is put there, on this machine, and SHA256 its hash. Both are ""
	// in a preview that builds nothing.
	Path, SHA256 string
	Architecture string // of the server as Go names it
	Directory    string // on the server; no container mounts it
	Shell        Shell
}

// ServerProgram is the program on the server, which does there what an update asks for. It
// stays when the stack is destroyed, and so does its log.
type ServerProgram struct {
	pulumi.ResourceState

	// Ready is the program in its place. Whatever runs it depends on this resource. It has no
	// outputs for others, so that another program runs nothing of theirs again.
	Ready pulumi.Resource

	path  string
	shell Shell
}

// Command is the line by which the server runs the verb.
func (p *ServerProgram) Command(verb document.Verb) string {
	return shell.Word(p.path) + " " + string(verb)
}

// NewServerProgram registers the program. Over SSH three resources put it there: the first
// sees that the server can take it, the second copies it beside the one that is there, the
// third looks at the copy and gives it the program's name. On this machine, to which the
// provider copies nothing, one command does all that.
func NewServerProgram(ctx *pulumi.Context, name string, args *ServerProgramArgs, opts ...pulumi.ResourceOption) (*ServerProgram, error) {
	program := &ServerProgram{path: ledger.ServerProgram(args.Directory), shell: args.Shell}
	inputs := pulumi.Map{"directory": pulumi.String(args.Directory), "architecture": pulumi.String(args.Architecture), "sha256": pulumi.String(args.place().SHA256)}
	if err := ctx.RegisterComponentResourceV2(ledger.TypeServerProgram, name, inputs, program, opts...); err != nil {
		return nil, fmt.Errorf("registering the server's program %q: %w", name, err)
	}
	if known := len(args.SHA256) == 64; known != (args.Path != "") || !known && args.SHA256 != "" {
		return nil, fmt.Errorf("the server's program %q has the file %q and the hash %q; it has both, or none in a preview that builds nothing", name, args.Path, args.SHA256)
	}
	var err error
	if args.Shell.Connection == nil {
		program.Ready, err = args.putHere(ctx, name, pulumi.Parent(program))
	} else {
		program.Ready, err = args.putThere(ctx, name, pulumi.Parent(program))
	}
	if err != nil {
		return nil, err
	}
	if err := ctx.RegisterResourceOutputs(program, inputs); err != nil {
		return nil, fmt.Errorf("registering outputs of the server's program %q: %w", name, err)
	}
	return program, nil
}

// place is where the program goes.
func (args *ServerProgramArgs) place() delivery.Place {
	return delivery.Place{Directory: args.Directory, SHA256: cmp.Or(args.SHA256, delivery.BuiltLater), Architecture: args.Architecture}
}

// script is a command that runs a script of a delivery.
func script(text string) command { return command{does: "/bin/sh -s", stdin: pulumi.String(text)} }

func (args *ServerProgramArgs) putHere(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	return args.Shell.run(ctx, name, script(args.place().Here(args.Path)), opts...)
}

func (args *ServerProgramArgs) putThere(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	file := pulumi.NewStringAsset(delivery.BuiltLater)
	if args.Path != "" {
		file = pulumi.NewFileAsset(args.Path)
	}
	prepared, err := args.Shell.run(ctx, ledger.Logical(name, "directory"), script(args.place().Prepare()), opts...)
	if err != nil {
		return nil, err
	}
	copyName := ledger.Logical(name, "copy")
	copied, err := remote.NewCopyToRemote(ctx, copyName, &remote.CopyToRemoteArgs{
		Connection: *args.Shell.Connection, Source: file, RemotePath: pulumi.String(args.place().Copy()),
	}, append(opts, pulumi.DependsOn([]pulumi.Resource{prepared}))...)
	if err != nil {
		return nil, fmt.Errorf("registering the copy %q: %w", copyName, err)
	}
	install := script(args.place().Install("`pulumi up --replace '**" + copyName + "'`"))
	// Another program is another text. This follows a copy that was ordered with --replace.
	install.triggers = pulumi.Array{copied.ID()}
	return args.Shell.run(ctx, name, install, append(opts, pulumi.DependsOn([]pulumi.Resource{copied}))...)
}
