package document

import "time"

// Log is what `alorig-server log` prints: what has been done on the server, beside what
// Docker knows of the containers.
type Log struct {
	Version    int            `json:"version"`
	Entries    []LogEntry     `json:"entries"`    // oldest first
	Containers []LogContainer `json:"containers"` // by name, also those that have ended
	// Unseen says why the containers could not be looked at, "" when they were.
	Unseen string `json:"unseen,omitempty"`
}

// LogEntry is one run of a verb.
type LogEntry struct {
	Time    time.Time `json:"time"` // when it began
	Seconds float64   `json:"seconds"`
	Verb    string    `json:"verb"`
	App     string    `json:"app,omitempty"` // "" for the shared services
	Subject string    `json:"subject,omitempty"`
	Digest  string    `json:"digest,omitempty"`
	Did     []string  `json:"did"` // the changes in their order
	Failed  bool      `json:"failed,omitempty"`
	Error   string    `json:"error,omitempty"`
	Who     string    `json:"who"` // the system's user, and the address of the SSH client
}

// LogContainer is a container of this project as Docker knows it. Docker remembers one start
// and one end of a container, and how often it has started it again by itself.
type LogContainer struct {
	Name         string     `json:"name"`
	App          string     `json:"app,omitempty"`
	Image        string     `json:"image"`
	Status       string     `json:"status"`           // of Docker: "running", "exited", …
	Health       string     `json:"health,omitempty"` // of Docker; "" without a health check
	StartedAt    *time.Time `json:"startedAt,omitempty"`
	FinishedAt   *time.Time `json:"finishedAt,omitempty"` // of the end before, while it runs
	ExitCode     int        `json:"exitCode"`             // 0 while it runs
	OOMKilled    bool       `json:"oomKilled"`            // it has ended for lack of memory
	RestartCount int        `json:"restartCount"`         // by Docker itself, since it was made
}
