package rules

import (
	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var databaseProtection = Rule{
	Name:    "database-protection",
	Level:   Mandatory,
	Refuses: "a database or a role that owns one without protect, one that is seen not to be retained on delete, and a login role that is either",
	Why:     "The provider deletes with DROP DATABASE … WITH (FORCE) and DROP OWNED. A renamed resource must not cost an app its data. A login role owns nothing and goes with its password: kept, it would let the old one in for ever. The Pulumi engine shows a policy pack only protect; retain-on-delete is judged where it can be seen, by `alorig check`.",
	Seed:    "§12 critical rule 3",
	Unknown: "Does not arise: both are options of the resource, known from the start.",
	Remedy:  "Declare the database through `components.Database`. To really drop one, take a backup, then `pulumi state unprotect` it, and drop it by hand.",
	Resource: func(f *Fleet, r declared.Resource) []ledger.Finding {
		if r.Type != declared.TypeDatabase && r.Type != declared.TypeRole {
			return nil
		}
		name, _ := declared.Read[string](r.Props, "name")
		if name == "" {
			name = r.Name
		}
		p := ledger.Report{Subject: name}
		if _, isLogin := f.LoginNamed(name); isLogin && r.Type == declared.TypeRole {
			if r.Protect {
				p.Add("is protected", "a login role goes with its password", "Leave pulumi.Protect unset.")
			}
			if r.RetainOnDelete != nil && *r.RetainOnDelete {
				p.Add("is retained on delete", "a login role goes with its password", "Leave pulumi.RetainOnDelete unset.")
			}
			return p.Findings
		}
		if !r.Protect {
			p.Add("is not protected", "a database and its role are deleted by hand only", "Set pulumi.Protect(true).")
		}
		if r.RetainOnDelete != nil && !*r.RetainOnDelete {
			p.Add("is not retained on delete", "a database and its role are deleted by hand only", "Set pulumi.RetainOnDelete(true).")
		}
		return p.Findings
	},
}
