package main

import (
	"github.com/spf13/cobra"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/policy/rules"
	"github.com/alorig/fleet/stacks"
)

func checkCommand() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Hold the fleet against every rule, in this process, in well under a second",
		Long: `check runs the program and every rule of the policy pack in one process: no Pulumi
CLI, no network, no credential. Secrets that the stack file keeps encrypted are
replaced by placeholders. The verdict is that of "pulumi preview --policy-pack policy"
on an empty server.`,
		Example: "  alorig check\n  alorig check --rollout snapify\n  alorig check --json | jq .refused",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := stacks.Alorig()
			s, err := t.load(cmd, f)
			if err != nil {
				return unjudged(f.Ledger, err)
			}
			recorded, findings, err := f.Check(t.file, s)
			if err != nil {
				return unjudged(f.Ledger, err)
			}
			stage, _ := f.Ledger.Through(t.rollout)
			v := verdict{
				Stack: t.stack, Rollout: t.rollout, NotJudged: s.NotJudged, Resources: len(recorded), Memory: stage.Totals(),
				Refused: len(rules.Refusals(findings)) > 0, Findings: described(findings),
			}
			return v.report(cmd.OutOrStdout(), f.Ledger, t.json)
		},
	}
	t.flags(cmd)
	return cmd
}

func described(fs []ledger.Finding) []finding {
	levels := map[string]rules.Level{}
	for _, rule := range rules.All() {
		levels[rule.Name] = rule.Level
	}
	out := make([]finding, len(fs))
	for i, f := range fs {
		out[i] = finding{Rule: f.Rule, Level: string(levels[f.Rule]), Message: f.String(), URN: f.URN}
	}
	return out
}
