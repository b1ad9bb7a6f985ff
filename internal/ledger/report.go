package ledger

// Report collects findings, so that everything that is wrong is said at once.
type Report struct {
	Rule     string // of the findings that are added from now on
	Subject  string // the same
	Findings []Finding
}

// About says which rule the next findings belong to, and what they are about.
func (r *Report) About(rule, subject string) *Report {
	r.Rule, r.Subject = rule, subject
	return r
}

// Add reports what is wrong, what the ledger says, and what to do.
func (r *Report) Add(problem, says, remedy string) {
	r.Findings = append(r.Findings, Finding{Rule: r.Rule, Subject: r.Subject, Problem: problem, Ledger: says, Remedy: remedy})
}
