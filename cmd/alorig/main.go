// Command alorig judges and shows the fleet without an account, a credential or a
// plugin, and recovers from an update that was killed. `pulumi preview` and `pulumi up`
// do not need it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/fatih/color"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"
	"github.com/spf13/cobra"

	"github.com/alorig/fleet/internal/engine"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/terminal"
	"github.com/alorig/fleet/policy/rules"
)

// Exit codes. A script can tell "the fleet is refused" from "there is no verdict".
const (
	exitClean   = 0
	exitRefused = 1 // a rule refuses the fleet
	exitFault   = 2 // the input or the machine is at fault
)

// errRefused ends a command whose verdict has been printed.
var errRefused = errors.New("refused")

func main() {
	// In a preview the engine starts this very binary as the policy pack.
	if filepath.Base(os.Args[0]) == engine.PackCommand {
		if err := policyx.Main(rules.Pack(ledger.Alorig())); err != nil {
			log.Fatal(err)
		}
		return
	}
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
		Short:   "Judge and show the Alorig fleet, and recover from a killed update",
		Long: `alorig judges and shows the fleet that this repository declares. It needs no
account, no credential and no plugin, and changes nothing. Only recover does: it
clears what a killed update left, and needs what "pulumi up" needs.

Exit codes: 0 clean, 1 a rule refuses the fleet, 2 the input or the machine is at
fault and there is no verdict.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		// A misspelt command must not look like success.
		Args: func(root *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := "alorig --help lists the commands"
			if near := root.SuggestionsFor(args[0]); len(near) > 0 {
				hint = "did you mean alorig " + near[0] + "?"
			}
			return fmt.Errorf("there is no command %q; %s", args[0], hint)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(checkCommand(), previewCommand(), ledgerCommand(), recoverCommand(), connectCommand(), setupCommand())
	root.SetArgs(args)
	root.SuggestionsMinimumDistance = 2
	out := &printer{w: stdout}
	root.SetOut(out)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil && out.err != nil {
		err = fmt.Errorf("printing the answer: %w", out.err)
	}
	var ended exitCode
	switch {
	case err == nil:
		return exitClean
	case errors.As(err, &ended):
		return int(ended)
	case errors.Is(err, errRefused):
		return exitRefused
	default:
		if asksJSON(cmd, args) && out.err == nil {
			writeFailure(out, err)
			if out.err == nil {
				return exitFault
			}
			err = fmt.Errorf("%w; and printing it: %w", err, out.err)
		}
		fmt.Fprintf(stderr, "%s %s\n", color.RedString("alorig:"), terminal.Text(err.Error()))
		return exitFault
	}
}

// printer keeps the first error of what is printed: whoever prints need not look, and a
// verdict that reached nobody is no success.
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
