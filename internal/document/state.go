package document

// Verbs that tell and mend what is on the server.
const (
	ReadState Verb = "state"
	Start     Verb = "start"
)

// State is read by [ReadState], which prints [Facts] and changes nothing.
type State struct {
	Header
	Stack      string   `json:"stack"`      // whose containers are listed
	Containers []string `json:"containers"` // of others, that are looked at too: the shared services
	Sites      string   `json:"sites"`      // directory of the site files
	// Redis, where its users are listed.
	Redis         string `json:"redis"` // container
	Network       string `json:"network"`
	Port          int    `json:"port"`
	AdminPassword string `json:"adminPassword"` // of Redis' default user; a secret
}

// Facts are what is on the server.
type Facts struct {
	Version    int             `json:"version"`
	Containers []FactContainer `json:"containers"` // by name
	// Sites are the SHA-256 hashes of the site files, by file name.
	Sites map[string]string `json:"sites"`
	// RedisUsers are the names of Redis' users, sorted.
	RedisUsers []string `json:"redisUsers"`
	// Unseen says what could not be looked at, and why.
	Unseen []string `json:"unseen"`
}

// FactContainer is a container that exists.
type FactContainer struct {
	Name  string `json:"name"`
	ID    string `json:"id"`
	Stack string `json:"stack"`
	// Runs tells that its process runs, Says what else there is to say of it, in words.
	Runs bool   `json:"runs"`
	Says string `json:"says"`
}

// Started is read by [Start], which starts containers that do not run.
type Started struct {
	Header
	Containers []string `json:"containers"`
	Await      []string `json:"await"` // those of them that must become ready
	Patience   int      `json:"patienceSeconds"`
}
