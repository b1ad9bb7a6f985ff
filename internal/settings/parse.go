package settings

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/distribution/reference"
	"golang.org/x/crypto/ssh"

	"github.com/alorig/fleet/internal/caddysite"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/shell"
	"github.com/alorig/fleet/internal/workload"
)

// Needs says what the settings have to serve.
type Needs struct {
	Ledger    ledger.Ledger
	Workloads workload.Apps // what runs in each app, by its name
	// Reach takes the rollout to have come to this app, whatever alorig:rollout says;
	// that is judged all the same. "" leaves it at what it says.
	Reach string
}

// placeholder stands for a secret that is encrypted or that nobody has set yet, where no
// update follows.
const placeholder = "offline-preview-placeholder"

// rolloutNone is the rollout before the first app.
const rolloutNone = "none"

// Parse reads and checks everything, and reports all that is missing or malformed at once
// as a [*Error]. Every value is judged where it stands, member by member. Only
// what the rollout has come to has to be there.
//
// Of a stack file, which nobody decrypts, secrets may be missing: placeholders take their
// places. An encrypted value that is no secret is not judged; [Settings.NotJudged] names
// it.
func Parse(c Config, n Needs) (Settings, error) {
	p := parser{config: c}
	s := Settings{}

	var stage ledger.Ledger
	s.Rollout, stage = p.rollout(n)
	s.Platform = workload.PlatformMode(p.choice("platform", "", string(workload.Existing), string(workload.Managed)))
	s.TLS = caddysite.TLS(p.choice("tls", string(caddysite.Cloudflare), string(caddysite.Cloudflare), string(caddysite.Internal)))
	local := p.choice("engine", "ssh", "ssh", "local") == "local"
	// A server that nobody but this machine reaches is a sandbox.
	s.Address = p.address("serverAddress", local || s.TLS == caddysite.Internal)
	s.CaddyDirectory = p.top("caddyDirectory", want{
		accepts: acceptsDirectory, standard: "/srv/alorig/caddy", check: isDirectory,
	})
	s.Program = ServerProgram{Directory: p.serverDirectory(s.CaddyDirectory), Architecture: p.serverArchitecture(local)}
	s.CloudflareHost = p.top("cloudflareApiHostname", want{accepts: "a host name, with a port if need be", example: "HOST", check: isHostPort})
	s.ACMEEmail = p.top("acmeEmail", want{accepts: "an e-mail address", example: "ADDRESS", check: matches(emailPattern)})
	if read := p.ssh(!local); !local {
		s.SSH = &read
	}
	s.DockerSocket = p.top("dockerSocket", want{accepts: "unix:// and a path", standard: "unix:///var/run/docker.sock", check: matches(socketPattern)})
	s.Subnet = p.subnet("subnet", "172.30.0.0/24")
	s.Postgres = p.postgres(local && s.Platform == workload.Managed, s.Subnet)
	s.Registry = p.registry()
	s.Zones = p.zones(stage.Zones(), n.Ledger.Zones())
	s.Images = p.images(n.Ledger, stage, s.Platform)
	s.AdminCIDRs = p.adminCIDRs("adminCidrs", restrictedHost(stage))
	s.RedisPassword = p.secret("redisPassword", c.values["redisPassword"], true)
	s.CloudflareToken = p.secret("cloudflareApiToken", c.values["cloudflareApiToken"], true)
	required := map[string][]string{}
	for _, app := range n.Ledger.Apps {
		required[app.Name] = workload.RequiredSecrets(app, n.Workloads[app.Name])
	}
	s.Secrets = p.appSecrets(stage.AppNames(), required)
	p.strays()

	if len(p.problems) > 0 {
		return Settings{}, &Error{p.problems}
	}
	s.NotJudged = p.notJudged
	return s, nil
}

// parser collects problems instead of stopping at the first.
type parser struct {
	config    Config
	problems  []Problem
	notJudged []string
}

func (p *parser) bad(path, problem, accepts, remedy string) {
	p.problems = append(p.problems, Problem{Key: Project + ":" + path, Problem: problem, Accepts: accepts, Remedy: remedy})
}

// skip notes what is encrypted though it is no secret.
func (p *parser) skip(path string) { p.notJudged = append(p.notJudged, Project+":"+path) }

// want is what a text has to be.
type want struct {
	accepts  string
	example  string             // in the remedy, as a shell reads it; the standard if empty
	standard string             // of what is not set
	standIn  string             // of what is encrypted; the standard if empty
	required bool               // has to be set
	missing  string             // said besides when it is not
	check    func(string) error // what it says of a wrong text is added; nil accepts any
	hide     bool               // the value is never quoted
}

// errForm says no more than that a text is not of the form.
var errForm = errors.New("")

// top reads a text that is the whole value of a key.
func (p *parser) top(key string, w want) string { return p.text(key, p.config.values[key], w) }

// text reads a text. One that is wrong is reported, and read as its standard, so that it is
// reported once.
func (p *parser) text(path string, v value, w want) string {
	example := cmp.Or(w.example, w.standard)
	switch {
	case v.kind == encrypted:
		p.skip(path)
		return cmp.Or(w.standIn, w.standard)
	case v.unset() && w.required:
		p.bad(path, "is not set"+w.missing, w.accepts, set(path, example))
	case v.unset():
	case v.kind == number || v.kind == truth:
		p.bad(path, v.is()+", not a text", w.accepts, setText(path, example))
	case v.kind != words:
		p.bad(path, v.is(), w.accepts, set(path, example))
	default:
		var err error
		if w.check != nil {
			err = w.check(v.text)
		}
		if err == nil {
			return v.text
		}
		is := v.is()
		if w.hide {
			is = "is not of the accepted form"
		}
		if err.Error() != "" && v.stored == plain {
			is += ", " + err.Error()
		}
		p.bad(path, is, w.accepts, set(path, example))
	}
	return w.standard
}

// choice reads one of the accepted values. No value is proposed for what has no default:
// pasted without a thought, any rollout but the right one would remove apps.
func (p *parser) choice(key, standard string, accepted ...string) string {
	return p.top(key, want{
		accepts: strings.Join(accepted, ", "), example: cmp.Or(standard, strings.ToUpper(key)),
		standard: standard, standIn: cmp.Or(standard, accepted[0]), required: standard == "",
		check: func(text string) error {
			if slices.Contains(accepted, text) {
				return nil
			}
			if near := nearest(text, accepted); near != "" {
				return fmt.Errorf("did you mean %s?", near)
			}
			return errForm
		},
	})
}

// rollout reads how far the rollout has come, and returns what of the ledger is deployed
// then. As long as that is not known, no app asks for anything.
func (p *parser) rollout(n Needs) (string, ledger.Ledger) {
	none := n.Ledger
	none.Apps = nil
	rollout := p.choice("rollout", "", append([]string{rolloutNone}, n.Ledger.AppNames()...)...)
	if names := n.Ledger.AppNames(); p.config.values["rollout"].kind == encrypted && len(names) > 0 {
		rollout = names[len(names)-1]
	}
	rollout = cmp.Or(n.Reach, rollout)
	if rollout == rolloutNone || rollout == "" {
		return "", none
	}
	stage, ok := n.Ledger.Through(rollout)
	if !ok {
		return rollout, none
	}
	return rollout, stage
}

func (p *parser) address(key string, sandbox bool) string {
	return p.top(key, want{
		accepts: "the server's public IPv4 address", example: "ADDRESS", required: true, standIn: "192.0.2.1",
		check: func(text string) error {
			a, err := netip.ParseAddr(text)
			switch {
			case err != nil:
				return errForm
			case !a.Is4():
				return errors.New("an IPv6 address")
			case sandbox && a.IsLoopback(), sandbox && a.IsPrivate():
				return nil
			default:
				return unreachable(a)
			}
		},
	})
}

const acceptsDirectory = "an absolute path of letters, digits, dots, dashes and underscores"

// serverDirectory reads where the server's program lies. What a container mounts it could
// change, and with it what runs on the server itself.
func (p *parser) serverDirectory(caddy string) string {
	const key, standard = "serverDirectory", "/srv/alorig/server"
	apart := func(text string) error {
		for _, mounted := range []struct{ path, name string }{{caddy, Project + ":caddyDirectory"}, {ledger.StaticDirectory, ledger.StaticDirectory}} {
			switch {
			case text == mounted.path:
				return fmt.Errorf("which is %s, and Caddy's container mounts that", mounted.name)
			case strings.HasPrefix(text, mounted.path+"/"):
				return fmt.Errorf("below %s, which Caddy's container mounts", mounted.name)
			case strings.HasPrefix(mounted.path, text+"/"):
				return fmt.Errorf("above %s, which Caddy's container mounts", mounted.name)
			}
		}
		return nil
	}
	w := want{accepts: acceptsDirectory + ", apart from every directory that a container mounts", standard: standard}
	w.check = func(text string) error { return cmp.Or(isDirectory(text), apart(text)) }
	if err := apart(standard); err != nil {
		w.example = "DIRECTORY"
		if p.config.values[key].unset() {
			p.bad(key, fmt.Sprintf("is %q unless set, %v", standard, err), w.accepts, set(key, w.example))
		}
	}
	return p.top(key, w)
}

// serverArchitecture reads what the server's program is built for. What this machine is, the
// update knows; of a server far away it learns only when it is there.
func (p *parser) serverArchitecture(local bool) string {
	accepted, standard := []string{"amd64", "arm64"}, "amd64"
	if local {
		standard = runtime.GOARCH
	}
	if !slices.Contains(accepted, standard) {
		standard = ""
	}
	return p.choice("serverArchitecture", standard, accepted...)
}

// unreachable says why nobody on the internet reaches an address.
func unreachable(a netip.Addr) error {
	in := func(ranges ...string) bool {
		return slices.ContainsFunc(ranges, func(r string) bool { return netip.MustParsePrefix(r).Contains(a) })
	}
	switch {
	case a.IsLoopback():
		return errors.New("which is each machine itself")
	case a.IsMulticast():
		return errors.New("a multicast address, which is no machine's own")
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return errors.New("the broadcast address, which is no machine's own")
	case in("0.0.0.0/8", "240.0.0.0/4"):
		return errors.New("which is no machine's own")
	case a.IsPrivate(), a.IsLinkLocalUnicast(), in("100.64.0.0/10"):
		return errors.New("an address of a private network, which visitors do not reach")
	}
	return nil
}

// subnet reads the range of the network that a managed platform creates.
func (p *parser) subnet(key, standard string) netip.Prefix {
	read, _ := netip.ParsePrefix(p.top(key, want{
		accepts: "a private IPv4 range from /16 to /26, with no bits set behind its length", standard: standard,
		check: func(text string) error {
			r, err := netip.ParsePrefix(text)
			if err != nil || r.Masked() != r || !r.Addr().Is4() || !r.Addr().IsPrivate() || r.Bits() < 16 || r.Bits() > 26 {
				return errForm
			}
			return nil
		},
	}))
	return read
}

// object returns the members of a key's value. One that is no object is reported, once: ok
// is false, and what it should hold is not missed as well.
func (p *parser) object(key, accepts string) (given map[string]value, ok bool) {
	v := p.config.values[key]
	if v.kind == tree || v.kind == absent {
		return v.members, true
	}
	flag, path := "", key+".MEMBER"
	if key == "secrets" {
		flag, path = "--secret ", "secrets.APP.NAME"
	}
	p.bad(key, p.shape(key, v)+", not an object", accepts, keepAndRemove(key, "set each member with "+setting(flag, path)))
	return nil, false
}

// shape describes a value that should have members, and quotes no secret.
func (p *parser) shape(key string, v value) string {
	switch {
	case key != "secrets":
		return v.is()
	case v.kind == words:
		return "is a text"
	case v.kind == number || v.kind == truth:
		return "is a " + v.name()
	default:
		return v.is()
	}
}

// only reports the members that nothing reads of an object that has no others than known
// ones.
func (p *parser) only(key string, given map[string]value) {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if slices.Contains(members[key], name) {
			continue
		}
		here := member(key, name)
		problem, remedy := "is read by nothing", remove(here)
		meant := elsewhere[key+"."+name]
		if near := nearest(name, members[key]); meant == "" && near != "" {
			meant = member(key, near)
		}
		if meant != "" {
			problem += "; did you mean " + Project + ":" + meant + "?"
		}
		if given[name].kind == encrypted {
			remedy = "keep what `" + strings.Replace(remedy, " rm ", " get ", 1) + "` shows; then " + remedy
		}
		p.bad(here, problem, strings.Join(members[key], ", "), remedy)
	}
}

func (p *parser) ssh(required bool) SSH {
	s := SSH{Port: 22, PrivateKey: p.secret("sshPrivateKey", p.config.values["sshPrivateKey"], required)}
	given, ok := p.object("ssh", "an object with user, hostKey and, if it is not 22, port")
	if !ok {
		return s
	}
	s.User = p.user("ssh.user", given["user"], want{required: required, standIn: "alorig"})
	s.Port = p.port("ssh.port", given["port"], 22)
	s.HostKey = p.text("ssh.hostKey", given["hostKey"], want{
		accepts: "the server's public key as `ssh-keyscan -t ed25519 SERVER` prints it, without the host name", example: "'ssh-ed25519 AAAA…'",
		required: required, missing: ": without it any server is believed", standIn: documentationHostKey, hide: true, // a private key may have been pasted
		check: func(text string) error {
			_, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(text))
			switch {
			case strings.Contains(text, "PRIVATE KEY"):
				return errors.New("but a private key; make another one, since it has been readable")
			case err != nil || len(options)+len(rest) > 0:
				return errForm
			}
			return nil
		},
	})
	p.only("ssh", given)
	return s
}

func (p *parser) user(path string, v value, w want) string {
	w.accepts, w.example = "a user name of lower-case letters, digits, dashes and underscores", cmp.Or(w.standard, "alorig")
	w.check = matches(userPattern)
	return p.text(path, v, w)
}

// port reads a number. An encrypted one is always a text, so the digits of one are taken.
func (p *parser) port(path string, v value, standard int) int {
	switch {
	case v.kind == encrypted:
		p.skip(path)
	case v.unset():
	default:
		n, err := strconv.Atoi(v.text)
		if (v.kind == number || v.kind == words) && err == nil && n >= 1 && n <= 65535 {
			return n
		}
		p.bad(path, v.is(), "a port from 1 to 65535", set(path, strconv.Itoa(standard)))
	}
	return standard
}

// postgres proposes the port that `alorig connect` opens, or the address that the platform
// itself gives PostgreSQL, when that is on this machine.
func (p *parser) postgres(here bool, subnet netip.Prefix) Postgres {
	host, port := "127.0.0.1", 15432
	if here && subnet.IsValid() {
		host, port = ledger.PostgresAddress(subnet).String(), 5432
	}
	pg := Postgres{Host: host, Port: port, User: "postgres", Password: p.secret("postgresPassword", p.config.values["postgresPassword"], true)}
	given, ok := p.object("postgres", "an object with host, port and user")
	if !ok {
		return pg
	}
	pg.Host = p.text("postgres.host", given["host"], want{accepts: "a host name or address, without the port", standard: host, check: isHost})
	pg.Port = p.port("postgres.port", given["port"], port)
	pg.User = p.user("postgres.user", given["user"], want{standard: "postgres"})
	p.only("postgres", given)
	return pg
}

func (p *parser) registry() *Registry {
	given, ok := p.object("registry", "an object with address and username")
	private := !ok || len(given) > 0
	r := &Registry{Password: p.secret("registryPassword", p.config.values["registryPassword"], private)}
	if !ok || !private {
		return nil
	}
	r.Address = p.text("registry.address", given["address"], want{
		accepts: "a registry's host name, with a port if need be", example: "ghcr.io", standIn: "registry.invalid", required: true, check: isHostPort,
	})
	r.Username = p.text("registry.username", given["username"], want{
		accepts: "the registry's user", example: "USER", standIn: "user", required: true, hide: true, // USER:PASSWORD may have been pasted
		check: func(text string) error {
			if strings.ContainsFunc(text, func(r rune) bool { return r == ':' || unicode.IsSpace(r) || unicode.IsControl(r) }) {
				return errForm
			}
			return nil
		},
	})
	p.only("registry", given)
	return r
}

func (p *parser) zones(needed, known []string) map[string]string {
	given, ok := p.object("zones", "an object of zone ids by domain")
	if !ok {
		return nil
	}
	zones, first := map[string]string{}, map[string]string{} // ids by domain, and the reverse
	for i, domain := range p.names(given, needed) {
		path := member("zones", domain)
		w := want{
			accepts: "the zone's id: 32 hexadecimal digits, from the zone's overview page at Cloudflare", example: "ZONE_ID",
			standIn: fmt.Sprintf("%032x", i+1), required: slices.Contains(needed, domain), missing: p.instead("zones", domain, given, known),
		}
		w.check = func(id string) error {
			switch {
			case !zonePattern.MatchString(id):
				return errForm
			case first[id] != "":
				return fmt.Errorf("the id of %s", first[id])
			}
			first[id] = domain
			return nil
		}
		if id := p.text(path, given[domain], w); id != "" && w.required {
			zones[domain] = id
		}
	}
	return zones
}

// names lists what is needed, then what is given besides, sorted.
func (p *parser) names(given map[string]value, needed []string) []string {
	names := slices.Clone(needed)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(needed, name) {
			names = append(names, name)
		}
	}
	return names
}

// instead names the member that was probably meant to be the missing one.
func (p *parser) instead(path, missing string, given map[string]value, known []string) string {
	if near := misspelt(missing, given, known); near != "" {
		return fmt.Sprintf("; %s is set: is that misspelt?", Project+":"+member(path, near))
	}
	return ""
}

func (p *parser) images(all, stage ledger.Ledger, platform workload.PlatformMode) map[string]string {
	given, ok := p.object("images", "an object of references by image name")
	if !ok {
		return nil
	}
	needed, known := stage.Images(), all.Images()
	read := slices.Clone(needed) // an app that is not deployed yet changes nothing
	for _, service := range all.Services {
		name := string(service.Kind)
		known = append(known, name)
		switch {
		case platform != workload.Managed || service.OnDemand:
		case workload.Optional(service.Kind):
			read = append(read, name)
		default:
			needed, read = append(needed, name), append(read, name)
		}
	}
	images := map[string]string{}
	for _, name := range p.names(given, needed) {
		w := want{
			accepts: "registry/repository with a tag, a digest or both; best ends in @sha256:…", example: shell.Word("ghcr.io/alorig/" + name + "@sha256:DIGEST"),
			standIn:  "registry.invalid/alorig/" + name + "@sha256:" + strings.Repeat("0", 64),
			required: slices.Contains(needed, name), missing: p.instead("images", name, given, known), check: isImage,
		}
		if image := p.text(member("images", name), given[name], w); image != "" && slices.Contains(read, name) {
			images[name] = image
		}
	}
	return images
}

// adminCIDRs reads who may reach restricted hosts. Nothing is read as long as there are
// none.
func (p *parser) adminCIDRs(key, neededBy string) []netip.Prefix {
	const accepts, example = "a list of address ranges such as 198.51.100.7/32", "ADDRESS/32"
	v := p.config.values[key]
	switch {
	case v.kind == absent, v.empty():
		if neededBy != "" {
			p.bad(index(key, 0), "is not set, and nobody would reach "+neededBy, accepts, set(index(key, 0), example))
		}
		return nil
	case v.kind != row:
		p.bad(key, v.is()+", not a list", accepts, keepAndRemove(key, "set each range with "+setting("", index(key, 0))+" "+example))
		return nil
	}
	var cidrs []netip.Prefix
	at := map[netip.Prefix]int{} // where one stands; another may be malformed
	for i, element := range v.row {
		text := p.text(index(key, i), element, want{
			accepts: "an address range with no bits set behind its length, IPv4 from /8 and IPv6 from /19 on", example: example,
			standIn: fmt.Sprintf("192.0.2.%d/32", i%256), required: true, check: isAdminRange,
		})
		if r, err := netip.ParsePrefix(text); err == nil {
			cidrs, at[r] = append(cidrs, r), i
		}
	}
	if share, widest := shareOf(cidrs); share >= 1.0/16 {
		p.bad(key, fmt.Sprintf("admits %.0f %% of all addresses in %d ranges", share*100, len(cidrs)), "the administrators' own addresses", set(index(key, at[widest]), example))
	}
	if neededBy == "" {
		return nil
	}
	return cidrs
}

// shareOf is how much of all IPv4 or all IPv6 addresses the ranges have, whichever is
// more, and the widest of them.
func shareOf(ranges []netip.Prefix) (share float64, widest netip.Prefix) {
	// The widest first: what lies within another range does not count again.
	sorted := slices.SortedStableFunc(slices.Values(ranges), func(a, b netip.Prefix) int { return cmp.Compare(a.Bits(), b.Bits()) })
	shares := map[bool]float64{}
	for i, r := range sorted {
		if !slices.ContainsFunc(sorted[:i], r.Overlaps) {
			shares[r.Addr().Is4()] += 1 / float64(uint64(1)<<min(r.Bits(), 62))
		}
	}
	if len(sorted) > 0 {
		widest = sorted[0]
	}
	return max(shares[true], shares[false]), widest
}

// restrictedHost is a host that only administrators may reach; "" when there is none.
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

// secret reads a secret. What is wrong with one is told without a word of it.
func (p *parser) secret(path string, v value, required bool) Secret {
	accepts := "a secret of one line, set with --secret"
	if path == "sshPrivateKey" {
		accepts = "a private key without a passphrase, set with --secret: nobody is there to type one"
	}
	wrong := func(problem, remedy string) Secret {
		p.bad(path, problem, accepts, remedy)
		return Secret{}
	}
	switch {
	case v.kind == encrypted:
		return NewSecret(placeholder)
	case v.unset() && !p.config.decrypted:
		return NewSecret(placeholder)
	case v.unset() && required:
		return wrong("is not set", setSecret(path))
	case v.unset():
		return Secret{}
	case v.kind == tree || v.kind == row:
		return wrong(v.is()+", not a text", keepAndRemove(path, "set it with "+setSecret(path)))
	case v.stored == plain && v.kind == words:
		return wrong("is stored in plain text; change it, since it has been readable", setSecret(path))
	case v.stored == plain:
		return wrong("is a "+v.name()+", not a text, and stored in plain text; change it, since it has been readable", setSecret(path))
	case v.kind != words:
		return wrong("is a "+v.name()+", not a text", setSecret(path))
	case path == "sshPrivateKey":
		// The text of the error tells what is wrong, and quotes nothing.
		if _, err := ssh.ParsePrivateKey([]byte(v.text)); err != nil {
			return wrong("cannot be read: "+err.Error(), setSecret(path))
		}
	case strings.ContainsFunc(v.text, unicode.IsControl):
		// Redis' line protocol, a header and an environment file all end at a line's end.
		return wrong("holds a line break or another control character", setSecret(path)+"   # one of a single line: openssl rand -base64 60 | tr -d '\\n'")
	}
	return NewSecret(v.text)
}

// name is what one calls a value of the kind.
func (v value) name() string {
	if v.kind == number {
		return "number"
	}
	return "truth value"
}

// appSecrets reads the secrets of the apps and reports those that are missing.
func (p *parser) appSecrets(apps []string, required map[string][]string) map[string]map[string]Secret {
	given, ok := p.object("secrets", "an object of apps, each an object of secrets by name")
	secrets := map[string]map[string]Secret{}
	for _, app := range p.names(given, apps) {
		path, v := member("secrets", app), given[app]
		if !v.unset() && v.kind != tree {
			p.bad(path, p.shape("secrets", v)+", not an object", "the app's secrets by name", keepAndRemove(path, "set each with "+setSecret(path+".NAME")))
			continue
		}
		deployed := slices.Contains(apps, app)
		read := map[string]Secret{}
		for _, name := range p.names(v.members, required[app]) {
			needed := deployed && slices.Contains(required[app], name)
			if near := misspelt(name, v.members, required[app]); ok && needed && v.members[name].unset() && near != "" {
				p.bad(member(path, name), "is not set"+p.instead(path, name, v.members, required[app]), "a secret of "+app, setSecret(member(path, name)))
				continue
			}
			s := p.secret(member(path, name), v.members[name], ok && needed)
			if needed || !v.members[name].unset() {
				read[name] = s
			}
		}
		if deployed {
			secrets[app] = read
		}
	}
	return secrets
}

var (
	directoryPattern = regexp.MustCompile(`^(/[A-Za-z0-9._-]+)+$`)
	namePattern      = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)
	emailPattern     = regexp.MustCompile(`^[^@\s{}"]+@[^@\s{}"]+$`)
	socketPattern    = regexp.MustCompile(`^unix://(/[A-Za-z0-9._-]+)+$`)
	userPattern      = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	zonePattern      = regexp.MustCompile(`^[0-9a-f]{32}$`)
	digestPattern    = regexp.MustCompile(`^sha(256|384|512)[:@]`)
)

func matches(pattern *regexp.Regexp) func(string) error {
	return func(text string) error {
		if !pattern.MatchString(text) {
			return errForm
		}
		return nil
	}
}

func isDirectory(text string) error {
	if !directoryPattern.MatchString(text) || path.Clean(text) != text {
		return errForm
	}
	return nil
}

func isHost(text string) error {
	if _, err := netip.ParseAddr(text); err != nil && !namePattern.MatchString(text) {
		return errForm
	}
	return nil
}

func isHostPort(text string) error {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return isHost(text)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return errors.New("with a wrong port; a port is from 1 to 65535")
	}
	return isHost(host)
}

func isImage(text string) error {
	if digestPattern.MatchString(text) {
		return errors.New("a digest without its image")
	}
	named, err := reference.ParseNormalizedNamed(text)
	switch {
	case err != nil && strings.Contains(err.Error(), "lowercase"): // the text itself quotes the value
		return errors.New("invalid reference format: a repository is in lowercase")
	case err != nil:
		return errors.New("invalid reference format")
	case reference.IsNameOnly(named):
		return errForm
	default:
		return isHostPort(reference.Domain(named))
	}
}

func isAdminRange(text string) error {
	r, err := netip.ParsePrefix(text)
	switch a := r.Addr(); {
	case err != nil:
		return errForm
	case r.Bits() == 0:
		return errors.New("which is everybody")
	case a.Is4In6() && r.Bits() < 96+8:
		return errors.New("an IPv4 range written as IPv6, which matches nobody")
	case a.Is4In6():
		return fmt.Errorf("an IPv4 range written as IPv6, which matches nobody; write %s", netip.PrefixFrom(a.Unmap(), r.Bits()-96))
	case r.Masked() != r:
		return fmt.Errorf("with bits set behind its length; the range is %s", r.Masked())
	case a.Is4() && r.Bits() < 8, a.Is6() && r.Bits() < 19:
		return errors.New("which is far more than administrators have")
	case a.IsMulticast(), a.IsUnspecified(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return errors.New("from which nobody comes")
	}
	return nil
}
