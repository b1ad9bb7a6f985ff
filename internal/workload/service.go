package workload

import (
	"fmt"
	"time"

	"github.com/alorig/fleet/internal/ledger"
)

// PlatformMode says whose the shared services are.
type PlatformMode string

const (
	// Existing looks the services of Phase 0 up and creates none of them.
	Existing PlatformMode = "existing"
	// Managed creates them: on a new server, or in the sandbox.
	Managed PlatformMode = "managed"
)

// Optional reports whether a managed platform works without the service. The service is
// left out when no image is given for it. No app needs Portainer, and Portainer can do
// anything to the server, so nobody gets it without asking.
func Optional(k ledger.Kind) bool { return k == ledger.Portainer }

// Service says what runs in the container of a shared service.
type Service struct {
	Entrypoint   []string // nil: the image's own
	Command      []string // nil: the image's own
	Probe        Probe
	Grace        time.Duration // how long it may take to stop before it is killed
	Capabilities []string      // Linux capabilities that it keeps
	Data         string        // where its volume is mounted
	SharedMemory ledger.MiB    // of /dev/shm; 0: Docker's own 64 MB
	Password     string        // variable that takes its password or token; "" for none
}

// Linux capabilities that an official image needs to drop from root to its own user, and
// Caddy to listen below 1024. Without CAP_ a refresh reads another name back than was
// set, and the next update replaces the container.
var (
	dropPrivileges = []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID"}
	bindLowPorts   = []string{"CAP_NET_BIND_SERVICE"}
)

// reservedConnections are PostgreSQL connections for the operator when the apps hold all
// of theirs.
const reservedConnections = 3

// redisStart writes the default user with the hash of its password into the ACL file, so
// that the password is on no command line, and keeps the users of the apps.
// A broker must never evict: with noeviction a full Redis refuses writes, which the apps
// see; anything else loses tasks silently (docs/adr/0009-redis-never-evicts.md).
const redisStart = `password=$(printf %%s "$REDIS_PASSWORD" | sha256sum | cut -c1-64)
touch /data/users.acl
others=$(grep -v '^user default ' /data/users.acl || true)
printf 'user default on #%%s ~* &* +@all\n%%s\n' "$password" "$others" > /data/users.acl
exec docker-entrypoint.sh redis-server --dir /data --appendonly yes --aclfile /data/users.acl --maxmemory %dmb --maxmemory-policy noeviction`

// ServiceOf returns what runs in a shared service of the server. postgresUser is
// PostgreSQL's superuser. A service that runs on demand is never created, so asking for
// one is an error.
func ServiceOf(s ledger.Service, server ledger.Server, postgresUser string) (Service, error) {
	service := Service{Grace: 30 * time.Second, Probe: Probe{Timing: serviceTiming}, Data: "/data"}
	switch s.Kind {
	case ledger.Postgres:
		service.Command = []string{
			"postgres",
			"-c", fmt.Sprintf("max_connections=%d", server.Connections+reservedConnections),
			"-c", fmt.Sprintf("superuser_reserved_connections=%d", reservedConnections),
			"-c", fmt.Sprintf("shared_buffers=%dMB", s.Memory.Limit/4),
		}
		// A fast shutdown waits for clients; a database that is killed recovers on start.
		service.Grace = 60 * time.Second
		// On the socket the server of initdb answers too; over TCP only the real one does.
		service.Probe.Test = []string{"CMD", "pg_isready", "-h", "127.0.0.1", "-U", postgresUser}
		service.Capabilities = dropPrivileges
		service.Data, service.Password = "/var/lib/postgresql/data", "POSTGRES_PASSWORD"
		service.SharedMemory = s.SharedMemory()
	case ledger.Redis:
		service.Entrypoint = []string{"sh", "-c", fmt.Sprintf(redisStart, s.Data())}
		service.Probe.Test = []string{"CMD-SHELL", `REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli ping | grep -q PONG`}
		service.Capabilities = dropPrivileges
		service.Password = "REDIS_PASSWORD"
	case ledger.Caddy:
		service.Command = []string{"caddy", "run", "--config", "/etc/caddy/Caddyfile"}
		service.Probe.Test = []string{"CMD", "wget", "-q", "-O", "/dev/null", "http://localhost/health"} // of the main Caddyfile
		service.Capabilities = bindLowPorts
		service.Password = "CLOUDFLARE_API_TOKEN"
	case ledger.Portainer:
		service.Command = []string{"--no-analytics"}
		// The image has no shell and no client, so its own program is asked.
		service.Probe.Test = []string{"CMD", "/portainer", "--version"}
	case ledger.Flower:
		return Service{}, fmt.Errorf("%s runs on demand and is never declared", s.Container)
	default:
		return Service{}, fmt.Errorf("%s is of the kind %q, which the platform cannot create", s.Container, s.Kind)
	}
	return service, nil
}
