package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fatih/color"
	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/alorig/fleet/internal/recovery"
	"github.com/alorig/fleet/internal/terminal"
	"github.com/alorig/fleet/stacks"
)

// recoverer is the command line of recover.
type recoverer struct {
	stackFlags
	yes, json, isGone bool
}

func recoverCommand() *cobra.Command {
	var r recoverer
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Clear what a killed update left in the way of the next one",
		Long: `recover looks at what a killed update left behind: its lock, the operations it was at,
containers that Docker has and the state does not, half a handover, a migration. It says
what it found and the steps it would take, asks, and takes them. It can be killed itself,
and run again.

It removes only what carries the label of this stack and a name of the ledger, and is
not in the state. It removes no volume, and never the lock of a living update.

It needs the login and the passphrase of "pulumi up", and makes its own way to the
server: with alorig:sshPrivateKey, and to none but that with alorig:ssh.hostKey.

Exit codes: 0 nothing that can be seen from here is in the way, or not any more; 1 it was
declined, or something is for you to decide; 2 the input or the machine is at fault.`,
		Example: "  alorig recover\n  alorig recover --yes\n  alorig recover --json | jq .plan.steps",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return r.run(cmd) },
	}
	r.register(cmd)
	cmd.Flags().BoolVar(&r.yes, "yes", false, "take the steps without asking")
	cmd.Flags().BoolVar(&r.json, "json", false, "print what was found, the steps and their outcome as JSON; asks nothing")
	cmd.Flags().BoolVar(&r.isGone, "lock-holder-is-gone", false, "you have made sure that the holder of a lock that cannot be judged from here has ended")
	return cmd
}

// outcome is what recover reports to machines.
type outcome struct {
	Found recovery.Found `json:"found"`         // what was not looked at is null
	Plan  recovery.Plan  `json:"plan,omitzero"` // of all that was to be looked at
	Done  bool           `json:"done"`          // the steps were taken
	// Remaining is what is still in the way after them.
	Remaining *recovery.Plan `json:"remaining,omitempty"`
	// Stopped says why not all steps were taken: another process has locked the stack.
	Stopped string `json:"stopped,omitempty"`
	// Error says what failed. Steps before it may have been taken.
	Error string `json:"error,omitempty"`
}

func (r recoverer) run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	f := stacks.Alorig()
	read, err := r.readAll(cmd, f)
	if err != nil {
		return err
	}
	mending, err := recovery.Open(ctx, recovery.Options{
		Directory: r.directory, Stack: r.file, Named: r.stack, Settings: read, Ledger: f.Ledger, HolderIsGone: r.isGone, Progress: cmd.ErrOrStderr(),
	})
	if err != nil {
		return err
	}
	defer mending.Close()
	out := cmd.OutOrStdout()
	if r.json {
		return r.machine(ctx, mending, out, cmd.ErrOrStderr())
	}
	found, err := mending.Look(ctx)
	if err != nil {
		return err
	}
	plan := recovery.MakePlan(found)
	describe(out, found, plan)
	if len(plan.Steps) == 0 {
		return conclude(out, found, plan)
	}
	if !r.yes {
		switch agreed, asked := agree(ctx, cmd.InOrStdin(), out); {
		case !asked:
			fmt.Fprintln(out, "Nothing was done. There is nobody to ask here: run this on a terminal, or with --yes.")
			return errRefused
		case !agreed:
			fmt.Fprintln(out, "Nothing was done.")
			return errRefused
		}
	}
	again, remaining, err := mending.Recover(ctx, plan, func(text string) { fmt.Fprintln(out, text) })
	if errors.Is(err, recovery.ErrHeld) {
		fmt.Fprintf(out, "%s: %s.\n", color.RedString("Stopped"), terminal.Text(err.Error()))
		return errRefused
	}
	if err != nil {
		return fmt.Errorf("%w\nWhat was done before is done; run this again when the cause is mended", err)
	}
	if len(remaining.Steps) > 0 {
		fmt.Fprintln(out)
		describe(out, again, remaining)
	}
	return conclude(out, again, remaining)
}

// machine reports as JSON, and takes the steps only with --yes.
func (r recoverer) machine(ctx context.Context, mending *recovery.Recovery, out, progress io.Writer) error {
	o, err := r.outcome(ctx, mending, progress)
	code := errRefused
	switch {
	case errors.Is(err, recovery.ErrHeld):
		o.Stopped = err.Error()
	case err != nil:
		o.Error, code = err.Error(), exitFault
	case o.Done && o.Remaining.Clear(), !o.Done && o.Plan.Clear():
		code = exitClean
	}
	if err := writeJSON(out, o); err != nil {
		return fmt.Errorf("writing the outcome: %w", err)
	}
	if code == exitClean {
		return nil
	}
	return code
}

func (r recoverer) outcome(ctx context.Context, mending *recovery.Recovery, progress io.Writer) (o outcome, err error) {
	if o.Found, err = mending.Look(ctx); err != nil {
		return o, err
	}
	o.Plan = recovery.MakePlan(o.Found)
	if !r.yes || len(o.Plan.Steps) == 0 {
		return o, nil
	}
	_, remaining, err := mending.Recover(ctx, o.Plan, func(text string) { fmt.Fprintln(progress, text) })
	if err == nil {
		o.Done, o.Remaining = true, &remaining
	}
	return o, err
}

// describe prints what was found and the steps.
func describe(w io.Writer, f recovery.Found, p recovery.Plan) {
	bold := color.New(color.Bold)
	fmt.Fprintf(w, "Stack %s, state in %s.\n", bold.Sprint(f.Stack), f.Backend)
	if f.NoLocks {
		fmt.Fprintln(w, "This backend does not show its locks, so it is not known whether an update is running.")
	}
	for _, l := range f.Locks {
		fmt.Fprintf(w, "  lock       %s: %s, %s\n", l, l.Verdict, l.Why)
	}
	for _, o := range f.Operations {
		fmt.Fprintf(w, "  pending    %s %s %s%s\n", o.Kind, terminal.Line(o.Type), o.Name, map[bool]string{true: ", which exists"}[o.Exists != ""])
	}
	for _, c := range f.Containers {
		switch {
		case !c.Ours && !c.InState:
			fmt.Fprintf(w, "  container  %s: not ours\n", c)
		case !c.InState:
			fmt.Fprintf(w, "  container  %s: ours, not in the state\n", c)
		}
	}
	for _, n := range f.Networks {
		if !n.InState {
			fmt.Fprintf(w, "  network    %s: %s, not in the state, used by %s\n", n.Name, map[bool]string{true: "ours", false: "not ours"}[n.Ours],
				cmp.Or(strings.Join(n.Containers, ", "), "nobody"))
		}
	}
	for _, note := range p.Notes {
		fmt.Fprintf(w, "%s %s\n", color.New(color.FgYellow, color.Bold).Sprint("note"), note)
	}
	if len(p.Steps) > 0 { // without steps conclude prints what is undecided
		for _, question := range p.Undecided {
			fmt.Fprintf(w, "%s %s\n", color.New(color.FgRed, color.Bold).Sprint("for you to decide"), question)
		}
		fmt.Fprintln(w, "The steps:")
		for i, s := range p.Steps {
			fmt.Fprintf(w, "%3d. %s\n", i+1, s.Text)
		}
	}
}

// conclude prints the last line: whether anything is still in the way.
func conclude(w io.Writer, f recovery.Found, p recovery.Plan) error {
	switch {
	case p.Clear() && f.NoLocks && !f.Trusted:
		fmt.Fprintln(w, color.YellowString("Nothing is left over. An update that is running would be in the way, and cannot be seen here; `pulumi stack` shows one."))
		return nil
	case p.Clear():
		fmt.Fprintln(w, color.GreenString("Nothing is in the way of the next update."))
		return nil
	case len(p.Undecided) == 0:
		fmt.Fprintf(w, "%s Run this again.\n", color.RedString("Something is still in the way of the next update."))
	default:
		fmt.Fprintln(w, color.RedString("These are in the way of the next update, and need your decision:"))
		for _, question := range p.Undecided {
			fmt.Fprintf(w, "- %s\n", question)
		}
	}
	return errRefused
}

// agree asks for consent. asked is false when there is no terminal to ask on.
func agree(ctx context.Context, in io.Reader, out io.Writer) (agreed, asked bool) {
	if file, ok := in.(*os.File); ok && !isatty.IsTerminal(file.Fd()) {
		return false, false
	}
	fmt.Fprint(out, "Do this? [y/N] ")
	answer := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(in).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			line = ""
		}
		answer <- line
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(out)
		return false, true
	case line := <-answer:
		line = strings.ToLower(strings.TrimSpace(line))
		return line == "y" || line == "yes", true
	}
}
