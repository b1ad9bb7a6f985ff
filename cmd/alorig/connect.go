package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/alorig/fleet/internal/access"
	"github.com/alorig/fleet/internal/pulumicli"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/internal/terminal"
	"github.com/alorig/fleet/internal/workload"
	"github.com/alorig/fleet/stacks"
)

func connectCommand() *cobra.Command {
	var s stackFlags
	cmd := &cobra.Command{
		Use:   "connect -- COMMAND [ARGUMENT]...",
		Short: "Open the way to PostgreSQL for as long as a command runs",
		Long: `connect logs in to the server over SSH, opens a port of this machine that leads to its
PostgreSQL, runs the command, and closes the port. The port is that of alorig:postgres,
127.0.0.1:15432 unless set: where "pulumi up" looks for PostgreSQL. The address of the
container is looked up anew for each connection, and a broken SSH connection is made
anew. With settings that need no such port the command is simply run.

It logs in as alorig:ssh.user with alorig:sshPrivateKey, and to no server but the one with
alorig:ssh.hostKey. The key is decrypted by the Pulumi CLI, which needs the passphrase, as
"pulumi up" does.

The command has this terminal and all signals, and PULUMI_STACK names the stack to it.
Exit codes: that of the command; 128 and the number of the signal that ended it; 127
when there is no such command; 2, with a message that begins with "alorig:", when there
is no way to the server.`,
		Example: "  alorig connect -- pulumi up\n  alorig connect -- psql -h 127.0.0.1 -p 15432 -U postgres",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("connect needs a command: alorig connect -- pulumi up")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return connect(cmd, s, args) },
	}
	s.register(cmd)
	cmd.Flags().SetInterspersed(false) // the flags behind the command are the command's
	return cmd
}

// exitNoCommand is what shells end with when there is no command of a name.
const exitNoCommand exitCode = 127

func connect(cmd *cobra.Command, s stackFlags, args []string) error {
	ctx, stderr := cmd.Context(), cmd.ErrOrStderr()
	if _, err := exec.LookPath(args[0]); err != nil {
		fmt.Fprintf(stderr, "alorig: there is no command %s: %s\n", terminal.Line(args[0]), terminal.Line(errors.Unwrap(err).Error()))
		return exitNoCommand
	}
	f := stacks.Alorig()
	read, err := s.readAll(cmd, f)
	if err != nil {
		return err
	}
	port := net.JoinHostPort(read.Postgres.Host, strconv.Itoa(read.Postgres.Port))
	if !access.NeedsForward(read) {
		fmt.Fprintf(stderr, "PostgreSQL is at %s; the settings of %s need no way to it.\n", port, s.stack)
		return runConnected(cmd, s.stack, args)
	}
	cli, err := pulumicli.Find(ctx, s.directory, stderr)
	if err != nil {
		return err
	}
	stack := pulumicli.Stack{CLI: cli, Directory: s.directory, Name: s.stack}
	privateKey, err := stack.Secret(ctx, settings.Project+":sshPrivateKey")
	if err != nil {
		return err
	}
	server, err := access.Open(ctx, access.Of(read, privateKey))
	if err != nil {
		return err
	}
	defer server.Close() //nolint:errcheck // the command has ended, and its exit code counts
	postgres := access.Postgres(f.Ledger)
	tried, err := server.Dial(ctx, postgres)
	switch {
	case err == nil:
		_ = tried.Close()
	case errors.Is(err, access.ErrNoContainer) && read.Platform == workload.Managed:
		fmt.Fprintf(stderr, "%s does not run yet; the way leads there once an update has created it.\n", postgres.Container)
	default:
		return err
	}
	said := terminal.NewWriter(stderr) // the command has the terminal too: each fault is one write
	forward, err := server.Forward(ctx, port, postgres, func(err error) {
		fmt.Fprintf(said, "alorig: a connection to PostgreSQL failed: %v\n", err)
	})
	if err != nil {
		return err
	}
	defer forward.Close() //nolint:errcheck // likewise
	return runConnected(cmd, s.stack, args)
}

// runConnected runs the command with this process's own terminal and passes signals on.
func runConnected(cmd *cobra.Command, stack string, args []string) error {
	// Whatever would end this process is for the command to deal with: the way stays open
	// until it has ended.
	child := exec.CommandContext(context.WithoutCancel(cmd.Context()), args[0], args[1:]...)
	// Another stack, selected long ago, would be updated through the way to this one's server.
	child.Env = append(slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, stackOption+"=") }),
		stackVariable+"="+stack)
	child.Stdin, child.Stdout, child.Stderr = cmd.InOrStdin(), unwrapped(cmd.OutOrStdout()), cmd.ErrOrStderr()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	if err := cmd.Context().Err(); err != nil {
		return fmt.Errorf("interrupted before %s was started: %w", args[0], err)
	}
	if err := child.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", args[0], err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	for {
		select {
		case received := <-signals:
			if !fromTerminal(received) {
				_ = child.Process.Signal(received) // it may have ended
			}
		case err := <-ended:
			return codeOf(args[0], err)
		}
	}
}

// codeOf is the exit code of a command that has ended; nil for 0.
func codeOf(name string, err error) error {
	var failed *exec.ExitError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &failed):
		return fmt.Errorf("running %s: %w", name, err)
	}
	if status, ok := failed.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + exitCode(status.Signal())
	}
	return exitCode(failed.ExitCode())
}

// unwrapped is the file below the printer: the command is to have a terminal, if there is
// one.
func unwrapped(w io.Writer) io.Writer {
	if p, ok := w.(*printer); ok {
		return p.w
	}
	return w
}

// fromTerminal reports a signal that the terminal has sent. It sends Ctrl-C to every process
// in the foreground, so the command has it already; passed on, it would be a second one,
// which means "at once" to Pulumi.
func fromTerminal(received os.Signal) bool {
	if received != syscall.SIGINT && received != syscall.SIGQUIT {
		return false
	}
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close() //nolint:errcheck // it is only asked
	foreground, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}
