package main

import (
	"fmt"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/alorig/fleet/internal/engine"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/policy/rules"
	"github.com/alorig/fleet/stacks"
)

func previewCommand() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "preview",
		Short: "Preview the fleet on the Pulumi engine, offline, with the policy pack",
		Long: `preview runs the program and the policy pack on the Pulumi engine against an empty
server. That engine is part of this command, and a stand-in that echoes inputs answers
for every provider, so anyone can preview a pull request: no account, no credential, no
Pulumi CLI, no plugin, no network. PULUMI_ variables of the environment change nothing.

On a terminal every resource is shown as it comes. The Pulumi engine counts the stack
itself as one resource more than check does.

What a preview of the real server shows beyond this is the difference to what runs:
for that, use "pulumi preview --policy-pack policy" (docs/install.md).`,
		Example: "  alorig preview\n  alorig preview --rollout psydge\n  alorig preview --json | jq .findings",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := stacks.Alorig()
			s, err := t.load(cmd, f)
			if err != nil {
				return unjudged(f.Ledger, err) // before the Pulumi engine, whose words are longer
			}
			pack, err := rules.Pack(f.Ledger)
			if err != nil {
				return fmt.Errorf("building the policy pack: %w", err)
			}
			p := engine.Preview{
				Project: settings.Project, Stack: t.file, Program: f.OfflinePreview(s), Pack: pack, Color: !color.NoColor,
			}
			if terminal, ok := terminalOf(cmd.OutOrStdout()); ok && !t.json {
				p.Terminal = terminal
			}
			result, err := p.Run(cmd.Context())
			if err != nil {
				return unjudged(f.Ledger, err)
			}
			stage, _ := f.Ledger.Through(t.rollout)
			v := verdict{
				Stack: t.stack, Rollout: t.rollout, NotJudged: s.NotJudged, Memory: stage.Totals(),
				Refused: result.Refused(), Changes: result.Changes, Findings: []finding{},
			}
			for _, n := range result.Changes {
				v.Resources += n
			}
			v.Resources-- // the stack itself, which no program declares
			for _, found := range result.Findings {
				v.Findings = append(v.Findings, finding(found))
			}
			if p.Terminal != nil { // which shows them already
				v.Findings = nil
				fmt.Fprintln(cmd.OutOrStdout())
			} else {
				for _, warning := range result.Warnings {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s %s\n", color.YellowString("warning:"), warning)
				}
				for _, fault := range result.Errors {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s %s\n", color.RedString("error:"), fault)
				}
			}
			return v.report(cmd.OutOrStdout(), f.Ledger, t.json)
		},
	}
	t.flags(cmd)
	return cmd
}
