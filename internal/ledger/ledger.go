// Package ledger is the ledger: one typed table of everything that is allocated on
// the server, and pure functions that answer questions about it. It imports no
// Pulumi package; the program and the policy pack both build on it.
//
// The numbers come from seed 05, "Multi-App Deployment"; where a field's comment
// names a section, that section is the source. Where the seed leaves a split open,
// the split is ours and a test holds its sum against the seed.
package ledger

// Ledger is everything that has a place on one server.
type Ledger struct {
	Server   Server        `json:"server"`
	Reserved []Reservation `json:"reserved"` // counted, never deployed from here
	Services []Service     `json:"services"` // the shared services of Phase 0
	Apps     []App         `json:"apps"`     // in deployment order (seed §2)
}

// Server is the machine and the limits that hold for all of it.
type Server struct {
	Memory         MiB    `json:"memory"`         // what the machine has (seed §1)
	UpgradeTrigger MiB    `json:"upgradeTrigger"` // steady state above this means a larger server (seed §10)
	Connections    int    `json:"connections"`    // PostgreSQL connections in all (seed §10)
	RedisMemory    MiB    `json:"redisMemory"`    // a container of Redis that takes more means a review (seed §10)
	Network        string `json:"network"`        // the one Docker network (seed §3)
}

// Memory is what one entry takes of the server.
type Memory struct {
	Steady MiB `json:"steady"` // steady state; Docker's memory reservation
	Limit  MiB `json:"limit"`  // hard limit; the kernel kills above it
}

// Reservation is a tenant of the server that another project deploys.
type Reservation struct {
	Name        string   `json:"name"`
	Containers  []string `json:"containers,omitempty"`
	Memory      Memory   `json:"memory"`
	Port        int      `json:"port,omitempty"`
	RedisDB     *int     `json:"redisDB,omitempty"` // nil: uses none
	Connections int      `json:"connections,omitempty"`
}

// Service is one container of the shared infrastructure.
type Service struct {
	Container string `json:"container"` // fixed container name
	Kind      Kind   `json:"kind"`
	Port      int    `json:"port"` // where it listens inside the network
	Memory    Memory `json:"memory"`
	HostPorts []int  `json:"hostPorts,omitempty"` // published on the server
	OnDemand  bool   `json:"onDemand,omitempty"`  // runs only while somebody looks; books transient memory
}

// Kind tells what a shared service is.
type Kind string

// The shared services of seed §1.
const (
	Postgres  Kind = "postgres"
	Redis     Kind = "redis"
	Caddy     Kind = "caddy"
	Portainer Kind = "portainer"
	Flower    Kind = "flower"
)

// App is one Alorig application and all it may use.
type App struct {
	Name       string      `json:"name"`  // prefix of every name it owns
	Title      string      `json:"title"` // as people say it
	Blueprint  string      `json:"blueprint"`
	Budget     MiB         `json:"budget"` // steady state of all its containers (seed §1)
	Containers []Container `json:"containers"`
	RedisDB    int         `json:"redisDB"`
	KeyPrefix  string      `json:"keyPrefix"` // ends in ":"
	Databases  []Database  `json:"databases"`
	Hosts      []Host      `json:"hosts"`
	Routes     []Route     `json:"routes"`
}

// Container is one container of an app.
type Container struct {
	Role        Role   `json:"role"`
	Image       string `json:"image"`          // image name; the reference is configuration
	Port        int    `json:"port,omitempty"` // 0: listens on nothing
	Memory      Memory `json:"memory"`
	Database    string `json:"database"`              // the database its DATABASE_URL names
	Connections int    `json:"connections,omitempty"` // PostgreSQL connections its processes hold at most
}

// Role is what a container does, and the second half of its name.
type Role string

// The roles of seed §3. Channels and Payload are its two exceptions.
const (
	Backend  Role = "backend"
	Channels Role = "channels"
	Payload  Role = "payload"
	Worker   Role = "celery_worker"
	Beat     Role = "celery_beat"
)

// Serves reports whether containers of this role answer requests, and so have a port.
func (r Role) Serves() bool { return r == Backend || r == Channels || r == Payload }

// Database is one PostgreSQL database and the role that owns it.
type Database struct {
	Name        string   `json:"name"`
	Role        string   `json:"role"`
	Connections int      `json:"connections"` // what its containers may hold together; see [App.ConnectionLimit]
	Extensions  []string `json:"extensions,omitempty"`
}

// Host is one DNS name of an app.
type Host struct {
	Name    string `json:"name"` // may start with "*."
	Zone    string `json:"zone"` // the Cloudflare zone it lies in
	Proxied bool   `json:"proxied"`
}

// Route says what answers for a host, or for a path below it.
type Route struct {
	Host       string `json:"host"`
	Path       string `json:"path,omitempty"`       // "" is the whole host; "/builder" is that path and all below
	Static     string `json:"static,omitempty"`     // name of a static build, served with SPA fallback
	Upstream   Role   `json:"upstream,omitempty"`   // or the container that answers, on its own port
	AddPrefix  string `json:"addPrefix,omitempty"`  // put before the path the upstream sees
	WebSocket  bool   `json:"webSocket,omitempty"`  // long-lived connections, kept across reloads
	Restricted bool   `json:"restricted,omitempty"` // administrators' addresses only
}

// App returns the app called name.
func (l Ledger) App(name string) (App, bool) {
	for _, a := range l.Apps {
		if a.Name == name {
			return a, true
		}
	}
	return App{}, false
}

// AppNames returns the names of all apps in deployment order.
func (l Ledger) AppNames() []string {
	names := make([]string, len(l.Apps))
	for i, a := range l.Apps {
		names[i] = a.Name
	}
	return names
}

// Through returns the ledger of the server as it stands when the rollout has come
// to app, which is included. The empty string means no app yet; ok is false when
// the ledger has no such app.
func (l Ledger) Through(app string) (stage Ledger, ok bool) {
	if app == "" {
		l.Apps = nil
		return l, true
	}
	for i, a := range l.Apps {
		if a.Name == app {
			l.Apps = l.Apps[: i+1 : i+1]
			return l, true
		}
	}
	return Ledger{}, false
}

// Service returns the shared service of the kind.
func (l Ledger) Service(k Kind) (Service, bool) {
	for _, s := range l.Services {
		if s.Kind == k {
			return s, true
		}
	}
	return Service{}, false
}

// Container returns the app's container with the role.
func (a App) Container(r Role) (Container, bool) {
	for _, c := range a.Containers {
		if c.Role == r {
			return c, true
		}
	}
	return Container{}, false
}

// Database returns the app's database called name.
func (a App) Database(name string) (Database, bool) {
	for _, d := range a.Databases {
		if d.Name == name {
			return d, true
		}
	}
	return Database{}, false
}

// Zones returns the Cloudflare zones the ledger's hosts lie in, sorted.
func (l Ledger) Zones() []string {
	return sortedSet(func(add func(string)) {
		for _, a := range l.Apps {
			for _, h := range a.Hosts {
				add(h.Zone)
			}
		}
	})
}

// Images returns the image names the ledger's containers run, sorted.
func (l Ledger) Images() []string {
	return sortedSet(func(add func(string)) {
		for _, a := range l.Apps {
			for _, c := range a.Containers {
				add(c.Image)
			}
		}
	})
}
