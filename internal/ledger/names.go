package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Only this file builds names: physical ones, which exist on the server, and logical ones,
// by which Pulumi's state knows resources.

// Resource types of this project's own components.
const (
	TypeServer        = "alorig:fleet:Server"
	TypeServerProgram = "alorig:fleet:ServerProgram"
	TypePlatform      = "alorig:fleet:Platform"
	TypeApp           = "alorig:fleet:App"
	TypeWorkload      = "alorig:fleet:Workload"
	TypeDatabase      = "alorig:fleet:Database"
	TypeRedisUser     = "alorig:fleet:RedisUser"
	TypeDomain        = "alorig:fleet:Domain"
	TypeRoute         = "alorig:fleet:Route"
	TypeMigration     = "alorig:fleet:Migration"
	TypeGate          = "alorig:fleet:Gate"
)

// Labels every container of this project carries, transient ones too. Portainer and
// Compose group by the first two; the others tell whose the container is.
const (
	LabelComposeProject = "com.docker.compose.project"
	LabelComposeService = "com.docker.compose.service"
	LabelApp            = "alorig.fleet.app"
	LabelStack          = "alorig.fleet.stack"
)

// KeyPrefixVariables are the four environment variables that hold an app's Redis key
// prefix: for Celery's broker, Celery's results, Django's cache and channels_redis. If one
// is missing, keys are written without the prefix.
var KeyPrefixVariables = []string{
	"CELERY_BROKER_KEY_PREFIX",
	"CELERY_RESULT_KEY_PREFIX",
	"DJANGO_CACHE_KEY_PREFIX",
	"CHANNELS_REDIS_PREFIX",
}

const (
	// LongestCountdown is how far ahead an app may give a task to Celery, by countdown or ETA. What is
	// due later belongs into a schedule, or into the app's own database.
	LongestCountdown = 3 * time.Hour
	// VisibilityTimeout is after how long Celery takes a task for lost that no worker has acknowledged,
	// and delivers it again. A task with a countdown is not acknowledged before it runs: with Celery's own
	// hour, one that is due in two would run twice, a payment included. The price: what a killed
	// worker held comes back only after this time.
	VisibilityTimeout = LongestCountdown + time.Hour
)

var (
	appNamePattern  = regexp.MustCompile(`^[a-z][a-z0-9]{1,30}$`)
	hostNamePattern = regexp.MustCompile(`^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`)
	pathPattern     = regexp.MustCompile(`^(/[a-z0-9][a-z0-9._-]*)+$`)
	staticPattern   = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	databasePattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,59}_db$`)
	rolePattern     = regexp.MustCompile(`^[a-z][a-z0-9_]{0,57}$`) // PostgreSQL cuts names at 63 bytes, and a login role adds five
	loginPattern    = regexp.MustCompile(`^(.+)_[0-9a-f]{4}$`)
)

// ContainerName is the fixed name of an app's container (seed §3): "psydge_backend".
func ContainerName(app string, r Role) string { return app + "_" + string(r) }

// A transient container stands beside those of the app and is gone before the update
// ends. The end of its name tells what it is.
const (
	nextSuffix      = "_next"
	previousSuffix  = "_previous"
	migrationSuffix = "_migrate"
)

// NextName is the name under which the next version of a serving container stands
// beside it: "psydge_backend_next".
func NextName(container string) string { return container + nextSuffix }

// PreviousName is the name that the old container of a handover has from when its
// next version serves until it is removed: "psydge_backend_previous".
func PreviousName(container string) string { return container + previousSuffix }

// MigrationName is the name of the container that migrates an app's database:
// "psydge_migrate".
func MigrationName(app string) string { return app + migrationSuffix }

// LoginRole is the name of the role that logs in to PostgreSQL with the password and then
// acts as the role that owns the database: "psydge_3fa1". A new password makes a new name, so
// that its role stands beside the old one until no container uses that any more.
//
// The name is no secret, and says little about the password: one in 65,536 has the same four
// digits. Where a new password happens to, the role gets it in place, and the old one ends
// before the containers that know it.
func LoginRole(role, password string) string {
	sum := sha256.Sum256([]byte("login\x00" + role + "\x00" + password))
	return role + "_" + hex.EncodeToString(sum[:2])
}

// loginOwner is the role of which a name of this form is a login; "" for another form.
func loginOwner(login string) string {
	if found := loginPattern.FindStringSubmatch(login); found != nil {
		return found[1]
	}
	return ""
}

// WorkerNode is the node name a Celery worker registers under and is pinged by.
func WorkerNode(app string) string { return app + "@" + ContainerName(app, Worker) }

// Logical is a logical name: its parts joined by dashes. That of a resource of an app
// starts with the app's name; the other parts tell it from its siblings.
func Logical(parts ...string) string {
	return logicalLetters.Replace(strings.Join(parts, "-"))
}

// Built once, because building a replacer takes longer than using it.
var logicalLetters = strings.NewReplacer("_", "-", "*", "wildcard", "/", "-")

// SiteFile is the name of an app's Caddy site file.
func SiteFile(app string) string { return app + ".caddy" }

// SiteApp is the app whose site file has the name.
func SiteApp(file string) string { return strings.TrimSuffix(file, ".caddy") }

// SitesDir is the directory of the site files, beside the main Caddyfile. Mount the
// directory, not the files: replacing a file by a rename changes its inode.
const SitesDir = "sites"

// SitesDirectory is [SitesDir] in Caddy's configuration directory on the server.
func SitesDirectory(caddy string) string { return path.Join(caddy, SitesDir) }

// LockFile is the file on the server that is locked while something is done to what name
// stands for. Caddy does not read it: its name starts with a dot.
func LockFile(caddy, name string) string { return path.Join(SitesDirectory(caddy), "."+name+".lock") }

// ServerProgram is the path of the program on the server in its directory. Its log lies
// beside it.
func ServerProgram(directory string) string { return path.Join(directory, "alorig-server") }

// StaticDirectory holds the static builds of all apps, on the server and inside Caddy.
const StaticDirectory = "/srv/static"

// StaticRoot is where Caddy finds a static build of an app.
func StaticRoot(app, build string) string { return path.Join(StaticDirectory, app, build) }

// Volume is the name of a data volume of a shared service.
func Volume(service string) string { return service + "_data" }

func sortedSet(collect func(add func(string))) []string {
	seen := map[string]bool{}
	var all []string
	collect(func(s string) {
		if !seen[s] {
			seen[s] = true
			all = append(all, s)
		}
	})
	slices.Sort(all)
	return all
}
