package stacks

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/delivery"
	"github.com/alorig/fleet/internal/dryrun"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/policy/rules"
)

// Check judges the fleet by every rule, in this process. It needs no Pulumi engine, no network
// and no credential. It returns what was declared and all findings; an error means there is no
// verdict.
func (f Fleet) Check(stack string, s settings.Settings) ([]declared.Resource, []ledger.Finding, error) {
	// A check is short and makes many small objects. Collecting garbage less often saves a
	// third of the time of a large fleet (docs/performance.md).
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	recorded, err := f.dryRun(stack, s)
	if err != nil {
		return nil, nil, err
	}
	return recorded, rules.Judge(rules.NewFleet(f.Ledger), recorded), nil
}

// dryRun records what an update would register.
func (f Fleet) dryRun(stack string, s settings.Settings) ([]declared.Resource, error) {
	recorded, err := dryrun.Record(settings.Project, stack, func(ctx *pulumi.Context) error { return f.Declare(ctx, s, delivery.Program{}) })
	if err != nil {
		return nil, fmt.Errorf("the program cannot declare the fleet: %w", err)
	}
	return recorded, nil
}

// guard refuses what a mandatory rule would refuse, with the same findings.
func (f Fleet) guard(stack string, s settings.Settings) error {
	if err := s.RefuseDocumentationValues(); err != nil {
		return err
	}
	recorded, err := f.dryRun(stack, s)
	if err != nil {
		return err
	}
	refusals := rules.Refusals(rules.Judge(rules.NewFleet(f.Ledger), recorded))
	if len(refusals) == 0 {
		return nil
	}
	var lines []string
	for _, r := range refusals {
		lines = append(lines, "- ["+r.Rule+"] "+r.String())
	}
	say := fmt.Sprintf("%d findings refuse", len(refusals))
	if len(refusals) == 1 {
		say = "1 finding refuses"
	}
	return fmt.Errorf("%s this update; nothing was changed (docs/policies.md explains each rule):\n%s", say, strings.Join(lines, "\n"))
}
