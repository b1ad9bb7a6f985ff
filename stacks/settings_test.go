package stacks

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"golang.org/x/crypto/ssh"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/workload"
)

// stored is a configuration as an update sees it: keys without their namespace, the
// secret ones kept encrypted.
type stored struct {
	values map[string]string
	secret map[string]bool
}

func (s stored) get(key string) (string, bool) { v, ok := s.values[key]; return v, ok }
func (s stored) isSecret(key string) bool      { return s.secret[key] }

func (s stored) with(key, value string) stored {
	s.values = maps.Clone(s.values)
	s.values[key] = value
	return s
}

func (s stored) without(keys ...string) stored {
	s.values = maps.Clone(s.values)
	for _, key := range keys {
		delete(s.values, key)
	}
	return s
}

func (s stored) inPlainText(key string) stored {
	s.secret = maps.Clone(s.secret)
	delete(s.secret, key)
	return s
}

// keys holds a key pair for each thing that must parse as one. They open nothing.
var keys = sync.OnceValue(func() (k struct{ host, private, locked string }) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	host, err := ssh.NewPublicKey(public)
	if err != nil {
		panic(err)
	}
	open, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		panic(err)
	}
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("pass"))
	if err != nil {
		panic(err)
	}
	k.host = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host)))
	k.private, k.locked = string(pem.EncodeToMemory(open)), string(pem.EncodeToMemory(locked))
	return k
})

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // a test's own value
	}
	return string(text)
}

// inUse is a configuration of a real server: nothing is missing, nothing is a
// documentation value, and every secret is there.
func inUse() stored {
	l := ledger.Alorig()
	s := stored{secret: map[string]bool{}, values: map[string]string{
		"rollout": "asms", "platform": "existing", "serverAddress": "8.8.4.4",
		"ssh":        asJSON(map[string]any{"user": "alorig", "hostKey": keys().host}),
		"adminCidrs": `["8.8.8.0/24","2001:4860::/32"]`,
	}}
	zones, images := map[string]string{}, map[string]string{}
	for i, zone := range l.Zones() {
		zones[zone] = fmt.Sprintf("%032x", 0xa1b2c3d4e5f60718+uint64(i)) // 16 zeros and 16 digits
		zones[zone] = strings.Replace(zones[zone], strings.Repeat("0", 16), "9f8e7d6c5b4a3928", 1)
	}
	for _, image := range l.Images() {
		images[image] = "ghcr.io/alorig/" + image + "@sha256:" + strings.Repeat("ab", 32)
	}
	s.values["zones"], s.values["images"] = asJSON(zones), asJSON(images)
	secrets := map[string]map[string]string{}
	for _, app := range l.Apps {
		secrets[app.Name] = map[string]string{}
		for _, name := range workload.RequiredSecrets(app, Defined()[app.Name]) {
			secrets[app.Name][name] = "c4n4ry-" + app.Name + "-" + name
		}
	}
	for key, value := range map[string]string{
		"sshPrivateKey": keys().private, "cloudflareApiToken": "c4n4ry-cloudflare",
		"postgresPassword": "c4n4ry-postgres", "redisPassword": "c4n4ry-redis", "secrets": asJSON(secrets),
	} {
		s.values[key], s.secret[key] = value, true
	}
	return s
}

// problemsOf parses the configuration as an update does and returns what is wrong.
func problemsOf(t testing.TB, s source) []Problem {
	t.Helper()
	_, err := parseSettings(s, Alorig(), false)
	if err == nil {
		return nil
	}
	var wrong *SettingsError
	if !errors.As(err, &wrong) {
		t.Fatalf("not a SettingsError: %v", err)
	}
	return wrong.Problems
}

func TestACompleteConfigurationIsRead(t *testing.T) {
	t.Parallel()
	s, err := parseSettings(inUse(), Alorig(), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.refuseDocumentationValues(); err != nil {
		t.Error(err)
	}
	if s.Rollout != "asms" || s.Platform != workload.Existing || s.Address != "8.8.4.4" {
		t.Errorf("read %v", s)
	}
	if s.SSH == nil || s.SSH.User != "alorig" || s.SSH.PrivateKey.reveal() != keys().private {
		t.Errorf("SSH %v", s.SSH)
	}
	if got := s.Secrets["psydge"]["METAAPI_TOKEN"].reveal(); got != "c4n4ry-psydge-METAAPI_TOKEN" {
		t.Errorf("METAAPI_TOKEN of Psydge is %q", got)
	}
	if len(s.Zones) != 5 || len(s.Images) != 7 || len(s.AdminCIDRs) != 2 {
		t.Errorf("%d zones, %d images, %d ranges", len(s.Zones), len(s.Images), len(s.AdminCIDRs))
	}

	// What nobody has to set.
	if s.SSH.Port != 22 || s.DockerSocket != "unix:///var/run/docker.sock" || s.TLS != "cloudflare" ||
		s.CaddyDirectory != "/srv/alorig/caddy" || s.CloudflareHost != "" || s.ACMEEmail != "" || s.Registry != nil {
		t.Errorf("defaults %+v", s)
	}
	if pg := s.Postgres; pg.Host != "127.0.0.1" || pg.Port != 15432 || pg.User != "postgres" {
		t.Errorf("PostgreSQL is reached at %v", pg)
	}
}

func TestOptionalSettingsAreRead(t *testing.T) {
	t.Parallel()
	c := inUse().with("registry", `{"address":"ghcr.io","username":"alorig"}`).with("registryPassword", "c4n4ry-registry").
		with("postgres", `{"host":"db.internal","port":5433,"user":"admin"}`).with("tls", "internal").
		with("caddyDirectory", "/opt/caddy").with("cloudflareApiHostname", "localhost:8443").with("acmeEmail", "ops@alorig.com")
	c.secret["registryPassword"] = true
	s, err := parseSettings(c, Alorig(), false)
	if err != nil {
		t.Fatal(err)
	}
	if s.Registry == nil || s.Registry.Address != "ghcr.io" || s.Registry.Username != "alorig" || s.Registry.Password.reveal() != "c4n4ry-registry" {
		t.Errorf("registry %v", s.Registry)
	}
	if s.Postgres.Host != "db.internal" || s.Postgres.Port != 5433 || s.Postgres.User != "admin" {
		t.Errorf("postgres %v", s.Postgres)
	}
	if s.TLS != "internal" || s.CaddyDirectory != "/opt/caddy" || s.CloudflareHost != "localhost:8443" || s.ACMEEmail != "ops@alorig.com" {
		t.Errorf("read %+v", s)
	}

	// On the machine itself nothing of SSH is needed.
	s, err = parseSettings(c.with("engine", "local").with("dockerSocket", "unix:///run/docker.sock").without("ssh", "sshPrivateKey"), Alorig(), false)
	if err != nil {
		t.Fatal(err)
	}
	if s.SSH != nil || s.DockerSocket != "unix:///run/docker.sock" || s.dockerHost() != "unix:///run/docker.sock" || s.shell().Connection != nil {
		t.Errorf("local engine: %+v", s)
	}
}

// Only what the rollout has come to is needed.
func TestAPartialRolloutNeedsLess(t *testing.T) {
	t.Parallel()
	c := inUse().without("adminCidrs").with("zones", `{"psydge.com":"9f8e7d6c5b4a3928a1b2c3d4e5f60718"}`).
		with("images", `{"psydge-backend":"ghcr.io/alorig/psydge-backend:1.4"}`)
	if got := problemsOf(t, c.with("rollout", "psydge")); got != nil {
		t.Errorf("Psydge alone: %v", got)
	}
	if got := problemsOf(t, c.without("zones", "images", "secrets").with("rollout", "none")); got != nil {
		t.Errorf("the platform alone: %v", got)
	}
	var asked []string
	for _, p := range problemsOf(t, c.with("rollout", "snapify")) {
		asked = append(asked, p.Key)
	}
	if want := []string{`alorig:zones["snapify.pk"]`, `alorig:images["snapify-backend"]`, "alorig:adminCidrs[0]"}; !slices.Equal(asked, want) {
		t.Errorf("Snapify asks for %v, want %v", asked, want)
	}
}

func TestManagedPlatformNeedsItsImages(t *testing.T) {
	t.Parallel()
	var asked []string
	for _, p := range problemsOf(t, inUse().with("platform", "managed")) {
		asked = append(asked, p.Key)
	}
	want := []string{`alorig:images["postgres"]`, `alorig:images["redis"]`, `alorig:images["caddy"]`}
	if !slices.Equal(asked, want) {
		t.Errorf("asks for %v, want %v", asked, want)
	}
}

func TestWrongSettings(t *testing.T) {
	t.Parallel()
	images := func(reference any) string { return asJSON(map[string]any{"psydge-backend": reference}) }
	psydge := inUse().with("rollout", "psydge")
	sshWith := func(change map[string]any) string {
		value := map[string]any{"user": "alorig", "hostKey": keys().host}
		maps.Copy(value, change)
		return asJSON(value)
	}
	const unset = "\x00"
	tests := []struct {
		name       string
		key, value string
		wantKey    string // without its namespace; key if empty
		says       string
		remedy     string // after "pulumi config set "; not compared if empty
	}{
		{"rollout unset", "rollout", unset, "", "is not set; accepted: none, psydge, snapify, sitebuilder, observer, astrotiming, asms", "'alorig:rollout' ROLLOUT"},
		{"rollout empty", "rollout", "", "", "is not set", ""},
		{"rollout of no app", "rollout", "shop", "", `is "shop"`, "'alorig:rollout' ROLLOUT"},
		{"rollout in capitals", "rollout", "Psydge", "", `is "Psydge"`, ""},
		{"platform unset", "platform", unset, "", "accepted: existing, managed", "'alorig:platform' PLATFORM"},
		{"platform of another kind", "platform", "shared", "", `is "shared"`, ""},
		{"engine of another kind", "engine", "tcp", "", `is "tcp"; accepted: ssh, local`, "'alorig:engine' ssh"},
		{"socket without its scheme", "dockerSocket", "/var/run/docker.sock", "", "unix:// and a path", "'alorig:dockerSocket' unix:///var/run/docker.sock"},

		{"address unset", "serverAddress", unset, "", "is not set; accepted: an IPv4 address", "'alorig:serverAddress' 198.51.100.7"},
		{"name for an address", "serverAddress", "alorig.com", "", `is "alorig.com"`, ""},
		{"IPv6 address", "serverAddress", "2001:db8::1", "", "an IPv4 address", ""},
		{"address out of range", "serverAddress", "8.8.8.256", "", `is "8.8.8.256"`, ""},
		{"every address", "serverAddress", "0.0.0.0", "", `is "0.0.0.0"`, ""},

		{"SSH as text", "ssh", `"alorig@server"`, "ssh.user", "cannot be read", "--path 'alorig:ssh.user' alorig"},
		{"SSH with an unknown member", "ssh", sshWith(map[string]any{"identity": "x"}), "ssh.user", `unknown field "identity"`, ""},
		{"SSH twice", "ssh", sshWith(nil) + "{}", "ssh.user", "more than one value", ""},
		{"no user", "ssh", sshWith(map[string]any{"user": ""}), "ssh.user", "is not set", "--path 'alorig:ssh.user' alorig"},
		{"user that is an option", "ssh", sshWith(map[string]any{"user": "-oProxyCommand=x"}), "ssh.user", `is "-oProxyCommand=x"`, ""},
		{"port 0", "ssh", sshWith(map[string]any{"port": 0}), "ssh.port", "is 0; accepted: a port from 1 to 65535", "--path 'alorig:ssh.port' 22"},
		{"port too large", "ssh", sshWith(map[string]any{"port": 65536}), "ssh.port", "is 65536", ""},
		{"port as text", "ssh", sshWith(map[string]any{"port": "22"}), "ssh.user", "cannot be read", ""},
		{"no host key", "ssh", sshWith(map[string]any{"hostKey": ""}), "ssh.hostKey", "without it any server is believed", "--path 'alorig:ssh.hostKey' 'ssh-ed25519 AAAA…'"},
		{"malformed host key", "ssh", sshWith(map[string]any{"hostKey": "ssh-ed25519 AAAA"}), "ssh.hostKey", `is "ssh-ed25519 AAAA"`, ""},
		{"host key with its host", "ssh", sshWith(map[string]any{"hostKey": "8.8.4.4 " + keys().host}), "ssh.hostKey", "without the host name", ""},
		{"two host keys", "ssh", sshWith(map[string]any{"hostKey": keys().host + "\n" + keys().host}), "ssh.hostKey", "is ", ""},
		{"no private key", "sshPrivateKey", unset, "", "is not set", "--secret 'alorig:sshPrivateKey' < ~/.ssh/alorig"},
		{"private key that is none", "sshPrivateKey", "c4n4ry", "", "no key found", ""},
		{"private key with a passphrase", "sshPrivateKey", keys().locked, "", "passphrase protected; accepted: a private key without a passphrase", ""},

		{"zones as a list", "zones", `["psydge.com"]`, `zones["psydge.com"]`, "cannot be read", ""},
		{"zone missing", "zones", `{"snapify.pk":"9f8e7d6c5b4a3928a1b2c3d4e5f60718"}`, `zones["psydge.com"]`, "is not set", `--path 'alorig:zones["psydge.com"]' ZONE_ID`},
		{"zone id too short", "zones", `{"psydge.com":"9f8e7d6c5b4a3928"}`, `zones["psydge.com"]`, `is "9f8e7d6c5b4a3928"`, ""},
		{"zone id in capitals", "zones", `{"psydge.com":"9F8E7D6C5B4A3928A1B2C3D4E5F60718"}`, `zones["psydge.com"]`, "32 hexadecimal digits", ""},
		{"zone id as a number", "zones", `{"psydge.com":12345678901234567890123456789012}`, `zones["psydge.com"]`, "cannot be read", ""},
		{"name for a zone id", "zones", `{"psydge.com":"psydge.com"}`, `zones["psydge.com"]`, `is "psydge.com"`, ""},
		{"zone id of another domain", "zones", `{"a.com":"9f8e7d6c5b4a3928a1b2c3d4e5f60718","psydge.com":"9f8e7d6c5b4a3928a1b2c3d4e5f60718"}`, `zones["psydge.com"]`, "the id of a.com", ""},
		{"no Cloudflare token", "cloudflareApiToken", unset, "", "is not set", "--secret 'alorig:cloudflareApiToken'"},
		{"URL for a host", "cloudflareApiHostname", "https://localhost", "", "a host name", ""},

		{"image missing", "images", `{"snapify-backend":"ghcr.io/a/b:1"}`, `images["psydge-backend"]`, "is not set", `--path 'alorig:images["psydge-backend"]' ghcr.io/alorig/psydge-backend@sha256:DIGEST`},
		{"image without a version", "images", images("ghcr.io/alorig/psydge-backend"), `images["psydge-backend"]`, "a tag, a digest or both", ""},
		{"image with a short digest", "images", images("ghcr.io/a/b@sha256:abcd"), `images["psydge-backend"]`, "ghcr.io/a/b@sha256:abcd", ""},
		{"image with a space", "images", images("ghcr.io/a/b:1 --privileged"), `images["psydge-backend"]`, "invalid reference format", ""},
		{"image in capitals", "images", images("ghcr.io/Alorig/b:1"), `images["psydge-backend"]`, "lowercase", ""},
		{"image as a number", "images", images(7), `images["psydge-backend"]`, "cannot be read", ""},
		{"image nobody runs", "images", asJSON(map[string]any{"psydge-backend": "a/b:1", "it's": "?"}), `images["it's"]`, "invalid reference format", `--path 'alorig:images["it'\''s"]' ghcr.io/alorig/it's@sha256:DIGEST`},

		{"registry as a URL", "registry", `{"address":"https://ghcr.io","username":"alorig"}`, "registry.address", `is "https://ghcr.io"`, "--path 'alorig:registry.address' ghcr.io"},
		{"registry without a user", "registry", `{"address":"ghcr.io"}`, "registry.username", "is not set", ""},
		{"registry without a password", "registry", `{"address":"ghcr.io","username":"alorig"}`, "registryPassword", "is not set", "--secret 'alorig:registryPassword'"},
		{"registry with the password inside", "registry", `{"address":"ghcr.io","username":"alorig","password":"c4n4ry"}`, "registry.address", `unknown field "password"`, ""},

		{"all addresses", "adminCidrs", `["0.0.0.0/0"]`, "adminCidrs[0]", "not all addresses", "--path 'alorig:adminCidrs[0]' 198.51.100.7/32"},
		{"all IPv6 addresses", "adminCidrs", `["8.8.8.8/32","::/0"]`, "adminCidrs[1]", `is "::/0"`, "--path 'alorig:adminCidrs[1]' 198.51.100.7/32"},
		{"range with bits behind its length", "adminCidrs", `["8.8.8.8/24"]`, "adminCidrs[0]", "no bits set behind its length", ""},
		{"address for a range", "adminCidrs", `["8.8.8.8"]`, "adminCidrs[0]", `is "8.8.8.8"`, ""},
		{"range as text", "adminCidrs", "8.8.8.8/32", "adminCidrs[0]", "cannot be read", ""},

		{"PostgreSQL host that is none", "postgres", `{"host":"a b"}`, "postgres.host", `is "a b"`, "--path 'alorig:postgres.host' 127.0.0.1"},
		{"PostgreSQL port", "postgres", `{"port":-1}`, "postgres.port", "is -1", "--path 'alorig:postgres.port' 15432"},
		{"PostgreSQL user", "postgres", `{"user":"a;b"}`, "postgres.user", `is "a;b"`, ""},
		{"PostgreSQL with the password inside", "postgres", `{"password":"c4n4ry"}`, "postgres.port", `unknown field "password"`, ""},
		{"no PostgreSQL password", "postgresPassword", unset, "", "is not set", "--secret 'alorig:postgresPassword'"},
		{"no Redis password", "redisPassword", "", "", "is not set", "--secret 'alorig:redisPassword'"},

		{"TLS of another kind", "tls", "none", "", "accepted: cloudflare, internal", "'alorig:tls' cloudflare"},
		{"relative directory", "caddyDirectory", "caddy", "", "an absolute path", "'alorig:caddyDirectory' /srv/alorig/caddy"},
		{"directory with a way out", "caddyDirectory", "/srv/../etc", "", `is "/srv/../etc"`, ""},
		{"directory a shell would split", "caddyDirectory", "/srv/a b", "", "an absolute path", ""},
		{"directory a shell would run", "caddyDirectory", "/srv/$(id)", "", "an absolute path", ""},
		{"address that is no mailbox", "acmeEmail", "ops", "", "an e-mail address", "'alorig:acmeEmail' VALUE"},
		{"mailbox that opens a block", "acmeEmail", "ops@alorig.com{", "", "an e-mail address", ""},

		{"secrets unset", "secrets", unset, "secrets.psydge.METAAPI_TOKEN", "is not set; accepted: a secret of psydge", "--secret --path 'alorig:secrets.psydge.METAAPI_TOKEN'"},
		{"secrets of another app", "secrets", `{"snapify":{"DATABASE_PASSWORD":"c4n4ry"}}`, "secrets.psydge.DATABASE_PASSWORD", "is not set", ""},
		{"empty secret", "secrets", strings.Replace(psydge.values["secrets"], "c4n4ry-psydge-SECRET_KEY", "", 1), "secrets.psydge.SECRET_KEY", "is not set", ""},
		{"secrets as text", "secrets", `c4n4ry`, "", "cannot be read; accepted: an object of apps", "--secret 'alorig:secrets'"},
		{"secret as a number", "secrets", `{"psydge":{"SECRET_KEY":4444}}`, "", "cannot be read", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			config := psydge.with(tt.key, tt.value)
			if tt.value == unset {
				config = psydge.without(tt.key)
			}
			if tt.wantKey == "" {
				tt.wantKey = tt.key
			}
			problems := problemsOf(t, config)
			i := slices.IndexFunc(problems, func(p Problem) bool { return p.Key == Project+":"+tt.wantKey })
			if i < 0 {
				t.Fatalf("nothing about %s: %v", tt.wantKey, problems)
			}
			p := problems[i]
			if text := p.Problem + "; accepted: " + p.Accepts; !strings.Contains(text, tt.says) {
				t.Errorf("says %q, want %q", text, tt.says)
			}
			if tt.remedy != "" && p.Remedy != "pulumi config set "+tt.remedy {
				t.Errorf("remedy %q, want %q", p.Remedy, "pulumi config set "+tt.remedy)
			}
			if text := (&SettingsError{problems}).Error(); strings.Contains(text, "c4n4ry") || strings.Contains(text, "4444") {
				t.Errorf("shows a secret: %s", text)
			}
			if tt.key != "secrets" && tt.key != "registry" && len(problems) != 1 {
				t.Errorf("one mistake, %d problems: %v", len(problems), problems)
			}
		})
	}
}

func TestSecretsInPlainTextAreRefused(t *testing.T) {
	t.Parallel()
	registry := inUse().with("registry", `{"address":"ghcr.io","username":"alorig"}`).with("registryPassword", "c4n4ry")
	registry.secret["registryPassword"] = true
	for _, key := range secretKeys {
		problems := problemsOf(t, registry.inPlainText(key))
		if len(problems) != 1 || problems[0].Key != Project+":"+key || problems[0].Problem != "is stored in plain text" {
			t.Errorf("%s in plain text: %v", key, problems)
		}
	}
	problems := problemsOf(t, inUse().inPlainText("secrets"))
	if len(problems) < 40 {
		t.Errorf("%d secrets of apps in plain text were found", len(problems))
	}
	if text := (&SettingsError{problems}).Error(); strings.Contains(text, "c4n4ry") {
		t.Errorf("shows a secret: %s", text)
	}
}

// A stack file shows what an update cannot see: one member in plain text among
// encrypted ones, and a misspelt key.
func TestStackFileIsReadWhole(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, key string
		value     any
		wantKey   string
		says      string
	}{
		{"plain password", "redisPassword", "c4n4ry", "alorig:redisPassword", "is stored in plain text"},
		{"plain private key", "sshPrivateKey", "c4n4ry", "alorig:sshPrivateKey", "is stored in plain text"},
		{"plain secret of an app", "secrets", map[string]any{"psydge": map[string]any{"SECRET_KEY": "c4n4ry"}}, `alorig:secrets["psydge"]["SECRET_KEY"]`, "is stored in plain text"},
		{"plain secret of no app", "secrets", map[string]any{"shop": map[string]any{"TOKEN": "c4n4ry"}}, `alorig:secrets["shop"]["TOKEN"]`, "is stored in plain text"},
		{"misspelt key", "caddyDirectoy", "/srv/caddy", "alorig:caddyDirectoy", "is read by nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			config := with(production(t), tt.key, tt.value)
			err := Alorig().CheckSettings(config)
			var wrong *SettingsError
			if !errors.As(err, &wrong) {
				t.Fatalf("accepted: %v", err)
			}
			if len(wrong.Problems) != 1 || wrong.Problems[0].Key != tt.wantKey || !strings.Contains(wrong.Problems[0].Problem, tt.says) {
				t.Errorf("%v", wrong.Problems)
			}
			if strings.Contains(err.Error(), "c4n4ry") {
				t.Errorf("shows a secret: %v", err)
			}
			if _, _, again := Alorig().Check("prod", config); again == nil || again.Error() != err.Error() {
				t.Errorf("the check says something else: %v", again)
			}
		})
	}
	// What is left of secrets whose members are all encrypted, and another project's keys.
	config := with(production(t), "secrets", map[string]any{"psydge": map[string]any{}})
	config["docker:host"] = "tcp://x"
	if err := Alorig().CheckSettings(config); err != nil {
		t.Error(err)
	}
}

// An empty configuration gives one error, and whoever follows each of its remedies has
// a configuration that is complete.
func TestEverythingMissingAtOnce(t *testing.T) {
	t.Parallel()
	problems := problemsOf(t, stored{})
	want := []string{
		"rollout", "platform", "serverAddress", "sshPrivateKey", "ssh.user", "ssh.hostKey", "postgresPassword",
		`zones["alorig.com"]`, `zones["astrotiming.com"]`, `zones["observeros.app"]`, `zones["psydge.com"]`, `zones["snapify.pk"]`,
		`images["asms-backend"]`, `images["astrotiming-backend"]`, `images["observer-backend"]`, `images["psydge-backend"]`,
		`images["sitebuilder-backend"]`, `images["sitebuilder-payload"]`, `images["snapify-backend"]`,
		"adminCidrs[0]", "redisPassword", "cloudflareApiToken",
	}
	for _, app := range ledger.Alorig().Apps {
		for _, name := range workload.RequiredSecrets(app, Defined()[app.Name]) {
			want = append(want, "secrets."+app.Name+"."+name)
		}
	}
	var got []string
	for _, p := range problems {
		got = append(got, strings.TrimPrefix(p.Key, Project+":"))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("asks for\n%v\nwant\n%v", got, want)
	}

	followed := follow(t, problems, inUse())
	s, err := parseSettings(followed, Alorig(), false)
	if err != nil {
		t.Fatalf("every remedy was followed, and still: %v", err)
	}
	if err := s.refuseDocumentationValues(); err != nil {
		t.Error(err)
	}
}

// follow runs every remedy as a shell would split it, with the values of model in the
// places of the examples, and returns the configuration that comes of it.
func follow(t *testing.T, problems []Problem, model stored) stored {
	t.Helper()
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".ssh", "alorig"), []byte(keys().private), 0o600); err != nil {
		t.Fatal(err)
	}
	settings, secret := config.Map{}, map[string]bool{}
	for _, p := range problems {
		shell := exec.CommandContext(t.Context(), "sh", "-euc", `pulumi() { printf '%s\0' "$@"; }`+"\n"+p.Remedy)
		shell.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}
		said, err := shell.Output()
		if err != nil {
			t.Fatalf("%s: %v", p.Remedy, err)
		}
		words := strings.Split(strings.TrimSuffix(string(said), "\x00"), "\x00")
		if len(words) < 3 || words[0] != "config" || words[1] != "set" {
			t.Fatalf("%s: no pulumi config set: %q", p.Remedy, words)
		}
		words = words[2:]
		path := false
		for strings.HasPrefix(words[0], "--") {
			switch words[0] {
			case "--secret":
				secret[strings.FieldsFunc(strings.TrimPrefix(p.Key, Project+":"), func(r rune) bool { return r == '.' || r == '[' })[0]] = true
			case "--path":
				path = true
			default:
				t.Fatalf("%s: unknown flag", p.Remedy)
			}
			words = words[1:]
		}
		if words[0] != p.Key || len(words) > 2 {
			t.Fatalf("%s sets %q, the problem is with %s", p.Remedy, words, p.Key)
		}
		value := model.at(t, strings.TrimPrefix(p.Key, Project+":"))
		if err := settings.Set(config.MustParseKey(p.Key), config.NewValue(value), path); err != nil {
			t.Fatalf("%s: %v", p.Remedy, err)
		}
	}
	result := stored{values: map[string]string{}, secret: secret}
	for key, value := range settings {
		text, err := value.Value(config.NopDecrypter)
		if err != nil {
			t.Fatal(err)
		}
		result.values[key.Name()] = text
	}
	return result
}

// at returns the text at a path such as zones["psydge.com"].
func (s stored) at(t *testing.T, keyPath string) string {
	t.Helper()
	path, err := resource.ParsePropertyPath(keyPath)
	if err != nil {
		t.Fatalf("%s is no property path: %v", keyPath, err)
	}
	value := s.values[path[0].(string)]
	if len(path) == 1 {
		return value
	}
	var tree any
	if err := json.Unmarshal([]byte(value), &tree); err != nil {
		t.Fatal(err)
	}
	text, ok := path[1:].Get(resource.NewPropertyValue(tree))
	if !ok || !text.IsString() {
		t.Fatalf("nothing at %s", keyPath)
	}
	return text.StringValue()
}

func TestSettingsErrorReadsWell(t *testing.T) {
	t.Parallel()
	p := Problem{Key: "alorig:tls", Problem: `is "x"`, Accepts: "a, b", Remedy: "pulumi config set 'alorig:tls' a"}
	one := &SettingsError{[]Problem{p}}
	if got, want := one.Error(), "1 setting must be set or corrected:\n- alorig:tls is \"x\"; accepted: a, b\n    pulumi config set 'alorig:tls' a"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := (&SettingsError{[]Problem{p, p}}).Error(); !strings.HasPrefix(got, "2 settings must be") || strings.Count(got, "\n") != 4 {
		t.Errorf("%q", got)
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
			s, err := parseSettings(inUse().with(tt.key, tt.value), Alorig(), false)
			if err != nil {
				t.Fatalf("documentation values preview: %v", err)
			}
			var wrong *SettingsError
			if !errors.As(s.refuseDocumentationValues(), &wrong) {
				t.Fatalf("%s reaches a server", tt.value)
			}
			if len(wrong.Problems) != 1 || wrong.Problems[0].Key != Project+":"+tt.wantKey || !strings.Contains(wrong.Problems[0].Problem, "documentation value") {
				t.Errorf("%v", wrong.Problems)
			}
		})
	}
}

// asking notes which keys are read.
type asking struct {
	source
	keys map[string]bool
}

func (a asking) get(key string) (string, bool) { a.keys[key] = true; return a.source.get(key) }

// Pulumi.yaml describes every key that the code reads, and no other.
func TestPulumiYamlDescribesEveryKey(t *testing.T) {
	t.Parallel()
	project, err := workspace.LoadProject(filepath.Join("..", "Pulumi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if string(project.Name) != Project {
		t.Errorf("the project is called %s, the code reads %s:", project.Name, Project)
	}
	read := asking{inUse().with("registry", `{"address":"ghcr.io","username":"alorig"}`), map[string]bool{}}
	_, _ = parseSettings(read, Alorig(), false)
	for key := range read.keys {
		if _, described := project.Config[Project+":"+key]; !described {
			t.Errorf("Pulumi.yaml does not describe %s", key)
		}
	}
	defaults := stored{values: map[string]string{}}
	for full, described := range project.Config {
		key := strings.TrimPrefix(full, Project+":")
		if !read.keys[key] {
			t.Errorf("Pulumi.yaml describes %s, which nothing reads", full)
		}
		if described.TypeName() == "" || len(described.Description) < 20 || !strings.HasSuffix(described.Description, ".") {
			t.Errorf("%s: type %q, description %q", full, described.TypeName(), described.Description)
		}
		if text, ok := described.Default.(string); ok {
			defaults.values[key] = text
		} else {
			defaults.values[key] = asJSON(described.Default)
		}
	}

	// The defaults of Pulumi.yaml are those of the code, and hide nothing that is missing.
	if got, want := problemsOf(t, defaults), problemsOf(t, stored{}); !reflect.DeepEqual(got, want) {
		t.Errorf("with the defaults of Pulumi.yaml: %v\nwithout: %v", got, want)
	}
	merged := inUse()
	for key, value := range defaults.values {
		if _, set := merged.values[key]; !set {
			merged = merged.with(key, value)
		}
	}
	plain, err := parseSettings(inUse(), Alorig(), false)
	if err != nil {
		t.Fatal(err)
	}
	filled, err := parseSettings(merged, Alorig(), false)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(plain, filled) {
		t.Errorf("Pulumi.yaml has other defaults than the code: %+v, %+v", filled, plain)
	}
}

// Whatever a key holds, the settings are refused as settings or can be declared; and
// no message shows a secret.
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
			t.Skip("the engine hands configuration over as JSON")
		}
		config := complete.with(key, value)
		config.secret = maps.Clone(config.secret)
		config.secret[key] = encrypted
		for _, placeholders := range []bool{false, true} {
			s, err := parseSettings(config, Alorig(), placeholders)
			if err != nil {
				var wrong *SettingsError
				if !errors.As(err, &wrong) || len(wrong.Problems) == 0 {
					t.Fatalf("not a SettingsError: %v", err)
				}
				for _, p := range wrong.Problems {
					if !strings.HasPrefix(p.Key, Project+":") || p.Problem == "" || p.Accepts == "" || !strings.HasPrefix(p.Remedy, "pulumi config set ") {
						t.Errorf("incomplete: %+v", p)
					}
				}
				if (slices.Contains(secretKeys, key) || key == "secrets") && len(value) > 12 && !strings.Contains(problemText(complete, key), value) && strings.Contains(err.Error(), value) {
					t.Errorf("shows the value of %s: %v", key, err)
				}
				continue
			}
			_ = s.refuseDocumentationValues()
			if _, err := Alorig().dryRun("prod", s); err != nil {
				t.Errorf("accepted settings cannot be declared: %v", err)
			}
		}
	})
}

// problemText is what is said of the key when it is missing: words that any message has.
func problemText(s stored, key string) string {
	_, err := parseSettings(s.without(key), Alorig(), false)
	return fmt.Sprint(err)
}
