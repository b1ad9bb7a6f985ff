package stacks

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"golang.org/x/crypto/ssh"

	"github.com/alorig/fleet/internal/caddysite"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/shell"
	"github.com/alorig/fleet/internal/workload"
)

// Settings is the configuration of a stack. Pulumi.yaml documents every key; this file
// alone reads them.
type Settings struct {
	Rollout    string                // alorig:rollout; "" when it is "none"
	Platform   workload.PlatformMode // alorig:platform
	Address    string                // alorig:serverAddress, IPv4
	SSH        *SSH                  // alorig:ssh; nil with alorig:engine "local"
	Zones      map[string]string     // alorig:zones, zone ids by domain
	Images     map[string]string     // alorig:images, references by image name
	AdminCIDRs []netip.Prefix        // alorig:adminCidrs
	Postgres   Postgres              // alorig:postgres
	Registry   *Registry             // alorig:registry; nil when images are public
	Subnet     netip.Prefix          // alorig:subnet, default 172.30.0.0/24

	DockerSocket   string        // alorig:dockerSocket, default unix:///var/run/docker.sock
	TLS            caddysite.TLS // alorig:tls, default "cloudflare"
	CaddyDirectory string        // alorig:caddyDirectory, default /srv/alorig/caddy
	CloudflareHost string        // alorig:cloudflareApiHostname, default the provider's own
	ACMEEmail      string        // alorig:acmeEmail, default none

	RedisPassword   Secret                       // alorig:redisPassword, of Redis' default user
	CloudflareToken Secret                       // alorig:cloudflareApiToken
	Secrets         map[string]map[string]Secret // alorig:secrets, by app and name
}

// SSH is how the server is reached.
type SSH struct {
	User       string `json:"user"`
	Port       int    `json:"port"`    // default 22
	HostKey    string `json:"hostKey"` // "ssh-ed25519 AAAA…"
	PrivateKey Secret `json:"-"`       // alorig:sshPrivateKey
}

// Postgres is how PostgreSQL is reached from where the program runs.
type Postgres struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	User     string `json:"user"` // a superuser
	Password Secret `json:"-"`    // alorig:postgresPassword
}

// Registry is where private images come from.
type Registry struct {
	Address  string `json:"address"`
	Username string `json:"username"`
	Password Secret `json:"-"` // alorig:registryPassword
}

// source is where configuration comes from: Pulumi's context, or a test's map.
type source interface {
	// get returns the value of a key without its namespace, and whether it is set.
	get(key string) (string, bool)
	// isSecret reports whether the key is kept encrypted.
	isSecret(key string) bool
}

type contextSource struct{ *pulumi.Context }

func (c contextSource) get(key string) (string, bool) { return c.GetConfig(Project + ":" + key) }
func (c contextSource) isSecret(key string) bool      { return c.IsConfigSecret(Project + ":" + key) }

func readSettings(ctx *pulumi.Context, f Fleet, placeholders bool) (Settings, error) {
	return parseSettings(contextSource{ctx}, f, placeholders)
}

// placeholder stands for a secret in an offline preview. It cannot be mistaken for one
// that was forgotten in production: an update refuses the documentation values first.
const placeholder = "offline-preview-placeholder"

// parseSettings reads and checks everything, and reports all that is missing or
// malformed at once as a [*SettingsError]. With placeholders, secrets may be missing.
func parseSettings(src source, f Fleet, placeholders bool) (Settings, error) {
	p := parser{source: src, placeholders: placeholders}
	s := Settings{Secrets: map[string]map[string]Secret{}}

	s.Rollout = p.choice("rollout", "", append([]string{rolloutNone}, f.Ledger.AppNames()...)...)
	stage := f.Ledger // what is needed when the rollout is not known
	if s.Rollout == rolloutNone {
		s.Rollout = ""
		stage.Apps = nil
	} else if reached, ok := f.Ledger.Through(s.Rollout); ok && s.Rollout != "" {
		stage = reached
	}
	s.Platform = workload.PlatformMode(p.choice("platform", "", string(workload.Existing), string(workload.Managed)))
	s.TLS = caddysite.TLS(p.choice("tls", string(caddysite.Cloudflare), string(caddysite.Cloudflare), string(caddysite.Internal)))
	s.Address = p.address("serverAddress")
	s.CaddyDirectory = p.text("caddyDirectory", "/srv/alorig/caddy", directoryPattern, "an absolute path of letters, digits, dots, dashes and underscores")
	s.CloudflareHost = p.text("cloudflareApiHostname", "", hostPortPattern, "a host name, with a port if need be")
	s.ACMEEmail = p.text("acmeEmail", "", emailPattern, "an e-mail address")

	if p.choice("engine", "ssh", "ssh", "local") == "ssh" {
		s.SSH = p.ssh()
	}
	s.DockerSocket = p.text("dockerSocket", "unix:///var/run/docker.sock", socketPattern, "unix:// and a path")
	s.Subnet = p.subnet("subnet", "172.30.0.0/24")
	s.Postgres = p.postgres(s)
	if _, set := p.get("registry"); set {
		s.Registry = p.registry()
	}
	s.Zones = p.zones(stage.Zones())
	images := stage.Images()
	var optional []string
	if s.Platform == workload.Managed {
		for _, service := range f.Ledger.Services {
			switch {
			case service.OnDemand:
			case workload.Optional(service.Kind):
				optional = append(optional, string(service.Kind))
			default:
				images = append(images, string(service.Kind))
			}
		}
	}
	s.Images = p.images(images, optional)
	s.AdminCIDRs = p.cidrs("adminCidrs", restrictedHost(stage))

	s.RedisPassword = p.secret("redisPassword")
	s.CloudflareToken = p.secret("cloudflareApiToken")
	required := map[string][]string{}
	for _, app := range stage.Apps {
		required[app.Name] = workload.RequiredSecrets(app, f.Workloads[app.Name])
	}
	s.Secrets = p.appSecrets(stage.AppNames(), required)

	if len(p.problems) > 0 {
		return Settings{}, &SettingsError{p.problems}
	}
	return s, nil
}

const rolloutNone = "none"

func restrictedHost(l ledger.Ledger) string {
	for _, a := range l.Apps {
		for _, r := range a.Routes {
			if r.Restricted {
				return r.Host
			}
		}
	}
	return ""
}

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	Key     string `json:"key"`     // with its path: alorig:zones["psydge.com"]
	Problem string `json:"problem"` // never holds the value of a secret
	Accepts string `json:"accepts"`
	Remedy  string `json:"remedy"` // the command that sets it
}

// SettingsError holds every problem of the configuration at once.
type SettingsError struct{ Problems []Problem }

func (e *SettingsError) Error() string {
	var b strings.Builder
	if len(e.Problems) == 1 {
		b.WriteString("1 setting must be set or corrected:\n")
	} else {
		fmt.Fprintf(&b, "%d settings must be set or corrected:\n", len(e.Problems))
	}
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "- %s %s; accepted: %s\n    %s\n", p.Key, p.Problem, p.Accepts, p.Remedy)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

var (
	directoryPattern = regexp.MustCompile(`^(/[A-Za-z0-9._-]+)+$`)
	hostPortPattern  = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]{1,5})?$`)
	emailPattern     = regexp.MustCompile(`^[^@\s{}"]+@[^@\s{}"]+$`)
	socketPattern    = regexp.MustCompile(`^unix://(/[A-Za-z0-9._-]+)+$`)
	userPattern      = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	zonePattern      = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

// parser collects problems instead of stopping at the first.
type parser struct {
	source       source
	placeholders bool
	problems     []Problem
}

// get returns a value that is set. The defaults of Pulumi.yaml for what is required are
// empty, so that whatever is missing is reported here, with its remedy.
func (p *parser) get(key string) (string, bool) {
	value, set := p.source.get(key)
	return value, set && value != "" && value != "{}" && value != "[]"
}

func (p *parser) bad(keyPath, problem, accepts, example string, secret bool) {
	remedy := "pulumi config set "
	if secret {
		remedy += "--secret "
	}
	key, _, nested := strings.Cut(keyPath, "[")
	if nested || strings.Contains(key, ".") {
		remedy += "--path "
	}
	remedy += shell.Word(Project + ":" + keyPath)
	if example != "" { // a secret is asked for, not typed where the shell keeps it
		remedy += " " + example
	}
	p.problems = append(p.problems, Problem{Key: Project + ":" + keyPath, Problem: problem, Accepts: accepts, Remedy: remedy})
}

// choice reads one of the accepted values. No value is proposed for what has no default:
// pasted without a thought, any rollout but the right one would remove apps.
func (p *parser) choice(key, standard string, accepted ...string) string {
	list := strings.Join(accepted, ", ")
	example := cmp.Or(standard, strings.ToUpper(key))
	value, set := p.get(key)
	switch {
	case !set && standard != "":
		return standard
	case !set:
		p.bad(key, "is not set", list, example, false)
	case !slices.Contains(accepted, value):
		p.bad(key, fmt.Sprintf("is %q", value), list, example, false)
	}
	return value
}

func (p *parser) text(key, standard string, pattern *regexp.Regexp, accepts string) string {
	value, set := p.get(key)
	if !set {
		return standard
	}
	if !pattern.MatchString(value) || path.Clean(value) != value && strings.HasPrefix(value, "/") {
		p.bad(key, fmt.Sprintf("is %q", value), accepts, cmp.Or(standard, "VALUE"), false)
	}
	return value
}

func (p *parser) address(key string) string {
	value, set := p.get(key)
	const accepts, example = "an IPv4 address", "198.51.100.7"
	if !set {
		p.bad(key, "is not set", accepts, example, false)
		return ""
	}
	if a, err := netip.ParseAddr(value); err != nil || !a.Is4() || a.IsUnspecified() {
		p.bad(key, fmt.Sprintf("is %q", value), accepts, example, false)
	}
	return value
}

// subnet reads the range of the network that a managed platform creates.
func (p *parser) subnet(key, standard string) netip.Prefix {
	value, set := p.get(key)
	if !set {
		value = standard
	}
	subnet, err := netip.ParsePrefix(value)
	if err != nil || subnet.Masked() != subnet || !subnet.Addr().Is4() || !subnet.Addr().IsPrivate() || subnet.Bits() < 16 || subnet.Bits() > 26 {
		p.bad(key, fmt.Sprintf("is %q", value), "a private IPv4 range from /16 to /26, with no bits set behind its length", standard, false)
		return netip.Prefix{}
	}
	return subnet
}

// object decodes a structured value; what is not set is left as it was. One that is not
// of the form is reported, once: ok is false, and what it should hold is not missed as
// well. The remedy sets one member, as an example.
func (p *parser) object(key, accepts, member, example string, into any) (ok bool) {
	value, set := p.get(key)
	if !set {
		return true
	}
	decoder := json.NewDecoder(strings.NewReader(value))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil && decoder.More() {
		err = errors.New("more than one value")
	}
	if err != nil {
		p.bad(key+member, "cannot be read: "+strings.TrimPrefix(err.Error(), "json: "), accepts, example, false)
	}
	return err == nil
}

func (p *parser) ssh() *SSH {
	s := &SSH{Port: 22, PrivateKey: p.secret("sshPrivateKey")}
	if !p.placeholders && s.PrivateKey.reveal() != "" {
		// The text of the error tells what is wrong, and quotes nothing.
		if _, err := ssh.ParsePrivateKey([]byte(s.PrivateKey.reveal())); err != nil {
			p.bad("sshPrivateKey", "cannot be read: "+err.Error(), "a private key without a passphrase: nobody is there to type one", stdin("sshPrivateKey"), true)
		}
	}
	if !p.object("ssh", "an object with user, hostKey and, if it is not 22, port", ".user", "alorig", s) {
		return s
	}
	p.user("ssh.user", s.User)
	p.port("ssh.port", s.Port, 22)
	const keyForm = "the server's public key as `ssh-keyscan -t ed25519 SERVER` prints it, without the host name"
	if s.HostKey == "" {
		p.bad("ssh.hostKey", "is not set: without it any server is believed", keyForm, "'ssh-ed25519 AAAA…'", false)
	} else if _, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(s.HostKey)); err != nil || len(options)+len(rest) > 0 {
		p.bad("ssh.hostKey", fmt.Sprintf("is %q", s.HostKey), keyForm, "'ssh-ed25519 AAAA…'", false)
	}
	return s
}

func (p *parser) user(keyPath, value string) {
	const accepts = "a user name of lower-case letters, digits, dashes and underscores"
	if value == "" {
		p.bad(keyPath, "is not set", accepts, "alorig", false)
	} else if !userPattern.MatchString(value) {
		p.bad(keyPath, fmt.Sprintf("is %q", value), accepts, "alorig", false)
	}
}

func (p *parser) port(keyPath string, value, standard int) {
	if value < 1 || value > 65535 {
		p.bad(keyPath, fmt.Sprintf("is %d", value), "a port from 1 to 65535", strconv.Itoa(standard), false)
	}
}

// postgres proposes the SSH forward of the runbook, or the address that the platform
// itself gives PostgreSQL, when that is on this machine.
func (p *parser) postgres(s Settings) Postgres {
	host, port := "127.0.0.1", 15432
	if s.SSH == nil && s.Platform == workload.Managed && s.Subnet.IsValid() {
		host, port = ledger.PostgresAddress(s.Subnet).String(), 5432
	}
	pg := Postgres{Host: host, Port: port, User: "postgres", Password: p.secret("postgresPassword")}
	if !p.object("postgres", "an object with host, port and user", ".port", strconv.Itoa(port), &pg) {
		return pg
	}
	if !hostPortPattern.MatchString(pg.Host) {
		p.bad("postgres.host", fmt.Sprintf("is %q", pg.Host), "a host name or address", host, false)
	}
	p.port("postgres.port", pg.Port, port)
	p.user("postgres.user", pg.User)
	return pg
}

func (p *parser) registry() *Registry {
	r := &Registry{Password: p.secret("registryPassword")}
	if !p.object("registry", "an object with address and username", ".address", "ghcr.io", r) {
		return r
	}
	if !hostPortPattern.MatchString(r.Address) {
		p.bad("registry.address", fmt.Sprintf("is %q", r.Address), "a registry's host name", "ghcr.io", false)
	}
	if r.Username == "" {
		p.bad("registry.username", "is not set", "the registry's user", "alorig", false)
	}
	return r
}

func (p *parser) zones(needed []string) map[string]string {
	zones := map[string]string{}
	const accepts = "the zone's id: 32 hexadecimal digits, from the zone's overview page at Cloudflare"
	if !p.object("zones", "an object of zone ids by domain", `["psydge.com"]`, "ZONE_ID", &zones) {
		return nil
	}
	for _, domain := range needed {
		if _, set := zones[domain]; !set {
			p.bad(fmt.Sprintf("zones[%q]", domain), "is not set", accepts, "ZONE_ID", false)
		}
	}
	first := map[string]string{} // domains by id
	for _, domain := range slices.Sorted(maps.Keys(zones)) {
		id := zones[domain]
		switch {
		case !zonePattern.MatchString(id):
			p.bad(fmt.Sprintf("zones[%q]", domain), fmt.Sprintf("is %q", id), accepts, "ZONE_ID", false)
		case first[id] != "":
			p.bad(fmt.Sprintf("zones[%q]", domain), fmt.Sprintf("is %q, the id of %s", id, first[id]), accepts, "ZONE_ID", false)
		default:
			first[id] = domain
		}
	}
	return only(zones, needed)
}

func (p *parser) images(needed, optional []string) map[string]string {
	images := map[string]string{}
	const accepts = "registry/repository with a tag, a digest or both; best ends in @sha256:…"
	if !p.object("images", "an object of references by image name", `["psydge-backend"]`, "REFERENCE", &images) {
		return nil
	}
	for _, name := range needed {
		if _, set := images[name]; !set {
			p.bad(fmt.Sprintf("images[%q]", name), "is not set", accepts, "ghcr.io/alorig/"+name+"@sha256:DIGEST", false)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(images)) {
		named, err := reference.ParseNormalizedNamed(images[name])
		if err != nil || reference.IsNameOnly(named) {
			problem := fmt.Sprintf("is %q", images[name])
			if err != nil {
				problem += ": " + err.Error()
			}
			p.bad(fmt.Sprintf("images[%q]", name), problem, accepts, "ghcr.io/alorig/"+name+"@sha256:DIGEST", false)
		}
	}
	return only(images, slices.Concat(needed, optional))
}

// only keeps what the rollout has come to: an app that is not deployed yet may still
// have documentation values, and changes nothing.
func only(values map[string]string, needed []string) map[string]string {
	maps.DeleteFunc(values, func(key, _ string) bool { return !slices.Contains(needed, key) })
	return values
}

func (p *parser) cidrs(key, neededBy string) []netip.Prefix {
	const accepts = "a list of address ranges such as 198.51.100.7/32"
	var texts []string
	if !p.object(key, accepts, "[0]", "198.51.100.7/32", &texts) {
		return nil
	}
	var cidrs []netip.Prefix
	for i, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.Masked() != prefix || prefix.Bits() == 0 {
			p.bad(fmt.Sprintf("%s[%d]", key, i), fmt.Sprintf("is %q", text), "an address range, not all addresses, with no bits set behind its length", "198.51.100.7/32", false)
			continue
		}
		cidrs = append(cidrs, prefix)
	}
	if neededBy == "" {
		return nil
	}
	if len(texts) == 0 {
		p.bad(key+"[0]", "is not set, and nobody would reach "+neededBy, accepts, "198.51.100.7/32", false)
	}
	return cidrs
}

// secret reads a whole-value secret.
func (p *parser) secret(key string) Secret {
	value, set := p.get(key)
	switch {
	case (!set || value == "") && p.placeholders:
		return newSecret(placeholder)
	case !set || value == "":
		p.bad(key, "is not set", "a secret", stdin(key), true)
	case !p.source.isSecret(key) && !p.placeholders:
		p.plainText(key)
	}
	return newSecret(value)
}

// plainText reports a secret that is not kept encrypted.
func (p *parser) plainText(keyPath string) {
	p.bad(keyPath, "is stored in plain text", "a value set with --secret; change it, since it has been readable", stdin(keyPath), true)
}

// stdin is how a secret of several lines is set: not at a prompt.
func stdin(key string) string {
	if key == "sshPrivateKey" {
		return "< ~/.ssh/alorig"
	}
	return ""
}

// appSecrets reads the secrets of the apps and reports those that are missing.
func (p *parser) appSecrets(apps []string, required map[string][]string) map[string]map[string]Secret {
	const key = "secrets"
	given := map[string]map[string]string{}
	if value, set := p.get(key); set {
		// The decoder's own message could quote a secret.
		if json.NewDecoder(bytes.NewReader([]byte(value))).Decode(&given) != nil {
			p.bad(key, "cannot be read", "an object of apps, each an object of texts", "", true)
			return nil
		}
		if !p.source.isSecret(key) && !p.placeholders {
			p.plainMembers(given)
		}
	}
	secrets := map[string]map[string]Secret{}
	for _, app := range apps {
		secrets[app] = map[string]Secret{}
		for name, value := range given[app] {
			secrets[app][name] = newSecret(value)
		}
		for _, name := range required[app] {
			if given[app][name] != "" {
				continue
			}
			if p.placeholders {
				secrets[app][name] = newSecret(placeholder)
				continue
			}
			p.bad(key+"."+app+"."+name, "is not set", "a secret of "+app, "", true)
		}
	}
	return secrets
}

// plainMembers reports each secret of the apps in turn: each is set by itself.
func (p *parser) plainMembers(given map[string]map[string]string) {
	for _, app := range slices.Sorted(maps.Keys(given)) {
		for _, name := range slices.Sorted(maps.Keys(given[app])) {
			if given[app][name] != "" {
				p.plainText(fmt.Sprintf("secrets[%q][%q]", app, name))
			}
		}
	}
}

// Documentation values stand in the committed Pulumi.prod.yaml for what only the owner
// knows. They preview; they must not reach a server.
var documentationRanges = []netip.Prefix{ // RFC 5737
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
}

const (
	documentationZone    = "000000000000000000000000" // start of a zone id
	documentationHostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)

func isDocumentation(a netip.Addr) bool {
	return slices.ContainsFunc(documentationRanges, func(r netip.Prefix) bool { return r.Contains(a) })
}

// refuseDocumentationValues reports every setting that still holds one.
func (s Settings) refuseDocumentationValues() error {
	var p parser
	bad := func(keyPath, value, accepts, example string) {
		p.bad(keyPath, fmt.Sprintf("is still the documentation value %q", value), accepts, example, false)
	}
	if a, err := netip.ParseAddr(s.Address); err == nil && isDocumentation(a) {
		bad("serverAddress", s.Address, "the server's own address", "ADDRESS")
	}
	if s.SSH != nil && strings.HasPrefix(s.SSH.HostKey, documentationHostKey) {
		bad("ssh.hostKey", s.SSH.HostKey, "the server's own key (ssh-keyscan -t ed25519 SERVER)", "'ssh-ed25519 AAAA…'")
	}
	for _, domain := range slices.Sorted(maps.Keys(s.Zones)) {
		if strings.HasPrefix(s.Zones[domain], documentationZone) {
			bad(fmt.Sprintf("zones[%q]", domain), s.Zones[domain], "the zone's own id", "ZONE_ID")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Images)) {
		named, err := reference.ParseNormalizedNamed(s.Images[name])
		if err == nil && isDocumentationHost(reference.Domain(named)) {
			bad(fmt.Sprintf("images[%q]", name), s.Images[name], "an image of your registry", "REGISTRY/"+name+"@sha256:DIGEST")
		}
	}
	for i, c := range s.AdminCIDRs {
		if isDocumentation(c.Addr()) {
			bad("adminCidrs["+strconv.Itoa(i)+"]", c.String(), "the administrators' own addresses", "ADDRESS/32")
		}
	}
	if _, host, _ := strings.Cut(s.ACMEEmail, "@"); isDocumentationHost(host) {
		bad("acmeEmail", s.ACMEEmail, "an address somebody reads", "ADDRESS")
	}
	if len(p.problems) > 0 {
		return &SettingsError{p.problems}
	}
	return nil
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
