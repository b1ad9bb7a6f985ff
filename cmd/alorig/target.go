package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/pinned"
	"github.com/alorig/fleet/stacks"
)

// target is what check and preview judge: a stack's settings and how far its rollout
// is taken to have come.
type target struct {
	directory, stack, rollout string
	json                      bool
}

func (t *target) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.stack, "stack", "prod", "stack whose settings are read, from Pulumi.STACK.yaml")
	cmd.Flags().StringVar(&t.rollout, "rollout", "", "judge the server as it stands after this `APP` (default the complete fleet)")
	cmd.Flags().StringVar(&t.directory, "dir", "", "project directory (default the repository around the working directory)")
	cmd.Flags().BoolVar(&t.json, "json", false, "print the verdict as JSON")
}

// load reads the stack's plain settings with the rollout this target asks for.
func (t *target) load(f stacks.Fleet) (stacks.PlainConfig, error) {
	names := f.Ledger.AppNames()
	rollout := cmp.Or(t.rollout, names[len(names)-1])
	if !slices.Contains(names, rollout) {
		return nil, fmt.Errorf("--rollout %q is no app of the ledger; accepted: %s", rollout, strings.Join(names, ", "))
	}
	if strings.ContainsAny(t.stack, `/\`) || t.stack == "" {
		return nil, fmt.Errorf("--stack %q names no stack; it is the STACK of Pulumi.STACK.yaml", t.stack)
	}
	if t.directory == "" {
		directory, err := pinned.Repository("")
		if err != nil {
			return nil, fmt.Errorf("%w, or name the project with --dir", err)
		}
		t.directory = directory
	}
	config, err := stacks.ReadStackFile(t.directory, t.stack)
	if err != nil {
		return nil, err
	}
	t.rollout = rollout
	config[stacks.Project+":rollout"] = rollout
	return config, nil
}

// verdict is what check and preview report.
type verdict struct {
	Stack     string         `json:"stack"`
	Rollout   string         `json:"rollout"`
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
	stage, _ := l.Through(v.Rollout)
	app, _ := l.App(v.Rollout)
	totals := stage.Totals()
	fmt.Fprintf(w, "Server after %s: %d resources; steady state %s of %s; hard limits at their peak %s of %s.\n",
		app.Title, v.Resources, totals.Steady, l.Server.UpgradeTrigger, totals.Peak(), l.Server.Memory)
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
