package rules

import (
	"context"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"

	"github.com/alorig/fleet/internal/fleet"
)

// PackName is the policy pack's name, as the engine shows it.
const PackName = "alorig-fleet"

// PackVersion is the policy pack's version.
var PackVersion = semver.MustParse("1.0.0")

// Pack is the policy pack over a ledger: the factory [policyx.Main] asks for.
//
// Each rule appears under one name, as a resource policy, a stack policy or both.
func Pack(l fleet.Ledger) func(*pulumi.Context) (policyx.PolicyPack, error) {
	return func(*pulumi.Context) (policyx.PolicyPack, error) {
		f := NewFleet(l)
		var policies []policyx.Policy
		for _, rule := range All() {
			// Every rule is a resource policy: the early gate on Host is one.
			policies = append(policies, policyx.NewResourceValidationPolicy(rule.Name, policyx.ResourceValidationPolicyArgs{
				Description:      rule.description(),
				EnforcementLevel: rule.Level.engine(),
				ValidateResource: func(_ context.Context, args policyx.ResourceValidationArgs) error {
					for _, finding := range fleet.SortFindings(rule.judgeResource(f, fromEngine(args.Resource))) {
						args.Manager.ReportViolation(finding.String(), finding.URN)
					}
					return nil
				},
			}))
			if rule.Stack == nil {
				continue
			}
			policies = append(policies, policyx.NewStackValidationPolicy(rule.Name, policyx.StackValidationPolicyArgs{
				Description:      rule.description(),
				EnforcementLevel: rule.Level.engine(),
				ValidateStack: func(_ context.Context, args policyx.StackValidationArgs) error {
					rs := make([]Resource, len(args.Resources))
					for i, r := range args.Resources {
						rs[i] = fromEngine(r)
					}
					for _, finding := range fleet.SortFindings(rule.judgeStack(f, rs)) {
						args.Manager.ReportViolation(finding.String(), finding.URN)
					}
					return nil
				},
			}))
		}
		return policyx.NewPolicyPack(PackName, PackVersion, policyx.EnforcementLevelMandatory, policies)
	}
}

func (rule Rule) description() string { return "Refuses " + rule.Refuses + "." }

func (l Level) engine() policyx.EnforcementLevel {
	if l == Advisory {
		return policyx.EnforcementLevelAdvisory
	}
	return policyx.EnforcementLevelMandatory
}

func fromEngine(r policyx.AnalyzerResource) Resource {
	return Resource{
		URN: r.URN, Type: r.Type, Name: r.Name, Parent: r.Parent,
		Props: r.Properties, Protect: r.Options.Protect,
	}
}
