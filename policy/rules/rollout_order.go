package rules

import (
	"maps"
	"slices"
	"strings"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
)

var rolloutOrder = Rule{
	Name:    "rollout-order",
	Level:   Mandatory,
	Refuses: "an app without every earlier one, an app beyond the rollout, and an app of the rollout that is not declared or lacks one of its containers, databases, roles, logins or its gate",
	Why:     "Apps start one at a time, each on a server that has carried the ones before it.",
	Seed:    "§2 deployment order, §12 critical rule 1",
	Unknown: "Refuses: how far the rollout has come must be known.",
	Remedy:  "Set `alorig:rollout` to the app that the server has come to. Move it by one app, and only after the one before has been stable for 24 hours.",
	Stack: func(f *Fleet, rs []declared.Resource) []ledger.Finding {
		p := ledger.Report{Subject: "rollout"}
		servers := ofType(rs, ledger.TypeServer)
		if len(servers) == 0 {
			return nil // the rule ledger-declared refuses the stack
		}
		rollout, state := declared.Read[string](servers[0].Props, "rollout")
		last, known := f.place[rollout]
		switch {
		case state == declared.Unknown, state == declared.WrongType:
			p.Add(unreadable("rollout", state), "it names the app that the server has come to", "Set alorig:rollout in the configuration.")
			return p.Findings
		case rollout == "":
			last = -1
		case !known:
			return nil // the rule ledger-declared refuses it
		}
		components, containers := map[string]bool{}, map[string]bool{}
		databases, roles := map[string]bool{}, map[string]bool{}
		logins := map[string]bool{} // by the role as which they log in
		gated := carriedOut(rs, ledger.TypeGate, document.AwaitReady)
		seen := map[string]bool{}
		for _, r := range rs {
			switch r.Type {
			case ledger.TypeApp:
				app, state := declared.Read[string](r.Props, "app")
				if state != declared.Known {
					p.Subject = "App " + r.Name
					p.Add("has no app"+describe(state), "an App component names its app", "Set app to the app's name in the ledger.")
				}
				components[app] = true
				seen[app] = true
			case declared.TypeContainer:
				containers[containerName(r)] = true
				seen[owningApp(f, r)] = true
			case declared.TypeDatabase:
				name, _ := declared.Read[string](r.Props, "name")
				databases[name] = true
			case declared.TypeRole:
				name, _ := declared.Read[string](r.Props, "name")
				roles[name] = true
				if owned, ok := f.LoginNamed(name); ok {
					logins[owned.Role] = true
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(seen)) {
			p.Subject = name
			place, known := f.place[name]
			if known && place > last {
				p.Add("is declared", reached(rollout), "Wait, or set alorig:rollout to "+name+" once every earlier app is stable.")
			} else if !known && components[name] && name != "" {
				p.Add("is declared as an app", "the ledger has no such app", "Add it to internal/ledger/alorig.go.")
			}
		}
		for _, app := range f.Apps[:last+1] {
			p.Subject = app.Name
			if !components[app.Name] {
				p.Add("is not declared", reached(rollout)+", and apps start in the ledger's order", "Declare it, or take alorig:rollout back.")
				continue
			}
			var missing []string
			for _, c := range app.Containers {
				if name := ledger.ContainerName(app.Name, c.Role); !containers[name] {
					missing = append(missing, name)
				}
			}
			for _, d := range app.Databases {
				if !databases[d.Name] {
					missing = append(missing, "the database "+d.Name)
				}
				if !roles[d.Role] {
					missing = append(missing, "the role "+d.Role)
				}
				if !logins[d.Role] {
					missing = append(missing, "a login of the role "+d.Role)
				}
			}
			if len(missing) > 0 {
				p.Add("lacks "+strings.Join(missing, ", "), "the ledger gives them to the app", "Declare them, or take them out of the ledger.")
			}
			if !gated[app.Name] {
				p.Add("has no gate", "the next app waits until every container of this one is healthy", "Declare it through components.App, which ends in a Gate.")
			}
		}
		return p.Findings
	},
}

func reached(rollout string) string {
	if rollout == "" {
		return "the rollout has not come to any app"
	}
	return "the rollout has come to " + rollout
}
