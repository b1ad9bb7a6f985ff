package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/alorig/fleet/internal/access"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/pulumicli"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/internal/shell"
	"github.com/alorig/fleet/internal/terminal"
	"github.com/alorig/fleet/stacks"
)

// logReader is the command line of log.
type logReader struct {
	stackFlags
	since time.Duration
	json  bool
}

func logCommand() *cobra.Command {
	var l logReader
	cmd := &cobra.Command{
		Use:   "log [APP]",
		Short: "Show what updates have done on the server, beside the restarts of its containers",
		Long: `log shows what the program on the server has done, beside the starts, restarts and ends of
containers, the newest last: of one app and the shared services, or of all apps. It changes
nothing. Times are those of this machine's zone.

Docker remembers the last start and the last end of a container, and how often it has
started it again by itself. The log on the server has room for some 2 MB.

It needs the passphrase of "pulumi up", and makes its own way to the server: with
alorig:sshPrivateKey, and to none but that with alorig:ssh.hostKey.

Exit codes: 0 it was shown; 2 the input, the way or the server is at fault.`,
		Example: "  alorig log psydge\n  alorig log --since 24h\n  alorig log psydge --json | jq '.entries[] | select(.failed)'",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return l.run(cmd, strings.Join(args, "")) },
	}
	l.register(cmd)
	cmd.Flags().DurationVar(&l.since, "since", 7*24*time.Hour, "show what happened in this time before now")
	cmd.Flags().BoolVar(&l.json, "json", false, "print what the server tells as JSON")
	return cmd
}

func (l logReader) run(cmd *cobra.Command, app string) error {
	f := stacks.Alorig()
	if names := f.Ledger.AppNames(); app != "" && !slices.Contains(names, app) {
		return fmt.Errorf("%q is no app of the ledger; accepted: %s", app, strings.Join(names, ", "))
	}
	if l.since <= 0 {
		return fmt.Errorf("--since %s is no time before now; accepted: a positive duration such as 24h", l.since)
	}
	told, err := l.ask(cmd, f, app)
	if err != nil {
		return err
	}
	if l.json {
		if err := writeJSON(cmd.OutOrStdout(), told); err != nil {
			return fmt.Errorf("writing the log: %w", err)
		}
		return nil
	}
	now := time.Now()
	showLog(cmd.OutOrStdout(), told, now.Add(-l.since), now.Location())
	return nil
}

// ask lets the server's program tell its log.
func (l logReader) ask(cmd *cobra.Command, f stacks.Fleet, app string) (document.Log, error) {
	ctx := cmd.Context()
	var told document.Log
	read, err := l.readAll(cmd, f)
	if err != nil {
		return told, err
	}
	privateKey := ""
	if read.SSH != nil {
		cli, err := pulumicli.Find(ctx, l.directory, cmd.ErrOrStderr())
		if err != nil {
			return told, err
		}
		stack := pulumicli.Stack{CLI: cli, Directory: l.directory, Name: l.stack}
		if privateKey, err = stack.Secret(ctx, settings.Project+":sshPrivateKey"); err != nil {
			return told, err
		}
	}
	server, err := access.Open(ctx, access.Of(read, privateKey))
	if err != nil {
		return told, err
	}
	defer server.Close() //nolint:errcheck // everything has been read
	program := ledger.ServerProgram(read.Program.Directory)
	words := []string{shell.Word(program), "log", "--since", l.since.String()}
	if app != "" {
		words = append(words, shell.Word(app))
	}
	text, err := server.Run(ctx, strings.Join(words, " "), nil)
	var failed *access.CommandError
	switch {
	case errors.As(err, &failed) && (failed.Code == 127 || failed.Code == 126): // as shells say it
		return told, fmt.Errorf("there is no program on the server that keeps a log (%s); run `pulumi up` once, which puts it there", failed.Said)
	case err != nil:
		return told, fmt.Errorf("asking %s on the server: %w", program, err)
	}
	if err := json.Unmarshal(text, &told); err != nil {
		return told, fmt.Errorf("%s on the server has not answered with a log: %w; run `pulumi up` once, which puts the right one there", program, err)
	}
	if told.Version > document.Version {
		return told, fmt.Errorf("the program on the server is newer than this one (document version %d, not %d); update the repository and build this anew with `make check`", told.Version, document.Version)
	}
	return told, nil
}

// happening is a line of the log, and what is said below it.
type happening struct {
	at                       time.Time
	who, what, lasts, result string
	below                    []string
}

// showLog prints what has happened since then, the newest last.
func showLog(w io.Writer, told document.Log, since time.Time, zone *time.Location) {
	var all []happening
	for _, e := range told.Entries {
		all = append(all, ofEntry(e))
	}
	for _, c := range told.Containers {
		all = append(all, ofContainer(c)...)
	}
	all = slices.DeleteFunc(all, func(h happening) bool { return h.at.Before(since) })
	slices.SortStableFunc(all, func(a, b happening) int { return a.at.Compare(b.at) })
	if len(all) == 0 {
		fmt.Fprintf(w, "Nothing has been logged since %s.\n", since.In(zone).Format(logTime))
	}
	var table bytes.Buffer
	columns := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, h := range all {
		fmt.Fprintf(columns, "%s\t%s\t%s\t%s\t%s\n", h.at.In(zone).Format(logTime), h.who, h.what, h.lasts, h.result)
	}
	_ = columns.Flush() // a buffer takes everything
	for i, line := range strings.Split(strings.TrimSuffix(table.String(), "\n"), "\n") {
		if i == len(all) { // there is none
			break
		}
		line = strings.TrimRight(line, " ")
		if all[i].result == failedResult {
			line = strings.TrimSuffix(line, failedResult) + color.RedString(failedResult)
		}
		fmt.Fprintln(w, line)
		for _, text := range all[i].below {
			fmt.Fprintf(w, "    %s\n", text)
		}
	}
	for _, c := range told.Containers {
		if c.Status != "running" || c.Health == "unhealthy" {
			fmt.Fprintf(w, "%s %s is %s.\n", color.New(color.FgYellow, color.Bold).Sprint("now"), terminal.Line(c.Name), terminal.Line(condition(c)))
		}
	}
	if told.Unseen != "" {
		fmt.Fprintf(w, "%s The containers could not be looked at: %s\n", color.New(color.FgRed, color.Bold).Sprint("not known"), terminal.Line(told.Unseen))
	}
}

const (
	logTime      = "2006-01-02 15:04:05 MST"
	failedResult = "FAILED"
)

func ofEntry(e document.LogEntry) happening {
	h := happening{
		at: e.Time, who: terminal.Line(e.Who), result: "done", lasts: fmt.Sprintf("%.1f s", e.Seconds),
		what: terminal.Line(strings.TrimSpace(e.Verb + " " + cmp.Or(e.Subject, e.App))),
	}
	if e.Digest != "" {
		h.below = append(h.below, terminal.Line(e.Digest))
	}
	for _, did := range e.Did {
		h.below = append(h.below, terminal.Line(did))
	}
	if e.Failed {
		h.result = failedResult
		for line := range strings.Lines(e.Error) {
			h.below = append(h.below, terminal.Line(strings.TrimRight(line, "\r\n")))
		}
	} else if len(e.Did) == 0 {
		h.result = "unchanged"
	}
	return h
}

// ofContainer are the start and the end of a container that Docker remembers.
func ofContainer(c document.LogContainer) []happening {
	var all []happening
	what := terminal.Line(c.Name)
	if c.FinishedAt != nil {
		h := happening{at: *c.FinishedAt, who: "Docker", what: what, result: "ended"}
		if c.Status != "running" { // of an earlier end Docker keeps only the time
			h.result = ending(c)
		}
		all = append(all, h)
	}
	if c.StartedAt != nil {
		h := happening{at: *c.StartedAt, who: "Docker", what: what, result: "started"}
		if c.RestartCount > 0 {
			h.result = fmt.Sprintf("started again by Docker, %d times since it was made", c.RestartCount)
		}
		h.below = []string{terminal.Line(c.Image)}
		all = append(all, h)
	}
	return all
}

func ending(c document.LogContainer) string {
	if c.OOMKilled {
		return fmt.Sprintf("ended with exit code %d, killed for lack of memory", c.ExitCode)
	}
	return fmt.Sprintf("ended with exit code %d", c.ExitCode)
}

// condition is how a container is now.
func condition(c document.LogContainer) string {
	switch {
	case c.Status == "running":
		return c.Health
	case c.FinishedAt != nil:
		return c.Status + ": " + ending(c)
	default:
		return c.Status
	}
}
