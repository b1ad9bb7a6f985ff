package ledger

import (
	"fmt"
	"slices"
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

// claim is a route, and the app that has it.
type claim struct {
	app string
	Route
}

func checkRouting(l Ledger, report *Report) {
	owner := map[string]string{}
	claims := map[string][]claim{} // by host
	for _, a := range l.Apps {
		for _, h := range a.Hosts {
			checkHost(a, h, owner[h.Name], report)
			owner[h.Name] = a.Name
		}
		for _, r := range a.Routes {
			checkRoute(a, r, claims[r.Host], report)
			claims[r.Host] = append(claims[r.Host], claim{a.Name, r})
		}
		for _, h := range a.Hosts {
			if len(claims[h.Name]) == 0 {
				report.About("route-allocation", h.Name).Add("belongs to "+a.Name+" but nothing serves it", "every host has a route", "Add a route or drop the host.")
			}
		}
	}
}

// checkHost judges a host of an app. earlier is the app that has it already, if any.
func checkHost(a App, h Host, earlier string, report *Report) {
	report.About("dns-allocation", h.Name)
	if !hostNamePattern.MatchString(h.Name) {
		report.Add("is no host name", "lower-case labels joined by dots, with \"*.\" at most at the start", "Correct Hosts of "+a.Name+".")
	}
	if earlier != "" {
		report.Add("belongs to "+a.Name+" and to "+earlier, "a host belongs to one app", "Give it to one of them.")
	}
	switch CertificateFor(h.Name, h.Zone) {
	case CertificateNone:
		report.Add("does not lie in zone "+h.Zone, "a record lives in the zone its name ends in", "Correct Zone.")
	case CertificateOrigin:
		if h.Proxied {
			report.About("dns-certificate", h.Name).Add("is proxied and more than one level below "+h.Zone,
				"the free certificate covers the apex and one level", "Set Proxied to false; Caddy then serves its own certificate.")
		}
	case CertificateEdge:
	}
}

// checkRoute judges a route of an app. claims are the routes of the same host before it.
func checkRoute(a App, r Route, claims []claim, report *Report) {
	report.About("route-allocation", r.Key())
	if !slices.ContainsFunc(a.Hosts, func(h Host) bool { return h.Name == r.Host }) {
		report.Add("is routed by "+a.Name+", which does not own the host", "an app routes its own hosts", "Add the host to "+a.Name+" or drop the route.")
	}
	if r.Path != "" && !pathPattern.MatchString(r.Path) {
		report.Add(fmt.Sprintf("has the path %q", r.Path), "a path starts with \"/\", ends without one, and has lower-case segments", "Correct Path.")
	}
	switch {
	case (r.Static == "") == (r.Upstream == ""):
		report.Add("has no single target", "a route is served by a static build or by one container", "Set either Static or Upstream.")
	case r.Static != "" && !staticPattern.MatchString(r.Static):
		report.Add(fmt.Sprintf("names the static build %q", r.Static), "lower-case letters, digits and dashes", "Correct Static.")
	case r.Upstream != "":
		name := ContainerName(a.Name, r.Upstream)
		if c, ok := a.Container(r.Upstream); !ok {
			report.Add("goes to "+name+", which "+a.Name+" does not have", "an upstream is a container of the same app", "Correct Upstream.")
		} else if c.Port == 0 {
			report.Add("goes to "+name+", which listens on no port", "an upstream is a container that serves", "Correct Upstream.")
		}
	}
	for _, c := range claims {
		if r.Overlaps(c.Route) {
			report.Add("is served twice: also as "+c.Key()+" by "+c.app, "one host and path has one server", "Drop one of the two routes.")
		}
	}
}
