// Package caddysite renders the ledger's routes as Caddyfiles: one site file per app,
// and the main Caddyfile of a server whose Caddy we create ourselves.
//
// A site file needs nothing of the Caddyfile that imports it, so a Caddyfile that we did
// not write can import it too. There is one exception. Behind Cloudflare a restricted route
// sees the address of Cloudflare, not the client's, and refuses everybody. It works only if
// the main Caddyfile trusts Cloudflare's addresses, as that of [RenderMain] does
// (docs/adr/0006-admin-restriction-behind-cloudflare.md).
package caddysite

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"

	"github.com/alorig/fleet/internal/ledger"
)

// DNSModule is the module of Caddy without which it gets no certificate by the DNS challenge.
const DNSModule = "dns.providers.cloudflare"

// TLS says who signs the certificates of the sites.
type TLS string

// The issuers a site file can name.
const (
	Cloudflare TLS = "cloudflare" // a public authority, by the DNS challenge at Cloudflare
	Internal   TLS = "internal"   // Caddy's own authority, for the sandbox
)

func (t TLS) check() error {
	if t != Cloudflare && t != Internal {
		return fmt.Errorf("TLS is %q; it is %q (public certificates by the DNS challenge) or %q (Caddy's own authority)", string(t), Cloudflare, Internal)
	}
	return nil
}

// Options are what a site file depends on besides the ledger.
type Options struct {
	TLS TLS
	// AdminCIDRs may reach restricted routes. An app with such a route needs one at least.
	AdminCIDRs []netip.Prefix
}

// Render returns the app's site file: one site block per host, in the ledger's order.
// Equal arguments give equal text.
func Render(app ledger.App, o Options) (string, error) {
	sites, err := Sites(app, o)
	if err != nil {
		return "", err
	}
	var w writer
	w.comment(app.Name + ": rendered from the ledger, do not edit.")
	w.blank()
	snippet := app.Name + "_site"
	writeCommon(&w, snippet, o.TLS)
	for _, s := range sites {
		w.blank()
		s.write(&w, snippet)
	}
	return w.String(), nil
}

// Site is one site block: a host and what answers there.
type Site struct {
	Host    string
	Handles []Handle // the most specific path first
}

// Handle is one route of a site. Either Root or Upstream is set.
type Handle struct {
	Path      string         // "" is the whole host; "/builder" is that path and all below
	Admins    []netip.Prefix // if any, nobody else is let in
	Root      string         // directory of a static build
	Upstream  string         // "container:port"
	Next      string         // the same of its next version, asked while the container cannot be reached
	AddPrefix string         // put before the path the upstream sees
	WebSocket bool
}

// Sites returns the model behind [Render], checked: nothing in it can be read by Caddy
// as anything but the name, path or address it is.
func Sites(app ledger.App, o Options) ([]Site, error) {
	if err := o.TLS.check(); err != nil {
		return nil, err
	}
	if err := checkText("app", app.Name, namePattern, nameForm); err != nil {
		return nil, err
	}
	admins, err := adminRanges(o.AdminCIDRs)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", app.Name, err)
	}
	var sites []Site
	index := map[string]int{}
	for _, r := range app.Routes {
		h, err := handle(app, r, admins)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", app.Name, err)
		}
		i, known := index[r.Host]
		if !known {
			i = len(sites)
			index[r.Host] = i
			sites = append(sites, Site{Host: r.Host})
		}
		for _, other := range sites[i].Handles {
			if other.Path == h.Path {
				return nil, fmt.Errorf("%s: %q is routed twice; one host and path has one server: drop one of the routes", app.Name, r.Key())
			}
		}
		sites[i].Handles = append(sites[i].Handles, h)
	}
	if len(sites) == 0 {
		return nil, fmt.Errorf("%s: has no routes, so there is nothing to render; add one or leave the site file out", app.Name)
	}
	for _, s := range sites {
		slices.SortStableFunc(s.Handles, func(a, b Handle) int {
			return cmp.Or(cmp.Compare(len(b.Path), len(a.Path)), cmp.Compare(a.Path, b.Path))
		})
	}
	return sites, nil
}

func handle(app ledger.App, r ledger.Route, admins []netip.Prefix) (Handle, error) {
	if err := checkText("host", r.Host, hostPattern, hostForm); err != nil {
		return Handle{}, err
	}
	h := Handle{Path: r.Path, AddPrefix: r.AddPrefix, WebSocket: r.WebSocket}
	if r.Path != "" {
		if err := checkText("path", r.Path, pathPattern, pathForm); err != nil {
			return Handle{}, fmt.Errorf("host %s: %w", r.Host, err)
		}
	}
	if r.AddPrefix != "" {
		if err := checkText("added prefix", r.AddPrefix, pathPattern, pathForm); err != nil {
			return Handle{}, fmt.Errorf("route %s: %w", r.Key(), err)
		}
	}
	if r.Restricted {
		if len(admins) == 0 {
			return Handle{}, fmt.Errorf("route %s is restricted to administrators, but no address range is given; name one at least, such as 203.0.113.7/32", r.Key())
		}
		h.Admins = admins
	}
	switch {
	case (r.Static == "") == (r.Upstream == ""):
		return Handle{}, fmt.Errorf("route %s has static build %q and upstream %q; a route has exactly one of the two", r.Key(), r.Static, r.Upstream)
	case r.Static != "":
		if err := checkText("static build", r.Static, namePattern, nameForm); err != nil {
			return Handle{}, fmt.Errorf("route %s: %w", r.Key(), err)
		}
		if r.AddPrefix != "" || r.WebSocket {
			return Handle{}, fmt.Errorf("route %s serves the static build %q, which takes neither a prefix nor WebSockets; set them on routes with an upstream", r.Key(), r.Static)
		}
		h.Root = ledger.StaticRoot(app.Name, r.Static)
	default:
		if err := checkText("upstream", string(r.Upstream), namePattern, nameForm); err != nil {
			return Handle{}, fmt.Errorf("route %s: %w", r.Key(), err)
		}
		container := ledger.ContainerName(app.Name, r.Upstream)
		upstream, ok := app.Container(r.Upstream)
		if !ok {
			return Handle{}, fmt.Errorf("route %s goes to %s, which %s does not have; name one of its containers", r.Key(), container, app.Name)
		}
		if upstream.Port < 1 || upstream.Port > 65535 {
			return Handle{}, fmt.Errorf("route %s goes to %s, whose port is %d; ports are 1 to 65535: give the container its port", r.Key(), container, upstream.Port)
		}
		port := ":" + strconv.Itoa(upstream.Port)
		h.Upstream, h.Next = container+port, ledger.NextName(container)+port
	}
	return h, nil
}

// What may be written into a Caddyfile without quotes. The ledger's own checks allow less;
// these protect against a ledger that nobody has checked.
var (
	hostPattern = regexp.MustCompile(`^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)
	pathPattern = regexp.MustCompile(`^(/[A-Za-z0-9][A-Za-z0-9._-]*)+$`)
	namePattern = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
)

const (
	hostForm = `lower-case labels joined by dots, with "*." at most at the start`
	pathForm = `"/" and a segment of letters, digits, ".", "_" and "-", any number of times`
	nameForm = `lower-case letters, digits, "_" and "-", a letter first`
)

func checkText(what, value string, pattern *regexp.Regexp, form string) error {
	if !pattern.MatchString(value) {
		return fmt.Errorf("the %s %q cannot be written into a Caddyfile; it takes %s: correct it in the ledger", what, value, form)
	}
	return nil
}

func adminRanges(given []netip.Prefix) ([]netip.Prefix, error) {
	ranges := make([]netip.Prefix, 0, len(given))
	for _, p := range given {
		if !p.IsValid() || p.Bits() == 0 {
			return nil, fmt.Errorf("the administrators' address range %q restricts nothing; give ranges such as 203.0.113.7/32 or 2001:db8::/48", p)
		}
		ranges = append(ranges, p.Masked())
	}
	slices.SortFunc(ranges, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	return slices.Compact(ranges), nil
}

func prefixWords(ps []netip.Prefix) []string {
	words := make([]string, len(ps))
	for i, p := range ps {
		words[i] = p.String()
	}
	return words
}

// matcher is the name of the path's matcher. It starts with a slash, so it never equals a
// name that is used inside the route: Caddy refuses a second definition.
func (h Handle) matcher() string { return "@" + h.Path }
