// Package rules is the policy pack's rules, one rule a file, as pure functions over
// raw resources, whoever declared them. The pack (package policy), the check before
// an update and `alorig check` judge with the same functions.
//
// A resource rule sees a resource's inputs, a stack rule its outputs. No rule ever
// prints: standard output belongs to the engine. No finding carries a value that may
// be a secret: it names the property path instead.
package rules

import (
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"github.com/alorig/fleet/internal/fleet"
)

// Level is how a rule is enforced. The zero value is no level: a test refuses it.
type Level string

// The enforcement levels in use.
const (
	Mandatory Level = "mandatory" // refuses the preview and the update
	Advisory  Level = "advisory"  // is shown, refuses nothing
)

// Rule is one rule of the pack. At least one of Resource and Stack is set, or the
// rule lives by its early gate alone: every rule also reports what [fleet.Ledger.Check]
// finds under its name in the ledger that the Host component declares.
type Rule struct {
	Name    string // kebab-case, as the engine shows it
	Level   Level
	Refuses string // completes the sentence "It refuses …"
	Why     string // the reason, for people
	Seed    string // the seed's section, or the document, that asks for it
	Unknown string // what the rule does with a value that is not known at preview

	// Resource judges one resource by its inputs.
	Resource func(f *Fleet, r Resource) []fleet.Finding
	// Stack judges all resources together by their outputs.
	Stack func(f *Fleet, rs []Resource) []fleet.Finding
}

// Resource is a resource as a rule sees it.
type Resource struct {
	URN    string
	Type   string // type token
	Name   string // logical name
	Parent string // parent's URN; "" when there is none or the engine did not tell
	Props  property.Map

	Protect bool
	// RetainOnDelete is nil where it cannot be seen: the engine does not tell a pack.
	RetainOnDelete *bool
}

// Fleet is what rules judge against: the ledger this pack was built with.
type Fleet struct {
	*fleet.Index
}

// NewFleet prepares a ledger for judging.
func NewFleet(l fleet.Ledger) *Fleet { return &Fleet{fleet.NewIndex(l)} }

// Types of the resources that rules look at.
const (
	TypeContainer       = "docker:index/container:Container"
	TypeNetwork         = "docker:index/network:Network"
	TypeRemoteImage     = "docker:index/remoteImage:RemoteImage"
	TypeRole            = "postgresql:index/role:Role"
	TypeDatabase        = "postgresql:index/database:Database"
	TypeGrant           = "postgresql:index/grant:Grant"
	TypeExtension       = "postgresql:index/extension:Extension"
	TypeRecord          = "cloudflare:index/record:Record"
	TypeRemoteCommand   = "command:remote:Command"
	TypeLocalCommand    = "command:local:Command"
	TypeDockerProvider  = "pulumi:providers:docker"
	TypeServiceResource = "docker:index/service:Service" // Swarm: never ours
)

// JudgeResource runs every resource rule over one resource, and over the Host
// component the early gate of every rule.
func JudgeResource(f *Fleet, r Resource) []fleet.Finding {
	var fs []fleet.Finding
	for _, rule := range All() {
		fs = append(fs, rule.judgeResource(f, r)...)
	}
	return fleet.SortFindings(fs)
}

// Judge holds a whole stack against every rule, as a preview would.
func Judge(f *Fleet, rs []Resource) []fleet.Finding {
	var fs []fleet.Finding
	for _, r := range rs {
		for _, rule := range All() {
			fs = append(fs, rule.judgeResource(f, r)...)
		}
	}
	for _, rule := range All() {
		fs = append(fs, rule.judgeStack(f, rs)...)
	}
	return fleet.SortFindings(fs)
}

func (rule Rule) judgeResource(f *Fleet, r Resource) []fleet.Finding {
	var fs []fleet.Finding
	if r.Type == fleet.TypeHost {
		if declared, err := declaredLedger(r); err == nil {
			fs = append(fs, rule.of(declared.Check())...)
		}
	}
	if rule.Resource != nil {
		fs = append(fs, rule.Resource(f, r)...)
	}
	return rule.stamp(fs, r.URN)
}

func (rule Rule) judgeStack(f *Fleet, rs []Resource) []fleet.Finding {
	if rule.Stack == nil {
		return nil
	}
	return rule.stamp(rule.Stack(f, rs), "")
}

// of keeps the findings that belong to the rule.
func (rule Rule) of(fs []fleet.Finding) []fleet.Finding {
	return slices.DeleteFunc(fs, func(f fleet.Finding) bool { return f.Rule != rule.Name })
}

func (rule Rule) stamp(fs []fleet.Finding, urn string) []fleet.Finding {
	for i := range fs {
		fs[i].Rule = rule.Name
		if fs[i].URN == "" {
			fs[i].URN = urn
		}
	}
	return fs
}

// Refusals keeps the findings of mandatory rules.
func Refusals(fs []fleet.Finding) []fleet.Finding {
	mandatory := map[string]bool{}
	for _, rule := range All() {
		mandatory[rule.Name] = rule.Level == Mandatory
	}
	return slices.DeleteFunc(slices.Clone(fs), func(f fleet.Finding) bool { return !mandatory[f.Rule] })
}
