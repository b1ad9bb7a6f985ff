package main

import (
	"io"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/alorig/fleet/internal/engine"
	"github.com/alorig/fleet/stacks"
)

func previewCommand() *cobra.Command {
	var (
		t        target
		buildCLI bool
	)
	cmd := &cobra.Command{
		Use:   "preview",
		Short: "Preview the fleet on the real Pulumi engine, offline, with the policy pack",
		Long: `preview runs the program and the policy pack on the real Pulumi engine against an
empty server. A stand-in that echoes inputs answers for every provider, so anyone can
preview a pull request: no account, no credential, no plugin, no network. It uses the
pulumi on the PATH, or builds the pinned one once, which takes about five minutes.

What a preview of the real server shows beyond this is the difference to what runs:
for that, use "pulumi preview --policy-pack policy" (README).`,
		Example: "  alorig preview\n  alorig preview --rollout psydge\n  alorig preview --json | jq .findings",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := stacks.Alorig()
			s, err := t.load(cmd, f)
			if err != nil {
				return err // before the engine, whose words are longer
			}
			p := engine.Preview{
				Directory: t.directory, Stack: t.file, Program: f.OfflinePreview(s),
				WithPack: true, BuildCLI: buildCLI, Color: !color.NoColor,
				Output: cmd.OutOrStdout(), Progress: cmd.ErrOrStderr(),
			}
			if t.json {
				p.Output = nil
			}
			result, err := p.Run(cmd.Context())
			if err != nil {
				return err
			}
			stage, _ := f.Ledger.Through(t.rollout)
			v := verdict{
				Stack: t.stack, Rollout: t.rollout, NotJudged: s.NotJudged, Memory: stage.Totals(),
				Refused: result.Refused(), Changes: result.Changes, Findings: []finding{},
			}
			for _, n := range result.Changes {
				v.Resources += n
			}
			for _, found := range result.Findings {
				v.Findings = append(v.Findings, finding(found))
			}
			if !t.json { // the engine has shown the findings
				v.Findings = nil
				_, _ = io.WriteString(cmd.OutOrStdout(), "\n")
			}
			return v.report(cmd.OutOrStdout(), f.Ledger, t.json)
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&buildCLI, "build-cli", false, "use the pinned Pulumi CLI even where another is on the PATH")
	return cmd
}
