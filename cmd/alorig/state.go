package main

import (
	"fmt"
	"strings"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/alorig/fleet/internal/access"
	"github.com/alorig/fleet/internal/delivery"
	"github.com/alorig/fleet/internal/pulumicli"
	"github.com/alorig/fleet/internal/readback"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/internal/terminal"
	"github.com/alorig/fleet/stacks"
)

// stateReader is the command line of state.
type stateReader struct {
	stackFlags
	json bool
}

func stateCommand() *cobra.Command {
	var r stateReader
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Hold what is on the server against Pulumi's state",
		Long: `state compares containers, shared services, site files and Redis users with what Pulumi's
state says of them. An update does the same before its first change, and starts what is
only stopped or lost; this changes nothing, but that it puts the server's program in its place
where another one is there. What only "pulumi refresh" can see, in PostgreSQL and at
Cloudflare, it does not look at.

It needs the login and the passphrase of "pulumi up", and makes its own way to the server.

Exit codes: 0 the server is as the state says, 1 it is not, 2 the input or the machine is
at fault and nothing is known.`,
		Example: "  alorig state\n  alorig state --json | jq .findings",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return r.run(cmd) },
	}
	r.register(cmd)
	cmd.Flags().BoolVar(&r.json, "json", false, "print the difference as JSON")
	return cmd
}

func (r stateReader) run(cmd *cobra.Command) error {
	d, expected, err := r.difference(cmd)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	switch {
	case r.json:
		if err := writeJSON(out, d); err != nil {
			return err
		}
	case d.None():
		fmt.Fprintf(out, "%s: the server has %s as the state says.\n", color.GreenString("Clean"), expected)
	}
	if d.None() {
		return nil
	}
	if !r.json {
		for _, name := range d.Stopped {
			fmt.Fprintf(out, "- %s: does not run. The next update starts it, and so does `docker start %[1]s` on the server.\n", name)
		}
		for _, name := range d.Missing {
			fmt.Fprintf(out, "- %s: %s\n", name, readback.Refresh)
		}
		for _, lost := range d.Lost {
			fmt.Fprintf(out, "- %s: is missing. The next update puts it there again.\n", lost.Name)
		}
		for _, f := range d.Findings {
			fmt.Fprintf(out, "- %s\n", terminal.Text(f.String()))
		}
	}
	return errRefused
}

// difference asks the server.
func (r *stateReader) difference(cmd *cobra.Command) (d readback.Difference, looked string, err error) {
	ctx, f := cmd.Context(), stacks.Alorig()
	s, err := r.readAll(cmd, f)
	if err != nil {
		return d, "", err
	}
	cli, err := pulumicli.Find(ctx, r.directory, cmd.ErrOrStderr())
	if err != nil {
		return d, "", err
	}
	stack := pulumicli.Stack{CLI: cli, Directory: r.directory, Name: r.stack}
	state, err := stack.Export(ctx)
	if err != nil {
		return d, "", err
	}
	known := map[string]readback.Resource{}
	for _, resource := range state.Resources {
		if !resource.Delete && !resource.PendingReplacement {
			known[string(resource.URN)] = readback.Resource{Type: string(resource.Type), Outputs: resource.Outputs}
		}
	}
	expected := f.Expected(s, known)
	password, err := stack.Secret(ctx, settings.Project+":redisPassword")
	if err != nil {
		return d, "", err
	}
	privateKey := ""
	if s.SSH != nil {
		if privateKey, err = stack.Secret(ctx, settings.Project+":sshPrivateKey"); err != nil {
			return d, "", err
		}
	}
	built, err := delivery.Build(ctx, r.directory, s.Program.Architecture, cmd.ErrOrStderr())
	if err != nil {
		return d, "", err
	}
	way, err := access.Open(ctx, access.Of(s, privateKey))
	if err != nil {
		return d, "", err
	}
	defer way.Close() //nolint:errcheck // everything has been read
	server, put, err := readback.Reach(ctx, way, built, s.Program.Directory)
	if err != nil {
		return d, "", err
	}
	if put {
		fmt.Fprintln(cmd.ErrOrStderr(), "The server's program was put in its place.")
	}
	s.RedisPassword = settings.NewSecret(password)
	facts, err := server.State(ctx, f.StateQuestion(r.file, s))
	if err != nil {
		return d, "", err
	}
	return readback.Compare(expected, facts), describeExpected(expected), nil
}

// describeExpected says what was looked at.
func describeExpected(e readback.Expected) string {
	return strings.Join([]string{
		several(len(e.Containers)+len(e.Services), "container"), several(len(e.Sites), "site file"), several(len(e.RedisUsers), "Redis user"),
	}, ", ")
}

func several(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
