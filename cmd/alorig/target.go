package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/internal/terminal"
	"github.com/alorig/fleet/stacks"
)

// stackFlags say whose settings are read.
type stackFlags struct {
	directory string // absolute once the settings are open
	stack     string
	file      string // the last part of the stack's name, as the stack file has it
}

// stackVariable is where the Pulumi CLI looks for the stack when --stack is not given.
const stackVariable = "PULUMI_STACK"

// stackOption stands for --stack itself: the Pulumi CLI prefers it to stackVariable.
const stackOption = "PULUMI_OPTION_STACK"

func (s *stackFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.stack, "stack", "", "stack whose settings are read, from Pulumi.STACK.yaml (default $"+stackVariable+", or else prod)")
	cmd.Flags().StringVar(&s.directory, "dir", "", "project directory (default the repository around the working directory)")
}

// open reads the settings of the stack.
func (s *stackFlags) open(cmd *cobra.Command) (settings.Config, error) {
	origin := "--stack"
	if !cmd.Flags().Changed("stack") {
		s.stack, origin = cmp.Or(os.Getenv(stackVariable), "prod"), stackVariable
		if named := os.Getenv(stackOption); named != "" {
			s.stack, origin = named, stackOption
		}
	}
	var err error
	if s.file, err = settings.StackName(s.stack); err != nil {
		return settings.Config{}, fmt.Errorf("%s %w", origin, err)
	}
	config, err := settings.Open(s.directory, s.file)
	s.directory = config.Directory
	return config, err
}

// read reads and judges the settings of the stack, with the rollout in place of the one
// they have; "" keeps theirs.
func (s *stackFlags) read(cmd *cobra.Command, f stacks.Fleet, rollout string) (settings.Settings, error) {
	config, err := s.open(cmd)
	if err != nil {
		return settings.Settings{}, err
	}
	read, err := f.Settings(config, rollout)
	if err != nil {
		return read, fmt.Errorf("the settings of %s: %w", s.stack, err)
	}
	return read, nil
}

// readAll is read for a command that works with the settings: it needs every value, also
// those that are encrypted though they are no secrets, and refuses what it cannot see.
func (s *stackFlags) readAll(cmd *cobra.Command, f stacks.Fleet) (settings.Settings, error) {
	read, err := s.read(cmd, f, "")
	if err != nil {
		return read, err
	}
	if err := read.RefuseNotJudged(); err != nil {
		return read, fmt.Errorf("the settings of %s: %w", s.stack, err)
	}
	return read, nil
}

// target is what check and preview judge: a stack's settings and how far its rollout
// is taken to have come.
type target struct {
	stackFlags
	rollout string
	json    bool
}

func (t *target) flags(cmd *cobra.Command) {
	t.register(cmd)
	cmd.Flags().StringVar(&t.rollout, "rollout", "", "judge the server as it stands after this `APP` (default the complete fleet)")
	cmd.Flags().BoolVar(&t.json, "json", false, "print the verdict as JSON")
}

// load reads the stack's settings with the rollout this target asks for. What the stack
// file says of its rollout is judged all the same: an update reads it.
func (t *target) load(cmd *cobra.Command, f stacks.Fleet) (settings.Settings, error) {
	names := f.Ledger.AppNames()
	t.rollout = cmp.Or(t.rollout, names[len(names)-1])
	if !slices.Contains(names, t.rollout) {
		return settings.Settings{}, fmt.Errorf("--rollout %q is no app of the ledger; accepted: %s", t.rollout, strings.Join(names, ", "))
	}
	return t.read(cmd, f, t.rollout)
}

// unjudged adds what is wrong with the ledger itself to the error for which there is no
// verdict: no rule was asked, and all problems are told at once.
func unjudged(l ledger.Ledger, err error) error {
	findings := l.Check()
	if len(findings) == 0 {
		return err
	}
	var text strings.Builder
	text.WriteString("The ledger (internal/ledger/alorig.go) has faults of its own:")
	for _, f := range findings {
		fmt.Fprintf(&text, "\n- [%s] %s", f.Rule, f)
	}
	return fmt.Errorf("%w\n%s", err, text.String())
}

// verdict is what check and preview report.
type verdict struct {
	Stack     string         `json:"stack"`
	Rollout   string         `json:"rollout"`
	NotJudged []string       `json:"notJudged,omitempty"` // settings that are kept encrypted though they are no secrets
	Resources int            `json:"resources"`
	Refused   bool           `json:"refused"`
	Findings  []finding      `json:"findings"`
	Memory    ledger.Totals  `json:"memory"` // MiB, as the ledger books it
	Changes   map[string]int `json:"changes,omitempty"`
}

type finding struct {
	Rule    string `json:"rule"`
	Level   string `json:"level"`
	Message string `json:"message"`
	URN     string `json:"urn,omitempty"`
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// print shows the verdict to people and returns errRefused when it is a refusal.
func (v verdict) print(w io.Writer, l ledger.Ledger) error {
	byRule := map[string][]finding{}
	for _, f := range v.Findings {
		byRule[f.Rule] = append(byRule[f.Rule], f)
	}
	for _, rule := range slices.Sorted(maps.Keys(byRule)) {
		mark := color.New(color.FgYellow, color.Bold).Sprint("advice ")
		if byRule[rule][0].Level == "mandatory" {
			mark = color.New(color.FgRed, color.Bold).Sprint("refused")
		}
		fmt.Fprintf(w, "%s %s\n", mark, color.New(color.Bold).Sprint(rule))
		for _, f := range byRule[rule] {
			fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(f.Message, "\n", "\n  "))
		}
	}
	if len(v.NotJudged) > 0 {
		fmt.Fprintf(w, "%s %s: encrypted, not judged here.\n", color.New(color.FgYellow, color.Bold).Sprint("note   "), terminal.Line(strings.Join(v.NotJudged, ", ")))
	}
	stage, _ := l.Through(v.Rollout)
	app, _ := l.App(v.Rollout)
	totals := stage.Totals()
	fmt.Fprintf(w, "Server after %s, stack %s: %d resources; steady state %s of %s; hard limits at their peak %s of %s.\n",
		app.Title, v.Stack, v.Resources, totals.Steady, l.Server.UpgradeTrigger, totals.Peak(), l.Server.Memory)
	if v.Refused {
		fmt.Fprintf(w, "%s docs/policies.md explains each rule.\n", color.RedString("Refused."))
		return errRefused
	}
	fmt.Fprintln(w, color.GreenString("No rule refuses this fleet."))
	return nil
}

func (v verdict) report(w io.Writer, l ledger.Ledger, asJSON bool) error {
	if !asJSON {
		return v.print(w, l)
	}
	if err := writeJSON(w, v); err != nil {
		return fmt.Errorf("writing the verdict: %w", err)
	}
	if v.Refused {
		return errRefused
	}
	return nil
}
