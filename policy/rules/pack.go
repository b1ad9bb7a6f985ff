package rules

import (
	"context"
	"sync"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

// PackName is the policy pack's name, as the Pulumi engine shows it.
const PackName = "alorig-fleet"

// PackVersion is the policy pack's version.
var PackVersion = semver.MustParse("1.0.0")

// Pack is the policy pack over a ledger. Each rule appears under one name, as a resource policy
// and, where it looks at the stack, as a stack policy too.
func Pack(l ledger.Ledger) (policyx.PolicyPack, error) {
	f, gates := NewFleet(l), &gateCache{}
	var policies []policyx.Policy
	for _, rule := range All() {
		// Every rule is a resource policy: the early gate on Server is one.
		policies = append(policies, policyx.NewResourceValidationPolicy(rule.Name, policyx.ResourceValidationPolicyArgs{
			Description:      rule.description(),
			EnforcementLevel: rule.Level.engine(),
			ValidateResource: func(_ context.Context, args policyx.ResourceValidationArgs) error {
				r := fromEngine(args.Resource)
				show(args.Manager, rule.judgeResource(f, r, gates.of(r)))
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
				rs := make([]declared.Resource, len(args.Resources))
				for i, r := range args.Resources {
					rs[i] = fromEngine(r)
				}
				show(args.Manager, rule.judgeStack(f, rs))
				return nil
			},
		}))
	}
	return policyx.NewPolicyPack(PackName, PackVersion, policyx.EnforcementLevelMandatory, policies)
}

func show(m policyx.PolicyManager, fs []ledger.Finding) {
	for _, f := range ledger.SortFindings(fs) {
		m.ReportViolation(f.String(), f.URN)
	}
}

// gateCache keeps the early gate of the last Server component: the Pulumi engine shows the
// component to each rule anew.
type gateCache struct {
	mu    sync.Mutex
	props property.Map
	gate  earlyGate
}

func (c *gateCache) of(r declared.Resource) earlyGate {
	if r.Type != ledger.TypeServer {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gate == nil || !c.props.Equals(r.Props) {
		c.props, c.gate = r.Props, newEarlyGate(r)
	}
	return c.gate
}

func (rule *Rule) description() string { return "Refuses " + rule.Refuses + "." }

func (l Level) engine() policyx.EnforcementLevel {
	if l == Advisory {
		return policyx.EnforcementLevelAdvisory
	}
	return policyx.EnforcementLevelMandatory
}

func fromEngine(r policyx.AnalyzerResource) declared.Resource {
	return declared.Resource{
		URN: r.URN, Type: r.Type, Name: r.Name, Parent: r.Parent,
		Props: r.Properties, Protect: r.Options.Protect,
	}
}
