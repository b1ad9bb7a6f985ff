package caddysite

import (
	"fmt"
	"net/netip"
	"regexp"

	"github.com/alorig/fleet/internal/ledger"
)

// MainOptions are what the main Caddyfile depends on.
type MainOptions struct {
	TLS TLS
	// Email is what the certificate authority knows the account by; it may be empty.
	Email string
	// TrustedProxies may say which client they speak for. Nil: Cloudflare's addresses.
	TrustedProxies []netip.Prefix
}

var emailPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)

// RenderMain returns the main Caddyfile for a server whose Caddy we create ourselves.
// It imports every file that [ledger.SitesDir] holds.
func RenderMain(o MainOptions) (string, error) {
	if err := o.TLS.check(); err != nil {
		return "", err
	}
	if o.Email != "" && !emailPattern.MatchString(o.Email) {
		return "", fmt.Errorf("the e-mail address %q cannot be written into a Caddyfile; give one such as ops@alorig.com, or none", o.Email)
	}
	proxies := o.TrustedProxies
	if proxies == nil {
		proxies = CloudflareRanges()
	}
	for _, p := range proxies {
		if !p.IsValid() || p.Bits() == 0 {
			return "", fmt.Errorf("the trusted proxy range %q would let any client name itself; give ranges such as 173.245.48.0/20", p)
		}
	}
	var w writer
	w.comment("Rendered from the ledger, do not edit.")
	w.block(nil, func() {
		// Localhost is the container's own: containers of the app network cannot reach it,
		// `docker exec` can.
		w.line("admin", "localhost:2019")
		if o.Email != "" {
			w.line("email", o.Email)
		}
		if o.TLS == Internal {
			// Nothing in the container needs to trust the sandbox's authority.
			w.line("skip_install_trust")
		}
		// Unlimited by default: one open download would hold up every stop.
		w.line("grace_period", "30s")
		w.block([]string{"servers"}, func() {
			if len(proxies) > 0 {
				w.line(append([]string{"trusted_proxies", "static"}, prefixWords(proxies)...)...)
				w.line("trusted_proxies_strict")
			}
			w.line("client_ip_headers", "CF-Connecting-IP", "X-Forwarded-For")
		})
	})
	w.blank()
	// Health checks ask from inside the container; nobody else calls it localhost.
	w.block([]string{"http://localhost"}, func() {
		w.line("respond", "/health", "200")
		w.line("respond", "404")
	})
	w.blank()
	w.line("import", ledger.SitesDir+"/*.caddy")
	return w.String(), nil
}
