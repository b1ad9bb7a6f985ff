package settings

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/distribution/reference"
)

// Documentation values stand in the committed Pulumi.prod.yaml for what only the owner
// knows. They preview; they must not reach a server.
var documentationRanges = []netip.Prefix{ // RFC 5737
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
}

const (
	documentationZone    = "000000000000000000000000" // start of a zone id
	documentationHostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)

// RefuseDocumentationValues reports every setting that still holds one, as a
// [*Error].
func (s Settings) RefuseDocumentationValues() error {
	var problems []Problem
	bad := func(path, value, accepts, example string) {
		problems = append(problems, Problem{
			Key: Project + ":" + path, Problem: fmt.Sprintf("is still the documentation value %q", value), Accepts: accepts, Remedy: set(path, example),
		})
	}
	if a, err := netip.ParseAddr(s.Address); err == nil && isDocumentation(a) {
		bad("serverAddress", s.Address, "the server's own address", "ADDRESS")
	}
	if s.SSH != nil && strings.HasPrefix(s.SSH.HostKey, documentationHostKey) {
		bad("ssh.hostKey", s.SSH.HostKey, "the server's own key (ssh-keyscan -t ed25519 SERVER)", "'ssh-ed25519 AAAA…'")
	}
	for _, domain := range slices.Sorted(maps.Keys(s.Zones)) {
		if strings.HasPrefix(s.Zones[domain], documentationZone) {
			bad(member("zones", domain), s.Zones[domain], "the zone's own id", "ZONE_ID")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Images)) {
		named, err := reference.ParseNormalizedNamed(s.Images[name])
		if err == nil && isDocumentationHost(reference.Domain(named)) {
			bad(member("images", name), s.Images[name], "an image of your registry", "REGISTRY/"+name+"@sha256:DIGEST")
		}
	}
	for i, c := range s.AdminCIDRs {
		if isDocumentation(c.Addr()) {
			bad(index("adminCidrs", i), c.String(), "the administrators' own addresses", "ADDRESS/32")
		}
	}
	if _, host, _ := strings.Cut(s.ACMEEmail, "@"); isDocumentationHost(host) {
		bad("acmeEmail", s.ACMEEmail, "an address somebody reads", "ADDRESS")
	}
	if len(problems) > 0 {
		return &Error{problems}
	}
	return nil
}

func isDocumentation(a netip.Addr) bool {
	return slices.ContainsFunc(documentationRanges, func(r netip.Prefix) bool { return r.Contains(a) })
}

// isDocumentationHost reports a name, with or without a port, that RFC 2606 keeps for
// examples.
func isDocumentationHost(host string) bool {
	host, _, _ = strings.Cut(host, ":")
	for _, reserved := range []string{"example", "example.com", "example.net", "example.org"} {
		if host == reserved || strings.HasSuffix(host, "."+reserved) {
			return true
		}
	}
	return false
}
