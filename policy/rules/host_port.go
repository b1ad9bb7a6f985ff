package rules

import (
	"fmt"
	"slices"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var hostPort = Rule{
	Name:    "host-port",
	Level:   Mandatory,
	Refuses: "a published host port on anything but Caddy's 80 and 443, and publishAllPorts",
	Why:     "A published port bypasses the server's firewall, so a database or an app behind it is open to the internet. Everything is reached through Caddy.",
	Seed:    "§1 shared infrastructure, §12 critical rule 5",
	Unknown: "Refuses: a port that is not known may be any.",
	Remedy:  "Drop the port. Caddy reaches an app by container name over `alorig_net`; the operator reaches PostgreSQL by `alorig connect`.",
	Resource: func(f *Fleet, r declared.Resource) []ledger.Finding {
		if r.Type != declared.TypeContainer {
			return nil
		}
		p := ledger.Report{Subject: containerSubject(r)}
		s, _ := f.ServiceNamed(containerName(r))
		says, remedy := "the ledger publishes no port of it", "Drop the port: Caddy reaches it over "+f.Server.Network+"."
		if len(s.HostPorts) > 0 {
			says = fmt.Sprintf("the ledger publishes its ports %v over TCP, and 443 over UDP too, unmapped", s.HostPorts)
			remedy = "Publish those and no others."
		}
		if all, state := declared.Read[bool](r.Props, "publishAllPorts"); all || state == declared.Unknown || state == declared.WrongType {
			p.Add("publishes all its ports, or may", says, "Leave publishAllPorts unset.")
		}
		ports, state := declared.ReadMaps(r.Props, "ports")
		if problem := unreadable("ports", state); problem != "" {
			p.Add(problem, says, remedy)
		}
		for i, port := range ports {
			external, state := declared.ReadInt(port, "external")
			if state != declared.Known {
				p.Add(fmt.Sprintf("publishes ports[%d], which has no external port%s", i, describe(state)), says, remedy)
				continue
			}
			internal, _ := declared.ReadInt(port, "internal")
			protocol, state := declared.Read[string](port, "protocol")
			if state == declared.Absent {
				protocol = "tcp"
			}
			allowed := slices.Contains(s.HostPorts, external) && internal == external &&
				(protocol == "tcp" || protocol == "udp" && external == 443)
			if !allowed {
				p.Add(fmt.Sprintf("publishes port %d/%s of the server", external, protocol), says, remedy)
			}
		}
		return p.Findings
	},
}
