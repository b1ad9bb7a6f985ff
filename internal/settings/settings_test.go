package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alorig/fleet/internal/workload"
)

func TestACompleteConfigurationIsRead(t *testing.T) {
	t.Parallel()
	s, err := Parse(inUse().config(), needs())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RefuseDocumentationValues(); err != nil {
		t.Error(err)
	}
	if s.NotJudged != nil || s.RefuseNotJudged() != nil {
		t.Errorf("not judged: %v", s.NotJudged)
	}
	if s.Rollout != "asms" || s.Platform != workload.Existing || s.Address != "8.8.4.4" {
		t.Errorf("read %v", s)
	}
	if s.SSH == nil || s.SSH.User != "alorig" || s.SSH.HostKey != keys().Host || s.SSH.PrivateKey.Reveal() != keys().Private || s.DockerHost() != "ssh://alorig@8.8.4.4:22" {
		t.Errorf("SSH %v", s.SSH)
	}
	if got := s.Secrets["psydge"]["METAAPI_TOKEN"].Reveal(); got != "c4n4ry-psydge-METAAPI_TOKEN" {
		t.Errorf("METAAPI_TOKEN of Psydge is %q", got)
	}
	if len(s.Zones) != 5 || len(s.Images) != 7 || len(s.AdminCIDRs) != 2 {
		t.Errorf("%d zones, %d images, %d ranges", len(s.Zones), len(s.Images), len(s.AdminCIDRs))
	}

	// What nobody has to set.
	if s.SSH.Port != 22 || s.DockerSocket != "unix:///var/run/docker.sock" || s.TLS != "cloudflare" || s.Subnet.String() != "172.30.0.0/24" ||
		s.CaddyDirectory != "/srv/alorig/caddy" || s.Program != (ServerProgram{Directory: "/srv/alorig/server", Architecture: "amd64"}) || s.CloudflareHost != "" || s.ACMEEmail != "" || s.Registry != nil {
		t.Errorf("defaults %+v", s)
	}
	if pg := s.Postgres; pg.Host != "127.0.0.1" || pg.Port != 15432 || pg.User != "postgres" {
		t.Errorf("PostgreSQL is reached at %v", pg)
	}
}

func TestOptionalSettingsAreRead(t *testing.T) {
	t.Parallel()
	g := inUse().with("registry", `{"address":"ghcr.io:443","username":"alorig"}`).with("registryPassword", "c4n4ry-registry").encrypted("registryPassword", true).
		with("postgres", `{"host":"db.internal","port":5433,"user":"admin"}`).with("tls", "internal").
		with("caddyDirectory", "/opt/caddy").with("serverDirectory", "/opt/caddyserver").with("serverArchitecture", "arm64").with("cloudflareApiHostname", "localhost:8443").with("acmeEmail", "ops@alorig.com")
	s, err := Parse(g.config(), needs())
	if err != nil {
		t.Fatal(err)
	}
	if s.Registry == nil || s.Registry.Address != "ghcr.io:443" || s.Registry.Username != "alorig" || s.Registry.Password.Reveal() != "c4n4ry-registry" {
		t.Errorf("registry %v", s.Registry)
	}
	if s.Postgres.Host != "db.internal" || s.Postgres.Port != 5433 || s.Postgres.User != "admin" {
		t.Errorf("postgres %v", s.Postgres)
	}
	if s.TLS != "internal" || s.CaddyDirectory != "/opt/caddy" || s.CloudflareHost != "localhost:8443" || s.ACMEEmail != "ops@alorig.com" ||
		s.Program != (ServerProgram{Directory: "/opt/caddyserver", Architecture: "arm64"}) {
		t.Errorf("read %+v", s)
	}

	// On the machine itself nothing of SSH is needed.
	local := g.with("engine", "local").with("dockerSocket", "unix:///run/docker.sock").without("ssh", "sshPrivateKey")
	s, err = Parse(local.config(), needs())
	if err != nil {
		t.Fatal(err)
	}
	if s.SSH != nil || s.DockerHost() != "unix:///run/docker.sock" {
		t.Errorf("local engine: %+v", s)
	}
	if s.Program.Architecture != "arm64" {
		t.Errorf("local engine: the program is built for %s, and the settings say arm64", s.Program.Architecture)
	}
	own, err := Parse(local.without("serverArchitecture").config(), needs())
	if err != nil || own.Program.Architecture != runtime.GOARCH {
		t.Errorf("local engine: the program is built for %q, and this machine is %s (%v)", own.Program.Architecture, runtime.GOARCH, err)
	}
	// And PostgreSQL of a managed platform is at its own address.
	images := map[string]string{}
	if err := json.Unmarshal([]byte(g.values["images"]), &images); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"postgres", "redis", "caddy"} {
		images[kind] = "alorig/" + kind + ":1"
	}
	s, err = Parse(local.with("platform", "managed").with("images", asJSON(images)).with("subnet", "10.9.0.0/24").without("postgres").config(), needs())
	if err != nil {
		t.Fatal(err)
	}
	if s.Postgres.Host != "10.9.0.2" || s.Postgres.Port != 5432 || s.Images["redis"] != "alorig/redis:1" || s.Images["portainer"] != "" {
		t.Errorf("managed: %+v %v", s.Postgres, s.Images)
	}
}

// An encrypted member is a text, whatever was typed: a port as well.
func TestAPortMayBeAText(t *testing.T) {
	t.Parallel()
	g := inUse().with("ssh", asJSON(map[string]any{"user": "alorig", "port": "2222", "hostKey": keys().Host}))
	for _, encrypted := range []bool{true, false} {
		if s, err := Parse(g.encrypted("ssh", encrypted).config(), needs()); err != nil || s.SSH.Port != 2222 {
			t.Errorf("%v, %v", s.SSH, err)
		}
	}
}

// Only what the rollout has come to is needed.
func TestAPartialRolloutNeedsLess(t *testing.T) {
	t.Parallel()
	g := inUse().without("adminCidrs").with("zones", `{"psydge.com":"9f8e7d6c5b4a3928a1b2c3d4e5f60718"}`).
		with("images", `{"psydge-backend":"ghcr.io/alorig/psydge-backend:1.4"}`)
	if got := problemsOf(t, g.with("rollout", "psydge").config(), needs()); got != nil {
		t.Errorf("Psydge alone: %v", got)
	}
	if got := problemsOf(t, g.without("zones", "images", "secrets").with("rollout", "none").config(), needs()); got != nil {
		t.Errorf("the platform alone: %v", got)
	}
	want := []string{`zones["snapify.pk"]`, `images["snapify-backend"]`, "adminCidrs[0]"}
	if got := keysOf(problemsOf(t, g.with("rollout", "snapify").config(), needs())); !slices.Equal(got, want) {
		t.Errorf("Snapify asks for %v, want %v", got, want)
	}
	s, err := Parse(inUse().with("rollout", "psydge").config(), needs())
	if err != nil || len(s.Zones) != 1 || len(s.Images) != 1 || len(s.Secrets) != 1 || s.AdminCIDRs != nil {
		t.Errorf("Psydge is given what is of others: %v, %v", s, err)
	}
}

// A rollout that is not known is one problem, and not those of all apps besides; a reach
// does not hide it.
func TestARolloutIsJudgedAsItStands(t *testing.T) {
	t.Parallel()
	for _, g := range []given{inUse().with("rollout", "psydg"), inUse().without("rollout")} {
		bare := g.without("zones", "images", "secrets", "adminCidrs")
		if got := keysOf(problemsOf(t, bare.config(), needs())); !slices.Equal(got, []string{"rollout"}) {
			t.Errorf("%v", got)
		}
		reaching := needs()
		reaching.Reach = "asms"
		if got := keysOf(problemsOf(t, g.config(), reaching)); !slices.Equal(got, []string{"rollout"}) {
			t.Errorf("with a reach: %v", got)
		}
	}
	if p := find(t, problemsOf(t, inUse().with("rollout", "psydg").config(), needs()), "rollout"); p.Problem != `is "psydg", did you mean psydge?` {
		t.Error(p.Problem)
	}
	reaching := needs()
	reaching.Reach = "snapify"
	for _, rollout := range []string{"none", "psydge", "asms"} {
		if s, err := Parse(inUse().with("rollout", rollout).config(), reaching); err != nil || s.Rollout != "snapify" || len(s.Images) != 2 {
			t.Errorf("%s: %v, %v", rollout, s, err)
		}
	}
}

func TestManagedPlatformNeedsItsImages(t *testing.T) {
	t.Parallel()
	want := []string{`images.postgres`, `images.redis`, `images.caddy`}
	if got := keysOf(problemsOf(t, inUse().with("platform", "managed").config(), needs())); !slices.Equal(got, want) {
		t.Errorf("asks for %v, want %v", got, want)
	}
}

const unset = "\x00"

func TestWrongSettings(t *testing.T) {
	t.Parallel()
	images := func(reference any) string { return asJSON(map[string]any{"psydge-backend": reference}) }
	psydge := inUse().with("rollout", "psydge")
	sshWith := func(change map[string]any) string {
		value := map[string]any{"user": "alorig", "hostKey": keys().Host}
		maps.Copy(value, change)
		return asJSON(value)
	}
	zones := func(id any) string { return asJSON(map[string]any{"psydge.com": id}) }
	tests := []struct {
		name       string
		key, value string
		wantKey    string // without its namespace; key if empty
		says       string
		remedy     string // after "pulumi config "; not compared if empty
	}{
		{"rollout unset", "rollout", unset, "", "is not set; accepted: none, psydge, snapify, sitebuilder, observer, astrotiming, asms", "set 'alorig:rollout' ROLLOUT"},
		{"rollout empty", "rollout", "", "", "is not set", ""},
		{"rollout of no app", "rollout", "shop", "", `is "shop"; accepted`, "set 'alorig:rollout' ROLLOUT"},
		{"rollout in capitals", "rollout", "Psydge", "", `is "Psydge", did you mean psydge?`, ""},
		{"platform unset", "platform", unset, "", "accepted: existing, managed", "set 'alorig:platform' PLATFORM"},
		{"platform of another kind", "platform", "shared", "", `is "shared"`, ""},
		{"engine of another kind", "engine", "tcp", "", `is "tcp"; accepted: ssh, local`, "set 'alorig:engine' ssh"},
		{"engine in capitals", "engine", "SSH", "", `is "SSH", did you mean ssh?`, "set 'alorig:engine' ssh"},
		{"socket without its scheme", "dockerSocket", "/var/run/docker.sock", "", "unix:// and a path", "set 'alorig:dockerSocket' unix:///var/run/docker.sock"},

		{"address unset", "serverAddress", unset, "", "is not set; accepted: the server's public IPv4 address", "set 'alorig:serverAddress' ADDRESS"},
		{"name for an address", "serverAddress", "alorig.com", "", `is "alorig.com"`, ""},
		{"IPv6 address", "serverAddress", "2001:db8::1", "", "an IPv6 address", ""},
		{"IPv4 written as IPv6", "serverAddress", "::ffff:8.8.4.4", "", "an IPv6 address", ""},
		{"address out of range", "serverAddress", "8.8.8.256", "", `is "8.8.8.256"`, ""},
		{"every address", "serverAddress", "0.0.0.0", "", "no machine's own", ""},
		{"loopback", "serverAddress", "127.0.0.1", "", "each machine itself", ""},
		{"multicast", "serverAddress", "224.0.0.1", "", "a multicast address", ""},
		{"broadcast", "serverAddress", "255.255.255.255", "", "the broadcast address", ""},
		{"reserved", "serverAddress", "240.1.2.3", "", "no machine's own", ""},
		{"private", "serverAddress", "192.168.1.4", "", "a private network", ""},
		{"link-local", "serverAddress", "169.254.1.1", "", "a private network", ""},
		{"carrier's NAT", "serverAddress", "100.64.0.9", "", "a private network", ""},

		{"SSH as text", "ssh", `"alorig@server"`, "", "not an object", ""},
		{"SSH as a list", "ssh", `["alorig"]`, "", "is a list, not an object", ""},
		{"SSH with an unknown member", "ssh", sshWith(map[string]any{"identity": "c4n4ry"}), "ssh.identity", "is read by nothing; accepted: user, port, hostKey", "rm --path 'alorig:ssh.identity'"},
		{"SSH with a misspelt member", "ssh", sshWith(map[string]any{"prot": 2222}), "ssh.prot", "did you mean alorig:ssh.port?", "rm --path 'alorig:ssh.prot'"},
		{"SSH with the private key inside", "ssh", sshWith(map[string]any{"privateKey": "c4n4ry"}), "ssh.privateKey", "did you mean alorig:sshPrivateKey?", ""},
		{"no user", "ssh", sshWith(map[string]any{"user": ""}), "ssh.user", "is not set", "set --path 'alorig:ssh.user' alorig"},
		{"user as a number", "ssh", sshWith(map[string]any{"user": 1000}), "ssh.user", "is the number 1000, not a text", "set --type string --path 'alorig:ssh.user' alorig"},
		{"user that is an option", "ssh", sshWith(map[string]any{"user": "-oProxyCommand=x"}), "ssh.user", `is "-oProxyCommand=x"`, ""},
		{"port 0", "ssh", sshWith(map[string]any{"port": 0}), "ssh.port", "is the number 0; accepted: a port from 1 to 65535", "set --path 'alorig:ssh.port' 22"},
		{"port too large", "ssh", sshWith(map[string]any{"port": 65536}), "ssh.port", "is the number 65536", ""},
		{"port that is no whole number", "ssh", sshWith(map[string]any{"port": 22.5}), "ssh.port", "is the number 22.5", ""},
		{"port as a word", "ssh", sshWith(map[string]any{"port": "ssh"}), "ssh.port", `is "ssh"; accepted: a port`, ""},
		{"port as a truth value", "ssh", sshWith(map[string]any{"port": true}), "ssh.port", "is the truth value true", ""},
		{"no host key", "ssh", sshWith(map[string]any{"hostKey": ""}), "ssh.hostKey", "without it any server is believed", "set --path 'alorig:ssh.hostKey' 'ssh-ed25519 AAAA…'"},
		{"malformed host key", "ssh", sshWith(map[string]any{"hostKey": "ssh-ed25519 c4n4ry"}), "ssh.hostKey", "is not of the accepted form", ""},
		{"host key with its host", "ssh", sshWith(map[string]any{"hostKey": "8.8.4.4 " + keys().Host}), "ssh.hostKey", "without the host name", ""},
		{"two host keys", "ssh", sshWith(map[string]any{"hostKey": keys().Host + "\n" + keys().Host}), "ssh.hostKey", "is not", ""},
		{"no private key", "sshPrivateKey", unset, "", "is not set", "set --secret 'alorig:sshPrivateKey' < ~/.ssh/alorig"},
		{"private key that is none", "sshPrivateKey", "c4n4ry", "", "no key found; accepted: a private key without a passphrase", ""},
		{"private key with a passphrase", "sshPrivateKey", keys().Locked, "", "passphrase protected; accepted: a private key without a passphrase, set with --secret: nobody is there to type one", ""},

		{"zones as a list", "zones", `["psydge.com"]`, "", "is a list, not an object", ""},
		{"zone missing", "zones", `{"snapify.pk":"9f8e7d6c5b4a3928a1b2c3d4e5f60718"}`, `zones["psydge.com"]`, "is not set", `set --path 'alorig:zones["psydge.com"]' ZONE_ID`},
		{"zone misspelt", "zones", `{"psydge.con":"9f8e7d6c5b4a3928a1b2c3d4e5f60718"}`, `zones["psydge.com"]`, `is not set; alorig:zones["psydge.con"] is set: is that misspelt?`, ""},
		{"zone id too short", "zones", zones("9f8e7d6c5b4a3928"), `zones["psydge.com"]`, `is "9f8e7d6c5b4a3928"`, ""},
		{"zone id in capitals", "zones", zones("9F8E7D6C5B4A3928A1B2C3D4E5F60718"), `zones["psydge.com"]`, "32 hexadecimal digits", ""},
		{"zone id as a number", "zones", `{"psydge.com":12345678901234567890123456789012}`, `zones["psydge.com"]`, "is the number 12345678901234567890123456789012, not a text", `set --type string --path 'alorig:zones["psydge.com"]' ZONE_ID`},
		{"zone id as an object", "zones", `{"psydge.com":{"id":"x"}}`, `zones["psydge.com"]`, "is an object", ""},
		{"name for a zone id", "zones", zones("psydge.com"), `zones["psydge.com"]`, `is "psydge.com"`, ""},
		{"zone id of another domain", "zones", `{"a.com":"9f8e7d6c5b4a3928a1b2c3d4e5f60718","psydge.com":"9f8e7d6c5b4a3928a1b2c3d4e5f60718"}`, `zones["a.com"]`, "the id of psydge.com", ""},
		{"no Cloudflare token", "cloudflareApiToken", unset, "", "is not set", "set --secret 'alorig:cloudflareApiToken'"},
		{"URL for a host", "cloudflareApiHostname", "https://localhost", "", "a host name", ""},
		{"host with a port too large", "cloudflareApiHostname", "localhost:65536", "", `is "localhost:65536", with a wrong port; a port is from 1 to 65535`, ""},
		{"host with no port", "cloudflareApiHostname", "localhost:", "", `is "localhost:", with a wrong port`, ""},

		{"image missing", "images", `{"snapify-backend":"ghcr.io/a/b:1"}`, `images["psydge-backend"]`, "is not set", `set --path 'alorig:images["psydge-backend"]' 'ghcr.io/alorig/psydge-backend@sha256:DIGEST'`},
		{"image misspelt", "images", `{"psydge-backnd":"ghcr.io/a/b:1"}`, `images["psydge-backend"]`, `alorig:images["psydge-backnd"] is set: is that misspelt?`, ""},
		{"image without a version", "images", images("ghcr.io/alorig/psydge-backend"), `images["psydge-backend"]`, "a tag, a digest or both", ""},
		{"image with a short digest", "images", images("ghcr.io/a/b@sha256:abcd"), `images["psydge-backend"]`, "ghcr.io/a/b@sha256:abcd", ""},
		{"image that is a digest alone", "images", images("sha256:" + strings.Repeat("ab", 32)), `images["psydge-backend"]`, "a digest without its image", ""},
		{"image that is an id", "images", images(strings.Repeat("ab", 32)), `images["psydge-backend"]`, "is ", ""},
		{"image at a port too large", "images", images("ghcr.io:70000/a/b:1"), `images["psydge-backend"]`, "a port is from 1 to 65535", ""},
		{"image with a space", "images", images("ghcr.io/a/b:1 --privileged"), `images["psydge-backend"]`, "invalid reference format", ""},
		{"image in capitals", "images", images("ghcr.io/Alorig/b:1"), `images["psydge-backend"]`, "lowercase", ""},
		{"image as a number", "images", images(7), `images["psydge-backend"]`, "is the number 7, not a text", ""},
		{"image nobody runs", "images", asJSON(map[string]any{"psydge-backend": "a/b:1", "it's": "?"}), `images["it's"]`, "invalid reference format", `set --path 'alorig:images["it'\''s"]' 'ghcr.io/alorig/it'\''s@sha256:DIGEST'`},

		{"registry as a URL", "registry", `{"address":"https://ghcr.io","username":"alorig"}`, "registry.address", `is "https://ghcr.io"`, "set --path 'alorig:registry.address' ghcr.io"},
		{"registry at a port too large", "registry", `{"address":"ghcr.io:99999","username":"alorig"}`, "registry.address", "a port is from 1 to 65535", ""},
		{"registry without a user", "registry", `{"address":"ghcr.io"}`, "registry.username", "is not set", ""},
		{"registry without a password", "registry", `{"address":"ghcr.io","username":"alorig"}`, "registryPassword", "is not set", "set --secret 'alorig:registryPassword'"},
		{"registry with the password inside", "registry", `{"address":"ghcr.io","username":"alorig","password":"c4n4ry"}`, "registry.password", "did you mean alorig:registryPassword?", "rm --path 'alorig:registry.password'"},

		{"all addresses", "adminCidrs", `["0.0.0.0/0"]`, "adminCidrs[0]", "which is everybody", "set --path 'alorig:adminCidrs[0]' ADDRESS/32"},
		{"all IPv6 addresses", "adminCidrs", `["8.8.8.8/32","::/0"]`, "adminCidrs[1]", `is "::/0"`, "set --path 'alorig:adminCidrs[1]' ADDRESS/32"},
		{"half of all addresses", "adminCidrs", `["0.0.0.0/1"]`, "adminCidrs[0]", "far more than administrators have", ""},
		{"half of all IPv6 addresses", "adminCidrs", `["8000::/1"]`, "adminCidrs[0]", "far more than administrators have", ""},
		{"all IPv4 addresses in IPv6", "adminCidrs", `["::ffff:0:0/96"]`, "adminCidrs[0]", "which matches nobody; accepted", ""},
		{"an IPv4 address in IPv6", "adminCidrs", `["::ffff:8.8.8.8/128"]`, "adminCidrs[0]", "write 8.8.8.8/32", ""},
		{"multicast range", "adminCidrs", `["224.0.0.0/8"]`, "adminCidrs[0]", "from which nobody comes", ""},
		{"range with bits behind its length", "adminCidrs", `["8.8.8.8/24"]`, "adminCidrs[0]", "the range is 8.8.8.0/24", ""},
		{"address for a range", "adminCidrs", `["8.8.8.8"]`, "adminCidrs[0]", `is "8.8.8.8"`, ""},
		{"range as a number", "adminCidrs", `["8.8.8.8/32",8]`, "adminCidrs[1]", "is the number 8", ""},
		{"an empty range", "adminCidrs", `["8.8.8.8/32",null]`, "adminCidrs[1]", "is not set", ""},
		{"range as text", "adminCidrs", "8.8.8.8/32", "", "not a list", ""},
		{"range as an object", "adminCidrs", `{"a":"8.8.8.8/32"}`, "", "is an object, not a list", ""},

		{"PostgreSQL host that is none", "postgres", `{"host":"a b"}`, "postgres.host", `is "a b"`, "set --path 'alorig:postgres.host' 127.0.0.1"},
		{"PostgreSQL host with its port", "postgres", `{"host":"localhost:5432"}`, "postgres.host", "without the port", ""},
		{"PostgreSQL port", "postgres", `{"port":-1}`, "postgres.port", "is the number -1", "set --path 'alorig:postgres.port' 15432"},
		{"PostgreSQL user", "postgres", `{"user":"a;b"}`, "postgres.user", `is "a;b"`, ""},
		{"PostgreSQL with the password inside", "postgres", `{"password":"c4n4ry"}`, "postgres.password", "did you mean alorig:postgresPassword?", ""},
		{"no PostgreSQL password", "postgresPassword", unset, "", "is not set", "set --secret 'alorig:postgresPassword'"},
		{"no Redis password", "redisPassword", "", "", "is not set", "set --secret 'alorig:redisPassword'"},

		{"TLS of another kind", "tls", "none", "", "accepted: cloudflare, internal", "set 'alorig:tls' cloudflare"},
		{"relative directory", "caddyDirectory", "caddy", "", "an absolute path", "set 'alorig:caddyDirectory' /srv/alorig/caddy"},
		{"directory with a way out", "caddyDirectory", "/srv/../etc", "", `is "/srv/../etc"`, ""},
		{"directory a shell would split", "caddyDirectory", "/srv/a b", "", "an absolute path", ""},
		{"directory a shell would run", "caddyDirectory", "/srv/$(id)", "", "an absolute path", ""},
		{"relative directory of the program", "serverDirectory", "server", "", `is "server"; accepted: an absolute path`, "set 'alorig:serverDirectory' /srv/alorig/server"},
		{"program where Caddy reads", "serverDirectory", "/srv/alorig/caddy", "", `is "/srv/alorig/caddy", which is alorig:caddyDirectory, and Caddy's container mounts that; accepted: an absolute path`, "set 'alorig:serverDirectory' /srv/alorig/server"},
		{"program below what Caddy reads", "serverDirectory", "/srv/alorig/caddy/sites", "", "below alorig:caddyDirectory, which Caddy's container mounts", ""},
		{"program above what Caddy reads", "serverDirectory", "/srv/alorig", "", "above alorig:caddyDirectory", ""},
		{"program among the static builds", "serverDirectory", "/srv/static/server", "", "below /srv/static, which Caddy's container mounts", ""},
		{"program above the static builds", "serverDirectory", "/srv", "", "above ", ""},
		{"Caddy above the program", "caddyDirectory", "/srv/alorig", "serverDirectory", `is "/srv/alorig/server" unless set, below alorig:caddyDirectory`, "set 'alorig:serverDirectory' DIRECTORY"},
		{"architecture of another name", "serverArchitecture", "x86_64", "", "accepted: amd64, arm64", "set 'alorig:serverArchitecture' amd64"},
		{"architecture misspelt", "serverArchitecture", "amd46", "", "did you mean amd64?", ""},
		{"address that is no mailbox", "acmeEmail", "ops", "", "an e-mail address", "set 'alorig:acmeEmail' ADDRESS"},
		{"mailbox that opens a block", "acmeEmail", "ops@alorig.com{", "", "an e-mail address", ""},
		{"subnet of a public range", "subnet", "8.8.8.0/24", "", `is "8.8.8.0/24"`, "set 'alorig:subnet' 172.30.0.0/24"},
		{"subnet too small", "subnet", "10.0.0.0/27", "", "from /16 to /26", ""},

		{"secrets unset", "secrets", unset, "secrets.psydge.METAAPI_TOKEN", "is not set; accepted: a secret of one line", "set --secret --path 'alorig:secrets.psydge.METAAPI_TOKEN'"},
		{"secrets of another app", "secrets", `{"snapify":{"DATABASE_PASSWORD":"c4n4ry"}}`, "secrets.psydge.DATABASE_PASSWORD", "is not set", ""},
		{"empty secret", "secrets", strings.Replace(psydge.values["secrets"], "c4n4ry-psydge-SECRET_KEY", "", 1), "secrets.psydge.SECRET_KEY", "is not set", ""},
		{"secrets as text", "secrets", `c4n4ry`, "", "is a text, not an object; accepted: an object of apps", ""},
		{"secrets of an app as text", "secrets", `{"psydge":"c4n4ry"}`, "secrets.psydge", "is a text, not an object", ""},
		{"secret as a number", "secrets", strings.Replace(psydge.values["secrets"], `"c4n4ry-psydge-SECRET_KEY"`, "4444", 1), "secrets.psydge.SECRET_KEY", "is a number, not a text", "set --secret --path 'alorig:secrets.psydge.SECRET_KEY'"},
		{"secret as a truth value", "secrets", strings.Replace(psydge.values["secrets"], `"c4n4ry-psydge-SECRET_KEY"`, "true", 1), "secrets.psydge.SECRET_KEY", "is a truth value, not a text", ""},
		{"secret as an object", "secrets", strings.Replace(psydge.values["secrets"], `"c4n4ry-psydge-SECRET_KEY"`, `{"a":"c4n4ry"}`, 1), "secrets.psydge.SECRET_KEY", "is an object, not a text", ""},
		{"secret misspelt", "secrets", strings.Replace(psydge.values["secrets"], `"SECRET_KEY":"c4n4ry-psydge`, `"SECRT_KEY":"c4n4ry-psydge`, 1), "secrets.psydge.SECRET_KEY", "is not set; alorig:secrets.psydge.SECRT_KEY is set: is that misspelt?", ""},
		{"secret of two lines", "secrets", strings.Replace(psydge.values["secrets"], "c4n4ry-psydge-SECRET_KEY", `c4n4ry\nc4n4ry`, 1), "secrets.psydge.SECRET_KEY", "holds a line break", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := psydge.with(tt.key, tt.value)
			if tt.value == unset {
				g = psydge.without(tt.key)
			}
			if tt.wantKey == "" {
				tt.wantKey = tt.key
			}
			problems := problemsOf(t, g.config(), needs())
			p := find(t, problems, tt.wantKey)
			if text := p.Problem + "; accepted: " + p.Accepts; !strings.Contains(text, tt.says) {
				t.Errorf("says %q, want %q", text, tt.says)
			}
			if tt.remedy != "" && p.Remedy != "pulumi config "+tt.remedy {
				t.Errorf("remedy %q, want %q", p.Remedy, "pulumi config "+tt.remedy)
			}
			several := tt.name == "secrets unset" || tt.name == "secrets of another app" || tt.key == "registry"
			if len(problems) != 1 && !several {
				t.Errorf("one mistake, %d problems: %v", len(problems), problems)
			}
		})
	}
}

// Every mistake is told at once, each at its own member.
func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	g := inUse().with("rollout", "psydge").with("engine", "SSH").with("tls", "none").
		with("ssh", `{"user":7,"port":"x","hostKey":"","prot":1}`).
		with("zones", `{"psydge.com":1,"snapify.pk":2}`).
		with("secrets", `{"psydge":{"SECRET_KEY":1,"METAAPI_TOKEN":"c4n4ry","REDIS_PASSWORD":"c4n4ry\n","DATABASE_PASSWORD":true},"asms":3}`).
		with("adminCidrs", `["x",{},"8.8.8.8/32",1]`)
	want := []string{
		"tls", "engine", "ssh.user", "ssh.port", "ssh.hostKey", "ssh.prot", `zones["psydge.com"]`, `zones["snapify.pk"]`,
		"adminCidrs[0]", "adminCidrs[1]", "adminCidrs[3]",
		"secrets.psydge.DATABASE_PASSWORD", "secrets.psydge.REDIS_PASSWORD", "secrets.psydge.SECRET_KEY", "secrets.asms",
	}
	if got := keysOf(problemsOf(t, g.config(), needs())); !slices.Equal(got, want) {
		t.Errorf("%v\nwant\n%v", got, want)
	}
}

// Nobody administers from everywhere, however it is written.
func TestManyRangesAreEverybodyToo(t *testing.T) {
	t.Parallel()
	split := func(bits, n int) (ranges []string) {
		for i := range n {
			ranges = append(ranges, fmt.Sprintf("%d.0.0.0/%d", i<<(8-bits), bits))
		}
		return ranges
	}
	for name, ranges := range map[string][]string{
		"two halves": {"0.0.0.0/1", "128.0.0.0/1"}, "all of /8": split(8, 256)[1:], "a sixteenth": split(8, 32)[2:26],
		"a part of each before it": parts(split(8, 32)[2:26]),
	} {
		if problems := problemsOf(t, inUse().with("adminCidrs", asJSON(ranges)).config(), needs()); len(problems) == 0 {
			t.Errorf("%s: accepted", name)
		}
	}
	// The remedy names the widest, where it stands.
	ranges := append([]string{"x", "4.0.0.0/24"}, split(8, 32)[5:26]...)
	if p := find(t, problemsOf(t, inUse().with("adminCidrs", asJSON(ranges)).config(), needs()), "adminCidrs"); p.Remedy != "pulumi config set --path 'alorig:adminCidrs[2]' ADDRESS/32" {
		t.Error(p.Remedy)
	}
	same := []string{"8.0.0.0/8", "8.0.0.0/8", "8.0.0.0/9", "8.1.0.0/16", "2600::/24"}
	if problems := problemsOf(t, inUse().with("adminCidrs", asJSON(same)).config(), needs()); problems != nil {
		t.Errorf("the same range counts again: %v", problems)
	}
}

// parts puts a part of each range before it.
func parts(ranges []string) (all []string) {
	for _, r := range ranges {
		all = append(all, strings.Replace(r, "/8", "/24", 1), r)
	}
	return all
}

// A sandbox has no public address.
func TestASandboxMayBeThisMachine(t *testing.T) {
	t.Parallel()
	for _, g := range []given{inUse().with("tls", "internal"), inUse().with("engine", "local")} {
		for _, address := range []string{"127.0.0.1", "172.30.0.1"} {
			if got := problemsOf(t, g.with("serverAddress", address).config(), needs()); got != nil {
				t.Errorf("%s: %v", address, got)
			}
		}
		for _, address := range []string{"0.0.0.0", "224.0.0.1", "255.255.255.255"} {
			if got := problemsOf(t, g.with("serverAddress", address).config(), needs()); len(got) != 1 {
				t.Errorf("%s: %v", address, got)
			}
		}
	}
}

// What ends a line ends a command of Redis, a header, a line of an environment file.
func TestSecretsAreOfOneLine(t *testing.T) {
	t.Parallel()
	registry := inUse().with("registry", `{"address":"ghcr.io","username":"alorig"}`).with("registryPassword", "c4n4ry").encrypted("registryPassword", true)
	for _, key := range secretKeys() {
		if key == "sshPrivateKey" {
			continue // has lines
		}
		for _, value := range []string{"c4n4ry\nFLUSHALL", "c4n4ry\r", "c4n4ry\x00", "c4n4ry\x1b[2J", "c4n4ry\t1"} {
			problems := problemsOf(t, registry.with(key, value).config(), needs())
			if len(problems) != 1 {
				t.Fatalf("%s of %q: %v", key, value, problems)
			}
			p := find(t, problems, key)
			if !strings.Contains(p.Problem, "line break or another control character") || !strings.Contains(p.Remedy, `openssl rand -base64 60 | tr -d '\n'`) {
				t.Errorf("%+v", p)
			}
		}
	}
}

func TestSecretsInPlainTextAreRefused(t *testing.T) {
	t.Parallel()
	registry := inUse().with("registry", `{"address":"ghcr.io","username":"alorig"}`).with("registryPassword", "c4n4ry").encrypted("registryPassword", true)
	for _, key := range secretKeys() {
		problems := problemsOf(t, registry.encrypted(key, false).config(), needs())
		if len(problems) != 1 || problems[0].Key != Project+":"+key || !strings.HasPrefix(problems[0].Problem, "is stored in plain text") ||
			strings.Contains(problems[0].Accepts, "of one line") == (key == "sshPrivateKey") {
			t.Errorf("%s in plain text: %v", key, problems)
		}
	}
	if problems := problemsOf(t, inUse().encrypted("secrets", false).config(), needs()); len(problems) < 20 {
		t.Errorf("%d secrets of apps in plain text were found", len(problems))
	}
	// One that nobody needs any more is readable all the same.
	for _, g := range []given{
		inUse().with("registryPassword", "c4n4ry"),
		inUse().with("engine", "local").encrypted("sshPrivateKey", false),
		inUse().with("rollout", "none").encrypted("secrets", false),
	} {
		if problems := problemsOf(t, g.config(), needs()); len(problems) == 0 {
			t.Error("a plain secret without use is accepted")
		}
	}
}

// What is encrypted is not quoted, though it is no secret of the schema.
func TestWhatIsEncryptedIsNotQuoted(t *testing.T) {
	t.Parallel()
	for key, value := range map[string]string{
		"rollout": "c4n4ry", "serverAddress": "c4n4ry", "caddyDirectory": "c4n4ry 4444", "serverDirectory": "c4n4ry 4444", "serverArchitecture": "c4n4ry", "acmeEmail": "c4n4ry", "tls": "c4n4ry", "subnet": "c4n4ry",
		"zones": `{"psydge.com":"c4n4ry","snapify.pk":4444}`, "images": `{"psydge-backend":"C4N4RY c4n4ry"}`, "ssh": `{"user":"C c4n4ry","port":"c4n4ry","hostKey":"c4n4ry"}`,
		"adminCidrs": `["c4n4ry",4444]`, "postgres": `{"host":"c4n4ry 1","port":444444}`, "registry": `{"address":"c4n4ry c4n4ry","username":"c4n4ry:1"}`,
	} {
		if problems := problemsOf(t, inUse().with(key, value).encrypted(key, true).config(), needs()); len(problems) == 0 {
			t.Errorf("%s: nothing is wrong", key)
		}
	}
}

// A key that was pasted where another value belongs is not printed.
func TestAPastedKeyIsNotPrinted(t *testing.T) {
	t.Parallel()
	line := strings.Split(keys().Private, "\n")[2]
	letters := strings.NewReplacer("+", "a", "/", "b").Replace(line) // as a line may be by chance
	for _, path := range []string{"ssh.hostKey", "ssh.user", "ssh.port", "zones.a", "images.a", "postgres.host", "registry.username", "serverAddress", "rollout", "caddyDirectory"} {
		for _, pasted := range []string{keys().Private, line, letters, strings.ReplaceAll(keys().Private, "\n", " "), strings.Split(keys().Private, "\n")[0]} {
			key, name, nested := strings.Cut(path, ".")
			g := inUse().with(key, pasted)
			if nested {
				g = inUse().with(key, asJSON(map[string]string{name: pasted}))
			}
			if _, err := Parse(g.config(), needs()); err == nil {
				t.Errorf("%s: accepted", path)
			} else if text := err.Error(); strings.Contains(text, line) || strings.Contains(text, letters) || strings.Contains(text, "BEGIN OPENSSH") {
				t.Errorf("%s prints the key: %v", path, err)
			}
		}
	}
}

// Nor is a password or a token in a text of another kind.
func TestAPastedSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	for path, pasted := range map[string]string{
		"postgres.host": "postgres://postgres:c4n4ry@localhost/app", "registry.address": "https://alorig:c4n4ry@ghcr.io", "registry.username": "alorig:4444", "registry.password": "c4n4ry",
		"cloudflareApiHostname": "alorig:c4n4ry", "dockerSocket": "tcp://op:c4n4ry@server:2376", "acmeEmail": "smtp://op:c4n4ry@alorig.com{25}",
		"zones.a": "c4n4ry5fA0t3R2mQx7Lk9ZbV4nWc8YdE1sHgJuPi", "serverAddress": "ghp_c4n4ryA0t3R2mQx7Lk9ZbV4nWc8YdE1sHgJu", "images.a": "alorig:c4n4ryA0t3R2mQx7Lk9ZbV4nWc8YdE1sHgJu@ghcr.io/a",
	} {
		key, name, nested := strings.Cut(path, ".")
		g := inUse().with(key, pasted)
		if nested {
			g = inUse().with(key, asJSON(map[string]string{name: pasted}))
		}
		if problems := problemsOf(t, g.config(), needs()); len(problems) == 0 { // which looks for the canary
			t.Errorf("%s: accepted", path)
		}
	}
}

// An empty configuration gives one error, and so does the next one; whoever follows each
// remedy has a configuration that is complete.
func TestFollowingEveryRemedyCompletesTheSettings(t *testing.T) {
	t.Parallel()
	model := inUse()
	m := pulumiConfig{}
	for round := range 2 {
		problems := problemsOf(t, m.given(t).config(), needs())
		if len(problems) == 0 {
			t.Fatalf("round %d: nothing is missing", round)
		}
		for _, p := range problems {
			m.follow(t, p, model.at(t, strings.TrimPrefix(p.Key, Project+":")))
		}
	}
	s, err := Parse(m.given(t).config(), needs())
	if err != nil {
		t.Fatalf("every remedy was followed, and still: %v", err)
	}
	if err := s.RefuseDocumentationValues(); err != nil {
		t.Error(err)
	}
}

func TestAnErrorReadsWell(t *testing.T) {
	t.Parallel()
	p := Problem{Key: "alorig:tls", Problem: `is "x"`, Accepts: "a, b", Remedy: "pulumi config set 'alorig:tls' a"}
	one := &Error{[]Problem{p}}
	if got, want := one.Error(), "1 setting must be set or corrected:\n- alorig:tls is \"x\"; accepted: a, b\n    pulumi config set 'alorig:tls' a"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := (&Error{[]Problem{p, p}}).Error(); !strings.HasPrefix(got, "2 settings must be") || strings.Count(got, "\n") != 4 {
		t.Errorf("%q", got)
	}
	p.Key, p.Remedy = "alorig:\x1b[2J\ntls\u202e", "pulumi config rm 'alorig:\ntls'"
	if got := (&Error{[]Problem{p}}).Error(); strings.ContainsAny(got, "\x1b\u202e") || strings.Count(got, "\n") != 2 {
		t.Errorf("a key moves the cursor or fakes a line: %q", got)
	}
}

func TestDocumentationValues(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ key, value, wantKey string }{
		{"serverAddress", "192.0.2.1", "serverAddress"},
		{"serverAddress", "198.51.100.1", "serverAddress"},
		{"serverAddress", "203.0.113.10", "serverAddress"},
		{"ssh", asJSON(map[string]string{"user": "alorig", "hostKey": documentationHostKey + " prod"}), "ssh.hostKey"},
		{"zones", strings.Replace(inUse().values["zones"], "9f8e7d6c5b4a3928a1b2c3d4e5f60718", "00000000000000000000000000000001", 1), `zones["alorig.com"]`},
		{"images", strings.Replace(inUse().values["images"], "ghcr.io/alorig/asms", "registry.example.com/asms", 1), `images["asms-backend"]`},
		{"images", strings.Replace(inUse().values["images"], "ghcr.io/alorig/asms", "example.org:5000/asms", 1), `images["asms-backend"]`},
		{"adminCidrs", `["8.8.8.8/32","198.51.100.7/32"]`, "adminCidrs[1]"},
		{"acmeEmail", "ops@example.com", "acmeEmail"},
	} {
		t.Run(tt.key+" "+tt.wantKey, func(t *testing.T) {
			t.Parallel()
			s, err := Parse(inUse().with(tt.key, tt.value).config(), needs())
			if err != nil {
				t.Fatalf("documentation values preview: %v", err)
			}
			var wrong *Error
			if !errors.As(s.RefuseDocumentationValues(), &wrong) {
				t.Fatalf("%s reaches a server", tt.value)
			}
			if len(wrong.Problems) != 1 || wrong.Problems[0].Key != Project+":"+tt.wantKey || !strings.Contains(wrong.Problems[0].Problem, "documentation value") {
				t.Errorf("%v", wrong.Problems)
			}
		})
	}
}

func TestASecretIsStars(t *testing.T) {
	t.Parallel()
	s := NewSecret("c4n4ry")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t", "%5.2f"} {
		for _, printed := range []string{fmt.Sprintf(verb, s), fmt.Sprintf(verb, &s), fmt.Sprintf(verb, []Secret{s})} {
			if strings.Contains(printed, "c4n4ry") || strings.Contains(printed, "63346e") {
				t.Errorf("%s shows a secret", verb)
			}
		}
	}
	if asJSON(s) != `"`+Stars+`"` || s.String() != Stars || (Secret{}).Reveal() != "" || s.Reveal() != "c4n4ry" {
		t.Error("a secret is not what it is")
	}
}

// Whatever a key holds, the settings are read or refused as settings; and no message shows
// a secret.
func FuzzSettings(f *testing.F) {
	complete := inUse()
	for key, value := range complete.values {
		f.Add(key, value, true)
	}
	for key, value := range map[string]string{
		"rollout": "none", "ssh": `{"user":1}`, "adminCidrs": `["::1/128",null]`, "registry": "null", "zones": `{"":""}`,
		"postgres": `{"host":"[::1]"}`, "engine": "local", "platform": "managed", "tls": "internal", "secrets": `{"psydge":null}`,
		"images": `{"psydge-backend":"a:b@sha256:c"}`, "acmeEmail": "a@b\n", "caddyDirectory": "/",
	} {
		f.Add(key, value, false)
	}
	f.Fuzz(func(t *testing.T, key, value string, encrypted bool) {
		if !utf8.ValidString(value) {
			t.Skip("the Pulumi engine hands configuration over as JSON")
		}
		_, err := Parse(complete.with(key, value).encrypted(key, encrypted).config(), needs())
		var wrong *Error
		if err == nil {
			return
		}
		if !errors.As(err, &wrong) || len(wrong.Problems) == 0 {
			t.Fatalf("not a settings error: %v", err)
		}
		for _, p := range wrong.Problems {
			if !strings.HasPrefix(p.Key, Project+":") || p.Problem == "" || p.Accepts == "" || !strings.Contains(p.Remedy, "pulumi config ") {
				t.Errorf("incomplete: %+v", p)
			}
		}
		if (schema[key] == secretForm || encrypted) && len(value) > 12 && !strings.Contains(fmt.Sprint(refusal(complete.without(key))), value) && strings.Contains(err.Error(), value) {
			t.Errorf("shows the value of %s: %v", key, err)
		}
	})
}

// refusal is what is said of a configuration.
func refusal(g given) error {
	_, err := Parse(g.config(), needs())
	return err
}
