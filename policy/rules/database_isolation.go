package rules

import (
	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var databaseIsolation = Rule{
	Name:    "database-isolation",
	Level:   Mandatory,
	Refuses: "a database whose PUBLIC privileges are not revoked, and any grant to PUBLIC",
	Why:     "PostgreSQL lets every role connect to every database until PUBLIC is revoked on it. Separate databases separate nothing before that.",
	Seed:    "§10 inter-app isolation, §12 critical rule 3",
	Unknown: "Refuses: privileges that are not known may be some.",
	Remedy:  "Declare the database through `components.Database`, which revokes PUBLIC with a grant of no privileges to the role `public`.",
	Resource: func(_ *Fleet, r declared.Resource) []ledger.Finding {
		role, _ := declared.Read[string](r.Props, "role")
		if r.Type != declared.TypeGrant || !isPublic(role) {
			return nil
		}
		p := ledger.Report{Subject: "grant " + r.Name}
		if privileges, state := declared.ReadStrings(r.Props, "privileges"); state == declared.Unknown || state == declared.WrongType || len(privileges) > 0 {
			p.Add("gives PUBLIC privileges, or may", "PUBLIC has none on any database", "Set privileges to an empty list, which revokes.")
		}
		return p.Findings
	},
	Stack: func(_ *Fleet, rs []declared.Resource) []ledger.Finding {
		revoked := map[string]bool{}
		for _, r := range ofType(rs, declared.TypeGrant) {
			role, _ := declared.Read[string](r.Props, "role")
			kind, _ := declared.Read[string](r.Props, "objectType")
			privileges, state := declared.ReadStrings(r.Props, "privileges")
			if isPublic(role) && kind == "database" && len(privileges) == 0 && (state == declared.Known || state == declared.Absent) {
				database, _ := declared.Read[string](r.Props, "database")
				revoked[database] = true
			}
		}
		var fs []ledger.Finding
		for _, r := range ofType(rs, declared.TypeDatabase) {
			if name, _ := declared.Read[string](r.Props, "name"); name == "" || !revoked[name] {
				subject := name
				if subject == "" {
					subject = "database " + r.Name
				}
				fs = append(fs, ledger.Finding{
					Subject: subject, URN: r.URN, Problem: "lets every role of the server connect",
					Ledger: "only its owner may", Remedy: "Revoke PUBLIC with a grant of no privileges to the role public, object type database.",
				})
			}
		}
		return fs
	},
}
