package ledger

import (
	"fmt"
	"strings"
)

// Certificate tells who can hold a valid certificate for a host.
type Certificate string

// The free Cloudflare plan's certificate covers a zone's apex and one level below
// it; anything deeper must be DNS-only, with a certificate that Caddy gets itself.
const (
	CertificateEdge   Certificate = "edge"   // Cloudflare's universal certificate
	CertificateOrigin Certificate = "origin" // Caddy's own, by the DNS challenge
	CertificateNone   Certificate = "none"   // the name does not lie in the zone
)

// CertificateFor returns the certificate that can serve host in zone to the public.
func CertificateFor(host, zone string) Certificate {
	if host == zone {
		return CertificateEdge
	}
	below, inZone := strings.CutSuffix(host, "."+zone)
	switch {
	case !inZone:
		return CertificateNone
	case strings.Contains(below, "."):
		return CertificateOrigin
	default:
		return CertificateEdge
	}
}

// Covers reports whether a DNS record for pattern, which may start with "*.",
// answers for host when the zone also holds the records in others. A wildcard
// answers at any depth below its parent, but not at or below a name between the two
// that exists in its own right (RFC 4592).
func Covers(pattern, host string, others []string) bool {
	if pattern == host {
		return true
	}
	parent, isWildcard := strings.CutPrefix(pattern, "*.")
	if !isWildcard || !strings.HasSuffix(host, "."+parent) {
		return false
	}
	for _, o := range others {
		if o == pattern {
			continue
		}
		// A name exists as soon as one below it does: with "a.b.c.d" or "*.b.c.d" there,
		// "*.c.d" answers for neither "b.c.d" nor anything below it.
		below, inside := strings.CutSuffix(strings.TrimPrefix(o, "*."), "."+parent)
		if !inside {
			continue
		}
		exists := below[strings.LastIndex(below, ".")+1:] + "." + parent
		if host == exists || strings.HasSuffix(host, "."+exists) {
			return false
		}
	}
	return true
}

// Key identifies what a route answers for.
func (r Route) Key() string { return r.Host + r.Path }

// Overlaps reports whether two routes of one host claim the same path: equal ones,
// or one below the other.
func (r Route) Overlaps(o Route) bool {
	if r.Host != o.Host {
		return false
	}
	below := func(a, b string) bool { return a == b || a == "" || strings.HasPrefix(b, a+"/") }
	return below(r.Path, o.Path) || below(o.Path, r.Path)
}

func checkRouting(l Ledger) []Finding {
	var fs []Finding
	owner := map[string]string{}
	type claim struct {
		app string
		Route
	}
	claims := map[string][]claim{} // by host
	for _, a := range l.Apps {
		for _, h := range a.Hosts {
			bad := func(rule, problem, says, remedy string) {
				fs = append(fs, Finding{Rule: rule, Subject: h.Name, Problem: problem, Ledger: says, Remedy: remedy})
			}
			if !hostNamePattern.MatchString(h.Name) {
				bad("dns-allocation", "is no host name", "lower-case labels joined by dots, with \"*.\" at most at the start", "Correct Hosts of "+a.Name+".")
			}
			if o, taken := owner[h.Name]; taken {
				bad("dns-allocation", "belongs to "+a.Name+" and to "+o, "a host belongs to one app", "Give it to one of them.")
			}
			owner[h.Name] = a.Name
			switch CertificateFor(h.Name, h.Zone) {
			case CertificateNone:
				bad("dns-allocation", "does not lie in zone "+h.Zone, "a record lives in the zone its name ends in", "Correct Zone.")
			case CertificateOrigin:
				if h.Proxied {
					bad("dns-certificate", "is proxied and more than one level below "+h.Zone,
						"the free certificate covers the apex and one level", "Set Proxied to false; Caddy then serves its own certificate.")
				}
			case CertificateEdge:
			}
		}
		for _, r := range a.Routes {
			bad := func(problem, says, remedy string) {
				fs = append(fs, Finding{Rule: "route-allocation", Subject: r.Key(), Problem: problem, Ledger: says, Remedy: remedy})
			}
			owned := false
			for _, h := range a.Hosts {
				owned = owned || h.Name == r.Host
			}
			if !owned {
				bad("is routed by "+a.Name+", which does not own the host", "an app routes its own hosts", "Add the host to "+a.Name+" or drop the route.")
			}
			if r.Path != "" && !pathPattern.MatchString(r.Path) {
				bad(fmt.Sprintf("has the path %q", r.Path), "a path starts with \"/\", ends without one, and has lower-case segments", "Correct Path.")
			}
			switch {
			case (r.Static == "") == (r.Upstream == ""):
				bad("has no single target", "a route is served by a static build or by one container", "Set either Static or Upstream.")
			case r.Static != "" && !staticPattern.MatchString(r.Static):
				bad(fmt.Sprintf("names the static build %q", r.Static), "lower-case letters, digits and dashes", "Correct Static.")
			case r.Upstream != "":
				c, ok := a.Container(r.Upstream)
				if !ok {
					bad("goes to "+ContainerName(a.Name, r.Upstream)+", which "+a.Name+" does not have", "an upstream is a container of the same app", "Correct Upstream.")
				} else if c.Port == 0 {
					bad("goes to "+ContainerName(a.Name, r.Upstream)+", which listens on no port", "an upstream is a container that serves", "Correct Upstream.")
				}
			}
			for _, c := range claims[r.Host] {
				if r.Overlaps(c.Route) {
					bad("is served twice: also as "+c.Key()+" by "+c.app, "one host and path has one server", "Drop one of the two routes.")
				}
			}
			claims[r.Host] = append(claims[r.Host], claim{a.Name, r})
		}
		for _, h := range a.Hosts {
			if len(claims[h.Name]) == 0 {
				fs = append(fs, Finding{
					Rule: "route-allocation", Subject: h.Name, Problem: "belongs to " + a.Name + " but nothing serves it",
					Ledger: "every host has a route", Remedy: "Add a route or drop the host.",
				})
			}
		}
	}
	return fs
}
