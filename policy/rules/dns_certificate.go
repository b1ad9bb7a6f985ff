package rules

import (
	"fmt"
	"strings"

	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
)

var dnsCertificate = Rule{
	Name:    "dns-certificate",
	Level:   Mandatory,
	Refuses: "a proxied name more than one level below its zone, a proxied record with a TTL other than 1, and a declared app's host that no record answers for, or that a more specific record cuts off from its wildcard",
	Why:     "Cloudflare's free certificate covers the apex and one level: a deeper proxied name shows visitors a certificate error. It refuses another TTL only at apply, in the middle of an update. And a record for schools.alorig.com silently ends *.alorig.com for everything below it.",
	Seed:    "§1 DNS in Cloudflare (free tier), §6 and §9 Caddy routes; field experience",
	Unknown: "Refuses: whether a name is proxied decides which certificate it needs.",
	Remedy:  "Set `Proxied` to false in `internal/ledger/alorig.go`: Caddy then serves its own certificate, by the DNS challenge. Give a host that is cut off a record of its own.",
	Resource: func(f *Fleet, r declared.Resource) []ledger.Finding {
		if r.Type != declared.TypeRecord {
			return nil
		}
		p := ledger.Report{Subject: recordSubject(r)}
		proxied, state := declared.Read[bool](r.Props, "proxied")
		if problem := unreadable("proxied", state); problem != "" {
			p.Add(problem, "it decides which certificate the name needs", "Take proxied from the ledger.")
			return p.Findings
		}
		if !proxied {
			return nil
		}
		name, _ := declared.Read[string](r.Props, "name")
		if zone := zoneOf(f, name); zone != "" && ledger.CertificateFor(name, zone) == ledger.CertificateOrigin {
			p.Add("is proxied and more than one level below "+zone, "the free certificate covers the apex and one level",
				"Set proxied to false; Caddy then serves its own certificate.")
		}
		if ttl, state := declared.ReadInt(r.Props, "ttl"); state != declared.Absent && ttl != 1 {
			found := fmt.Sprintf("is proxied with the TTL %d", ttl)
			if problem := unreadable("ttl", state); problem != "" {
				found = "is proxied and its " + problem
			}
			p.Add(found, "Cloudflare takes only TTL 1, automatic, for a proxied record", "Set ttl to 1.")
		}
		return p.Findings
	},
	Stack: func(f *Fleet, rs []declared.Resource) []ledger.Finding {
		present := map[string]bool{}
		for _, r := range rs {
			if r.Type == declared.TypeRecord {
				name, _ := declared.Read[string](r.Props, "name")
				present[name] = true
			}
		}
		var fs []ledger.Finding
		for _, r := range ofType(rs, ledger.TypeApp) {
			name, _ := declared.Read[string](r.Props, "app")
			app, _ := f.appNamed(name)
			for _, h := range app.Hosts {
				if problem := unanswered(present, h.Name); problem != "" {
					fs = append(fs, ledger.Finding{
						Subject: h.Name, URN: r.URN, Problem: problem,
						Ledger: "the host belongs to " + app.Name, Remedy: "Declare a record of its own through components.Domain.",
					})
				}
			}
		}
		return fs
	},
}

// zoneOf is the zone a host lies in: the ledger's for the host, else the longest of
// its zones that the name ends in; "" when it lies in none.
func zoneOf(f *Fleet, host string) string {
	if h, ok := f.HostNamed(host); ok {
		return h.Zone
	}
	for name := host; name != ""; _, name, _ = strings.Cut(name, ".") {
		if f.zones[name] {
			return name
		}
	}
	return ""
}

// unanswered says why no record answers for the host; "" when one does. Only names
// above the host can, so the rest of the zone is not looked at.
func unanswered(present map[string]bool, host string) string {
	var related []string // from the host upwards
	for name := strings.TrimPrefix(host, "*."); name != ""; _, name, _ = strings.Cut(name, ".") {
		for _, candidate := range []string{name, "*." + name} {
			if present[candidate] {
				related = append(related, candidate)
			}
		}
	}
	wildcard := ""
	for _, pattern := range related {
		if ledger.Covers(pattern, host, related) {
			return ""
		}
		if parent, ok := strings.CutPrefix(pattern, "*."); ok && wildcard == "" && strings.HasSuffix(host, "."+parent) {
			wildcard = pattern
		}
	}
	if wildcard != "" {
		return "the record of " + strings.TrimPrefix(related[0], "*.") + " cuts it off from its wildcard " + wildcard
	}
	return "no record answers for it"
}
