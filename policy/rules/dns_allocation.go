package rules

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var dnsAllocation = Rule{
	Name:    "dns-allocation",
	Level:   Mandatory,
	Refuses: "a DNS record for a host that the ledger does not give to an app, of another type than A, in another zone than the host's, declared twice, proxied otherwise than the ledger says, or pointing elsewhere than the server",
	Why:     "A record is how the public finds an app. One that the ledger does not know takes over a name, or a part of the wildcard, that belongs to somebody else.",
	Seed:    "§1 DNS, Caddy routes of §4 to §9",
	Unknown: "Refuses: a name, zone, type or address that is not known may be any.",
	Remedy:  "Declare records through `components.Domain`, with the whole host name. A new host is an entry in `Hosts` of its app in `internal/ledger/alorig.go` first.",
	Resource: func(f *Fleet, r declared.Resource) []ledger.Finding {
		if r.Type != declared.TypeRecord {
			return nil
		}
		p := ledger.Report{Subject: recordSubject(r)}
		name, state := declared.Read[string](r.Props, "name")
		h, inLedger := f.HostNamed(name)
		switch {
		case state != declared.Known:
			p.Add("has no name"+describe(state), "every record answers for a host of the ledger", "Set name to the whole host name.")
		case !strings.Contains(name, "."):
			p.Add("has a name relative to its zone", "a record is judged by its whole host name", "Write the whole host name.")
		case !inLedger:
			p.Add("is a host that the ledger gives to no app", "every record answers for a host of the ledger", "Add the host to its app in internal/ledger/alorig.go, or drop the record.")
		}
		if kind, state := declared.Read[string](r.Props, "type"); state != declared.Known || kind != "A" {
			found := "has no type" + describe(state)
			if state == declared.Known {
				found = "is a record of type " + kind
			}
			p.Add(found, "a host points at the server by an A record", "Set type to A.")
		}
		if content, state := declared.Read[string](r.Props, "content"); state != declared.Known || !isIPv4(content) {
			found := "has no content" + describe(state)
			if state == declared.Known {
				found = "points at " + content
			}
			p.Add(found, "a host points at the server's IPv4 address", "Set content, not value, to the server's address.")
		}
		if zone, state := declared.Read[string](r.Props, "zoneId"); state != declared.Known || zone == "" {
			p.Add("has no zoneId"+describe(state), "a record lives in its host's zone", "Take the zone id from the configuration.")
		}
		if proxied, state := declared.Read[bool](r.Props, "proxied"); inLedger && (proxied != h.Proxied || state == declared.Unknown || state == declared.WrongType) {
			found := fmt.Sprintf("has proxied %t", proxied)
			if problem := unreadable("proxied", state); problem != "" {
				found = problem
			}
			p.Add(found, fmt.Sprintf("the ledger says %t", h.Proxied), "Take proxied from the ledger.")
		}
		return p.Findings
	},
	Stack: func(f *Fleet, rs []declared.Resource) []ledger.Finding {
		records := ofType(rs, declared.TypeRecord)
		if len(records) == 0 {
			return nil
		}
		server, zones, fs := addressAndZones(rs)
		if fs != nil {
			return fs
		}
		first := map[string]string{}
		for _, r := range records {
			p := ledger.Report{Subject: recordSubject(r)}
			name, _ := declared.Read[string](r.Props, "name")
			if other, taken := first[name]; taken && name != "" {
				p.Add("is declared twice, as "+other+" and as "+r.Name, "a host has one record", "Drop one of the two.")
			}
			first[name] = r.Name
			if content, state := declared.Read[string](r.Props, "content"); state == declared.Known && content != server {
				p.Add("points at "+content, "the server is "+server, "Point it at the server.")
			}
			if h, ok := f.HostNamed(name); ok {
				want, state := declared.Read[string](zones, h.Zone)
				zone, _ := declared.Read[string](r.Props, "zoneId")
				if state != declared.Known || zone != want {
					p.Add("lies in another zone than "+h.Zone, "the Server component names the zone's id", "Take the zone id from the configuration (alorig:zones).")
				}
			}
			fs = append(fs, at(r, p.Findings)...)
		}
		return fs
	},
}

func recordSubject(r declared.Resource) string {
	if name, _ := declared.Read[string](r.Props, "name"); strings.Contains(name, ".") {
		return name
	}
	return "record " + r.Name
}

func isIPv4(s string) bool {
	address, err := netip.ParseAddr(s)
	return err == nil && address.Is4()
}

// addressAndZones reads the server's address and zones from the Server component.
func addressAndZones(rs []declared.Resource) (address string, zones property.Map, fs []ledger.Finding) {
	p := ledger.Report{Subject: "Server"}
	servers := ofType(rs, ledger.TypeServer)
	if len(servers) == 0 {
		p.Add("is not declared", "it names the server's address and zones, which records are held against", "Declare components.Server.")
		return "", zones, p.Findings
	}
	address, state := declared.Read[string](servers[0].Props, "serverAddress")
	if state != declared.Known || !isIPv4(address) {
		p.Add("has no serverAddress"+describe(state), "records point at the server's IPv4 address", "Set alorig:serverAddress in the configuration.")
	}
	zones, state = declared.Read[property.Map](servers[0].Props, "zones")
	if problem := unreadable("zones", state); problem != "" {
		p.Add(problem, "records lie in the zones of the configuration", "Set alorig:zones in the configuration.")
	}
	return address, zones, p.Findings
}
