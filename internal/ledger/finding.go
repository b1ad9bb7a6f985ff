package ledger

import (
	"cmp"
	"fmt"
	"slices"
)

// Finding is one thing that is wrong: what, where, what the ledger says, what to do.
// It never carries the value of a secret.
type Finding struct {
	Rule    string `json:"rule"`    // name of the policy rule that owns it
	Subject string `json:"subject"` // the entry or resource, by the name an operator knows
	Problem string `json:"problem"` // what is wrong, with the value found
	Ledger  string `json:"ledger"`  // what the ledger or the limit says
	Remedy  string `json:"remedy"`  // what to do
	URN     string `json:"urn,omitempty"`
}

// String is the finding as it is shown to people.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s; %s. %s", f.Subject, f.Problem, f.Ledger, f.Remedy)
}

// SortFindings sorts findings by rule, subject and problem and drops repetitions,
// so that the same fleet always gives the same report.
func SortFindings(fs []Finding) []Finding {
	slices.SortFunc(fs, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Subject, b.Subject),
			cmp.Compare(a.Problem, b.Problem), cmp.Compare(a.URN, b.URN),
		)
	})
	return slices.Compact(fs)
}
