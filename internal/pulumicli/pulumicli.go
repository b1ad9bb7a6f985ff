// Package pulumicli is the one door to the Pulumi CLI: it finds the CLI, holds its version
// against what this project needs, and runs it.
package pulumicli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/blang/semver"

	"github.com/alorig/fleet/internal/pinned"
	"github.com/alorig/fleet/internal/terminal"
)

// Minimum is the oldest version that this project works with: its engine runs the stack
// rules of Go policy packs, and its locks and states are those that recover reads.
var Minimum = semver.MustParse("3.258.0")

// CLI is a Pulumi CLI that is new enough.
type CLI struct {
	Path    string
	Version semver.Version
}

// Find returns the CLI on the PATH, or the pinned one where there is none. The pinned one
// is built when it is not there yet, which takes minutes and is said on progress; the
// directory must then lie in this repository ("" is the working directory).
//
// A CLI on the PATH that is too old is an error: it is what the operator's other commands
// run, so another one is not used behind their back.
func Find(ctx context.Context, directory string, progress io.Writer) (CLI, error) {
	path, err := exec.LookPath("pulumi")
	if err != nil {
		if path, err = pinned.Pulumi(ctx, directory, progress); err != nil {
			return CLI{}, err
		}
	}
	c := CLI{Path: path}
	said, err := c.Run(ctx, Command{Args: []string{"version"}})
	if err != nil {
		return CLI{}, fmt.Errorf("the Pulumi CLI %s does not run: %w", path, err)
	}
	if c.Version, err = semver.ParseTolerant(strings.TrimSpace(said)); err != nil {
		return CLI{}, fmt.Errorf("the Pulumi CLI %s calls its version %q; %s or newer is needed: update it, or take it off the PATH to use the pinned %s",
			path, strings.TrimSpace(said), Minimum, pinned.PulumiVersion)
	}
	if c.Version.LT(Minimum) {
		return CLI{}, fmt.Errorf("the Pulumi CLI %s is version %s; %s or newer is needed: update it, or take it off the PATH to use the pinned %s",
			path, c.Version, Minimum, pinned.PulumiVersion)
	}
	return c, nil
}

// Command is one command line.
type Command struct {
	Args      []string
	Directory string   // where Pulumi.yaml is; "" is the working directory
	Env       []string // added to this process's own
	// Show gets what the CLI prints on both its streams, as it comes and harmless to a
	// terminal; nil shows nothing.
	Show io.Writer
}

// interruptGrace is how long an interrupted CLI may take to finish what it is at. Then it
// is killed.
const interruptGrace = time.Minute

// Prepare returns the command line as it is to be run, for whoever starts it in a way of
// their own. The CLI asks nothing. When the context ends it is interrupted, not killed.
func (c CLI) Prepare(ctx context.Context, line Command) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Path, append([]string{"--non-interactive"}, line.Args...)...)
	cmd.Dir = line.Directory
	cmd.Env = append(append(os.Environ(), "PULUMI_SKIP_UPDATE_CHECK=true"), line.Env...)
	// A group of its own: Ctrl-C on a terminal would reach it beside our interrupt, and
	// a second one means "at once" to the CLI.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = interruptGrace
	return cmd
}

// Run runs the CLI and returns its standard output. Of what it printed an error holds
// standard error alone: standard output can be a secret.
func (c CLI) Run(ctx context.Context, line Command) (string, error) {
	line.Args = append([]string{"--color", "never"}, line.Args...)
	cmd := c.Prepare(ctx, line)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if line.Show != nil {
		shown := terminal.NewWriter(line.Show) // two goroutines copy
		cmd.Stdout, cmd.Stderr = io.MultiWriter(&stdout, shown), io.MultiWriter(&stderr, shown)
	}
	err := cmd.Run()
	if err == nil {
		return stdout.String(), nil
	}
	what := "pulumi " + verb(line.Args[2:])
	if ctx.Err() != nil {
		return "", fmt.Errorf("%s was interrupted: %w", what, ctx.Err())
	}
	said := strings.TrimSpace(stderr.String())
	switch {
	case strings.Contains(said, "PULUMI_ACCESS_TOKEN"): // nobody has logged in; the CLI thinks of Pulumi Cloud alone
		return "", fmt.Errorf("%s: %s\nLog in to the backend of this project with `pulumi login`, as docs/install.md shows", what, said)
	case said != "":
		return "", fmt.Errorf("%s: %s", what, said)
	}
	return "", fmt.Errorf("%s: %w", what, err)
}

// verb is the words of a command line before its first flag, two at most: the third may be
// the value of a setting.
func verb(args []string) string {
	n := 0
	for n < min(2, len(args)) && !strings.HasPrefix(args[n], "-") {
		n++
	}
	return strings.Join(args[:n], " ")
}
