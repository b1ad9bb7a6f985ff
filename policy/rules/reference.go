package rules

import (
	"fmt"
	"strings"
)

//go:generate go test . -run ^TestReferenceIsCurrent$ -update

// Reference is the policy reference for operators, in Markdown: docs/policies.md.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# Policies

<!-- Generated from policy/rules by "go generate ./policy/...". Do not edit. -->

The policy pack refuses whatever breaks the allocation or the memory budget before it
exists. ` + "`pulumi preview`" + ` and ` + "`pulumi up`" + ` load it with the flag ` + "`--policy-pack policy`" + `, or with
` + "`PULUMI_OPTION_POLICY_PACK=policy`" + ` in the environment. ` + "`alorig check`" + ` and ` + "`alorig preview`" + ` judge with the
same rules.

A finding reads: *what: what is wrong, with the value found; what the ledger says. What
to do.* It names the path of a secret, never its value.

Every rule judges twice. When the Server component is registered, before anything else is
created, the ledger that the program declares is checked as a whole. Then the rule looks
at each resource, or at the whole stack, whoever declared it: a container written past
the components counts too. Rules marked "stack" see sums, duplicates and what is
missing. The Pulumi engine judges them at the end of a preview and of an update. Do not use
` + "`--skip-preview`" + `: then only the program's own check stands before the update
([ADR 12](adr/0012-guard-before-update.md)).

| rule | level | judges | refuses |
|---|---|---|---|
`)
	for _, r := range All() {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s |\n", r.Name, r.Name, r.Level, r.scope(), r.Refuses)
	}
	for _, r := range All() {
		fmt.Fprintf(&b, "\n## %s\n\n", r.Name)
		fmt.Fprintf(&b, "- **Level:** %s\n", r.Level)
		fmt.Fprintf(&b, "- **Refuses:** %s.\n", r.Refuses)
		fmt.Fprintf(&b, "- **Why:** %s\n", r.Why)
		fmt.Fprintf(&b, "- **Asked for by:** [seed 05](plan.md), %s\n", r.Seed)
		fmt.Fprintf(&b, "- **On a value that is not known at preview:** %s\n", r.Unknown)
		fmt.Fprintf(&b, "- **What to do:** %s\n", r.Remedy)
	}
	return b.String()
}

// scope says what the rule looks at.
func (rule *Rule) scope() string {
	switch {
	case rule.Stack == nil:
		return "resource"
	case rule.Resource == nil:
		return "stack"
	default:
		return "resource, stack"
	}
}
