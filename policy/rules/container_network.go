package rules

import (
	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var containerNetwork = Rule{
	Name:    "container-network",
	Level:   Mandatory,
	Refuses: "a container that is not on the shared network alone, has a network mode of host, none or another container, or answers to another container's name",
	Why:     "Caddy reaches every app over one network by container name. A second network is a way around it, host mode publishes everything, and a foreign alias takes another app's traffic.",
	Seed:    "§1 shared infrastructure, §3 \"all compose files\", §12 critical rule 2",
	Unknown: "Refuses: a network that is not known may be any.",
	Remedy:  "Declare the container through `components.Workload`, which joins `alorig_net` and nothing else.",
	Resource: func(f *Fleet, r declared.Resource) []ledger.Finding {
		if r.Type != declared.TypeContainer {
			return nil
		}
		p := ledger.Report{Subject: containerSubject(r)}
		network := f.Server.Network
		remedy := "Join " + network + " and nothing else."
		joined, state := declared.ReadMaps(r.Props, "networksAdvanced")
		if problem := unreadable("networksAdvanced", state); problem != "" {
			p.Add(problem, "every container is on "+network, remedy)
		} else if len(joined) == 0 {
			p.Add("joins no network", "every container is on "+network, remedy)
		}
		for _, n := range joined {
			name, state := declared.Read[string](n, "name")
			switch {
			case state != declared.Known:
				p.Add("joins a network that has no name"+describe(state), "every container is on "+network, remedy)
			case name != network:
				p.Add("joins the network "+name, "every container is on "+network+" alone", remedy)
			}
			aliases, state := declared.ReadStrings(n, "aliases")
			if problem := unreadable("networksAdvanced.aliases", state); problem != "" {
				p.Add(problem, "an alias is a name on the network", "Give aliases as plain text.")
			}
			for _, alias := range aliases {
				_, isApp := f.ContainerNamed(alias)
				_, isService := f.ServiceNamed(alias)
				if (isApp || isService) && alias != containerName(r) {
					p.Add("answers to the name "+alias, "that is the name of another container", "Drop the alias.")
				}
			}
		}
		mode, state := declared.Read[string](r.Props, "networkMode")
		if problem := unreadable("networkMode", state); problem != "" {
			p.Add(problem, "the mode is bridge, or the network's own name", "Leave networkMode unset.")
		} else if mode != "" && mode != "bridge" && mode != network {
			p.Add("has the network mode "+mode, "the mode is bridge, or the network's own name", "Leave networkMode unset.")
		}
		return p.Findings
	},
}
