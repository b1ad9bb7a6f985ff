package rules

import (
	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var databaseProtection = Rule{
	Name:    "database-protection",
	Level:   Mandatory,
	Refuses: "a database or a role without protect, and one that is seen not to be retained on delete",
	Why:     "The provider deletes with DROP DATABASE … WITH (FORCE) and DROP OWNED. A renamed resource must not cost an app its data. The Pulumi engine shows a policy pack only protect; retain-on-delete is judged where it can be seen, by `alorig check`.",
	Seed:    "§12 critical rule 3",
	Unknown: "Does not arise: both are options of the resource, known from the start.",
	Remedy:  "Declare the database through `components.Database`. To really drop one, take a backup, then `pulumi state unprotect` it, and drop it by hand.",
	Resource: func(_ *Fleet, r declared.Resource) []ledger.Finding {
		if r.Type != declared.TypeDatabase && r.Type != declared.TypeRole {
			return nil
		}
		name, _ := declared.Read[string](r.Props, "name")
		if name == "" {
			name = r.Name
		}
		p := ledger.Report{Subject: name}
		if !r.Protect {
			p.Add("is not protected", "a database and its role are deleted by hand only", "Set pulumi.Protect(true).")
		}
		if r.RetainOnDelete != nil && !*r.RetainOnDelete {
			p.Add("is not retained on delete", "a database and its role are deleted by hand only", "Set pulumi.RetainOnDelete(true).")
		}
		return p.Findings
	},
}
