// Package settings reads the configuration of a stack. It is the only reader: the
// program, the checks and the operator's commands all get the same values, the same
// defaults and the same verdict.
//
// A configuration comes from a stack file ([Open]) or from a running program
// ([FromContext]); [Parse] turns it into [Settings], and reports everything that is wrong
// with it at once.
package settings

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/alorig/fleet/internal/caddysite"
	"github.com/alorig/fleet/internal/workload"
)

// Project is the Pulumi project's name, and the namespace of its configuration.
const Project = "alorig"

// Settings is the configuration of a stack, read and checked. Pulumi.yaml documents every
// key.
type Settings struct {
	Rollout    string                // alorig:rollout; "" when it is "none"
	Platform   workload.PlatformMode // alorig:platform
	Address    string                // alorig:serverAddress, IPv4
	SSH        *SSH                  // alorig:ssh; nil with alorig:engine "local"
	Zones      map[string]string     // alorig:zones, zone ids by domain; those of the deployed apps
	Images     map[string]string     // alorig:images, references by image name; those of the deployed apps
	AdminCIDRs []netip.Prefix        // alorig:adminCidrs; nil while no restricted host is deployed
	Postgres   Postgres              // alorig:postgres
	Registry   *Registry             // alorig:registry; nil when images are public
	Subnet     netip.Prefix          // alorig:subnet, default 172.30.0.0/24

	DockerSocket   string        // alorig:dockerSocket, default unix:///var/run/docker.sock
	TLS            caddysite.TLS // alorig:tls, default "cloudflare"
	CaddyDirectory string        // alorig:caddyDirectory, default /srv/alorig/caddy
	Program        ServerProgram // alorig:serverDirectory, alorig:serverArchitecture
	CloudflareHost string        // alorig:cloudflareApiHostname, default the provider's own
	ACMEEmail      string        // alorig:acmeEmail, default none

	RedisPassword   Secret                       // alorig:redisPassword, of Redis' default user
	CloudflareToken Secret                       // alorig:cloudflareApiToken
	Secrets         map[string]map[string]Secret // alorig:secrets, by app and name; those of the deployed apps

	// NotJudged are the settings, with their paths, that the stack file keeps encrypted
	// though they are no secrets. Stand-ins take their places. Nil in a program, which is
	// given all values.
	NotJudged []string
}

// SSH is how the server is reached.
type SSH struct {
	User       string
	Port       int    // default 22
	HostKey    string // "ssh-ed25519 AAAA…"
	PrivateKey Secret // alorig:sshPrivateKey
}

// Postgres is how PostgreSQL is reached from where the program runs.
type Postgres struct {
	Host     string
	Port     int
	User     string // a superuser
	Password Secret // alorig:postgresPassword
}

// ServerProgram is where the program on the server lies, and what it runs on.
type ServerProgram struct {
	// Directory is alorig:serverDirectory, default /srv/alorig/server. No container mounts it.
	Directory string
	// Architecture is alorig:serverArchitecture as Go names it, "amd64" or "arm64". The default
	// is this machine's own with the engine "local", and "amd64" otherwise.
	Architecture string
}

// Registry is where private images come from.
type Registry struct {
	Address  string
	Username string
	Password Secret // alorig:registryPassword
}

// DockerHost is the address of the Docker engine whose containers the program declares, as
// DOCKER_HOST takes it.
func (s Settings) DockerHost() string {
	if s.SSH == nil {
		return s.DockerSocket
	}
	return fmt.Sprintf("ssh://%s@%s:%d", s.SSH.User, s.Address, s.SSH.Port)
}

// RefuseNotJudged reports what is kept encrypted though it is no secret, for a command that
// needs the real values: stand-ins must lead to no server.
func (s Settings) RefuseNotJudged() error {
	var problems []Problem
	for _, key := range s.NotJudged {
		path := strings.TrimPrefix(key, Project+":")
		problems = append(problems, Problem{
			Key: key, Problem: "is kept encrypted, and is needed here, where nothing is decrypted", Accepts: "a value in plain text: it is no secret",
			Remedy: setting("--plaintext ", path) + " VALUE",
		})
	}
	if len(problems) > 0 {
		return &Error{problems}
	}
	return nil
}

// form is what Pulumi.yaml says of a key: how its value is stored.
type form int

const (
	textForm   form = iota
	secretForm      // a text that must be encrypted
	objectForm
	listForm
)

// schema holds every key that is read. A key that is not here is read by nothing.
var schema = map[string]form{
	"rollout":               textForm,
	"platform":              textForm,
	"engine":                textForm,
	"dockerSocket":          textForm,
	"serverAddress":         textForm,
	"ssh":                   objectForm,
	"sshPrivateKey":         secretForm,
	"zones":                 objectForm,
	"cloudflareApiToken":    secretForm,
	"cloudflareApiHostname": textForm,
	"images":                objectForm,
	"registry":              objectForm,
	"registryPassword":      secretForm,
	"adminCidrs":            listForm,
	"postgres":              objectForm,
	"postgresPassword":      secretForm,
	"redisPassword":         secretForm,
	"subnet":                textForm,
	"tls":                   textForm,
	"caddyDirectory":        textForm,
	"serverDirectory":       textForm,
	"serverArchitecture":    textForm,
	"acmeEmail":             textForm,
	"secrets":               objectForm,
}

// members are those of the objects that have no others.
var members = map[string][]string{
	"ssh":      {"user", "port", "hostKey"},
	"postgres": {"host", "port", "user"},
	"registry": {"address", "username"},
}

// elsewhere are the keys that hold what one would look for in an object.
var elsewhere = map[string]string{
	"ssh.privateKey":    "sshPrivateKey",
	"ssh.address":       "serverAddress",
	"ssh.host":          "serverAddress",
	"postgres.password": "postgresPassword",
	"postgres.username": "postgres.user",
	"registry.password": "registryPassword",
	"registry.token":    "registryPassword",
	"registry.user":     "registry.username",
}

// Known lists the keys that are read, without their namespace, sorted.
func Known() []string { return slices.Sorted(maps.Keys(schema)) }
