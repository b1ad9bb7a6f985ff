package rules

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"github.com/alorig/fleet/internal/caddysite"
	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
)

var routeAllocation = Rule{
	Name:    "route-allocation",
	Level:   Mandatory,
	Refuses: "one host and path served twice, an upstream that is not the app's own container and port, a site file that is not the one the ledger renders, an app without a route or with two, and a command that configures a reverse proxy outside a Route",
	Why:     "Whoever writes a site file decides which container answers for a host. Only the ledger may, so the text that reaches the server is compared with the ledger's own rendering.",
	Seed:    "Caddy routes of §4 to §9, §11 acceptance criteria: no domain conflicts",
	Unknown: "Refuses: a site file that is not known at preview cannot be compared.",
	Remedy:  "Change `Routes` of the app in `internal/ledger/alorig.go`; `components.Route` renders the file from it.",
	Resource: func(f *Fleet, r declared.Resource) []ledger.Finding {
		p := ledger.Report{}
		switch {
		case r.Type == ledger.TypeRoute:
			p.Subject = "Route " + r.Name
			if rendered, ok := renderedSite(f, r, &p); ok {
				compareSite(rendered, r.Props.Get("site"), "site", &p)
			}
		case strings.HasPrefix(r.Type, "command:") && typeOfURN(r.Parent) == ledger.TypeRoute:
			// The stack rule compares the text; what it sees, the provider may leave unknown.
			p.Subject = "command " + r.Name
			if _, state := declared.Read[string](r.Props, "stdin"); state != declared.Known {
				p.Add("has no stdin"+describe(state), "the site file comes from the ledger", "Let components.Route render it.")
			}
		case strings.HasPrefix(r.Type, "command:"):
			p.Subject = "command " + r.Name
			for _, key := range []string{"create", "update", "delete", "stdin", "environment"} {
				if anyText(r.Props.Get(key), func(s string) bool { return strings.Contains(s, "reverse_proxy") }) {
					p.Add("configures a reverse proxy in "+key, "routes are written by Route components alone", "Add the route to the ledger.")
				}
			}
		}
		return p.Findings
	},
	Stack: func(f *Fleet, rs []declared.Resource) []ledger.Finding {
		var fs []ledger.Finding
		rendered := map[string]string{} // by the URN of the Route
		routed, placed := map[string]bool{}, carriedOut(rs, ledger.TypeRoute, document.PutSite)
		for _, r := range ofType(rs, ledger.TypeRoute) {
			p := ledger.Report{Subject: "Route " + r.Name}
			if text, ok := renderedSite(f, r, &p); ok {
				rendered[r.URN] = text
			}
			app, _ := declared.Read[string](r.Props, "app")
			p.Findings = nil // what is wrong with one Route, its resource rule has said
			if routed[app] && app != "" {
				p.Add("is a second Route of "+app, "an app has one site file", "Drop one of the two.")
			}
			routed[app] = true
			fs = append(fs, at(r, p.Findings)...)
		}
		for _, r := range ofType(rs, ledger.TypeApp) {
			app, _ := declared.Read[string](r.Props, "app")
			p := ledger.Report{Subject: app}
			switch {
			case app == "":
			case !routed[app]:
				p.Add("has no Route", "every app of the ledger answers for its hosts", "Declare components.Route for it.")
			case !placed[app]:
				p.Add("has a site file that no command puts in place", "every app of the ledger answers for its hosts", "Let components.Route put it there.")
			}
			fs = append(fs, at(r, p.Findings)...)
		}
		for _, r := range ofType(rs, declared.TypeRemoteCommand, declared.TypeLocalCommand) {
			text, ok := rendered[r.Parent]
			stdin := r.Props.Get("stdin")
			if !ok || stdin.IsComputed() {
				continue
			}
			p := ledger.Report{Subject: "command " + r.Name}
			compareDocument(text, stdin, &p)
			fs = append(fs, at(r, p.Findings)...)
		}
		return fs
	},
}

// renderedSite is the site file that the ledger gives the Route's app.
func renderedSite(f *Fleet, r declared.Resource, p *ledger.Report) (string, bool) {
	name, state := declared.Read[string](r.Props, "app")
	app, ok := f.appNamed(name)
	if state != declared.Known || !ok {
		problem := "is a route of " + name
		if state != declared.Known {
			problem = "has no app" + describe(state)
		}
		p.Add(problem, "a Route belongs to an app of the ledger", "Set app to the app's name.")
		return "", false
	}
	tls, state := declared.Read[string](r.Props, "tls")
	if problem := unreadable("tls", state); problem != "" {
		p.Add(problem, "the site file depends on it", "Give tls in plain text.")
		return "", false
	}
	ranges, state := declared.ReadStrings(r.Props, "adminCidrs")
	if problem := unreadable("adminCidrs", state); problem != "" {
		p.Add(problem, "the site file depends on it", "Give adminCidrs in plain text.")
		return "", false
	}
	options := caddysite.Options{TLS: caddysite.TLS(tls)}
	for i, text := range ranges {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			p.Add(fmt.Sprintf("has no address range in adminCidrs[%d]", i), "an administrator's range looks like 203.0.113.7/32", "Correct alorig:adminCidrs.")
			return "", false
		}
		options.AdminCIDRs = append(options.AdminCIDRs, prefix)
	}
	text, err := caddysite.Render(app, options)
	if err != nil {
		p.Add("cannot be rendered: "+err.Error(), "the site file comes from the ledger", "Correct the ledger or the Route's options.")
		return "", false
	}
	return text, true
}

// compareDocument refuses a document for the server's program whose site file is not the
// ledger's.
func compareDocument(want string, v property.Value, p *ledger.Report) {
	text, state := declared.As[string](v)
	if state != declared.Known {
		p.Add("has no stdin"+describe(state), "the site file comes from the ledger", "Let components.Route render it.")
		return
	}
	var site document.Site
	if _, err := document.Read([]byte(text), document.PutSite, &site); err != nil {
		p.Add("has a stdin that cannot be read: "+err.Error(), "the site file comes from the ledger", "Let components.Route write the document.")
		return
	}
	compareSite(want, property.New(site.Text).WithSecret(v.Secret()), "stdin", p)
}

// compareSite refuses a site file that is not the ledger's, and shows the first line
// that differs.
func compareSite(want string, v property.Value, path string, p *ledger.Report) {
	got, state := declared.As[string](v)
	if state != declared.Known {
		p.Add("has no "+path+describe(state), "the site file comes from the ledger", "Let components.Route render it.")
		return
	}
	if got == want {
		return
	}
	line, ours, theirs := firstDifference(want, got)
	shown := fmt.Sprintf("%q", theirs)
	if v.Secret() || carriesCredential(theirs) {
		shown = "another text"
	}
	p.Add(fmt.Sprintf("has %s in line %d of %s", shown, line, path), fmt.Sprintf("the ledger renders %q", ours), "Change the ledger, not the site file.")
}

func firstDifference(want, got string) (line int, ours, theirs string) {
	for line = 1; ; line++ {
		var moreWant, moreGot bool
		ours, want, moreWant = strings.Cut(want, "\n")
		theirs, got, moreGot = strings.Cut(got, "\n")
		if ours != theirs || !moreWant && !moreGot {
			return line, strings.TrimSpace(ours), strings.TrimSpace(theirs)
		}
	}
}

// typeOfURN is the type of the resource that a URN names.
func typeOfURN(urn string) string {
	parts := strings.SplitN(urn, "::", 4)
	if len(parts) < 4 {
		return ""
	}
	return parts[2][strings.LastIndex(parts[2], "$")+1:]
}
