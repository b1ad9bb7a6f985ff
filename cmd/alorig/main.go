// Command alorig judges and shows the fleet without an account, a credential or a
// plugin. It also opens the way to PostgreSQL for an update, and recovers from an update
// that was killed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/fatih/color"
	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/alorig/fleet/internal/terminal"
	_ "github.com/alorig/fleet/internal/terminal/quiet"
)

// Exit codes. A script can tell "the fleet is refused" from "there is no verdict".
const (
	exitClean   = 0
	exitRefused = 1 // a rule refuses the fleet
	exitFault   = 2 // the input or the machine is at fault
)

// exitCode ends a command that has said all there is to say.
type exitCode int

func (e exitCode) Error() string { return "exit code " + strconv.Itoa(int(e)) }

// errRefused ends a command whose verdict has been printed.
const errRefused exitCode = exitRefused

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:     "alorig",
		Version: version(),
		Short:   "Judge and show the Alorig fleet, open the way to it, recover from a killed update",
		Long: `alorig judges and shows the fleet that this repository declares. For that it needs no
account, no credential and no plugin, and changes nothing. Four verbs reach the server,
and need what "pulumi up" needs: connect opens the way to PostgreSQL for as long as a
command runs, recover clears what a killed update left, state holds the server against
Pulumi's state, and log shows what was done there.

Exit codes: 0 clean, 1 a rule refuses the fleet, 2 the input or the machine is at
fault and there is no verdict. These four have their own.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		// A misspelt command must not look like success.
		Args: func(root *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(root, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetHelpCommand(helpCommand())
	root.AddCommand(checkCommand(), previewCommand(), ledgerCommand(), recoverCommand(), connectCommand(), stateCommand(), logCommand(), setupCommand())
	// cobra's command shows its help whatever it is asked for, and calls that a success.
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	root.SetArgs(args)
	root.SuggestionsMinimumDistance = 2
	out := &printer{w: stdout}
	root.SetOut(out)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	var code exitCode
	switch {
	case err == nil, errors.As(err, &code):
		err = nil
	case asksJSON(cmd, args) && out.err == nil:
		writeFailure(out, err)
		if out.err == nil {
			return exitFault
		}
	}
	if out.err != nil { // a verdict that reached nobody is none
		err = errors.Join(err, fmt.Errorf("printing the answer: %w", out.err))
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s %s\n", color.RedString("alorig:"), terminal.Text(err.Error()))
		return exitFault
	}
	return int(code)
}

// helpCommand is cobra's, but for a command that does not exist: that is no success.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(cmd.Root(), args[len(args)-max(1, len(rest))])
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

// unknownCommand names the commands there are, or the one that is meant.
func unknownCommand(root *cobra.Command, name string) error {
	if near := root.SuggestionsFor(name); len(near) > 0 {
		return fmt.Errorf("there is no command %q; did you mean alorig %s?", name, near[0])
	}
	var names []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return fmt.Errorf("there is no command %q; there are %s, and alorig --help says what each does", name, strings.Join(names, ", "))
}

// printer keeps the first error of what is printed, so that whoever prints need not look.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) Write(text []byte) (int, error) {
	if p.err == nil {
		_, p.err = p.w.Write(text)
	}
	return len(text), nil
}

// terminalOf returns the terminal that w prints to, if it prints to one.
func terminalOf(w io.Writer) (*os.File, bool) {
	if p, ok := w.(*printer); ok {
		w = p.w
	}
	file, ok := w.(*os.File)
	return file, ok && isatty.IsTerminal(file.Fd())
}
