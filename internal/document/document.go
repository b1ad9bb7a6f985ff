// Package document holds what the program on the server (cmd/alorig-server) is told: one
// JSON document for each verb, on standard input. Components write documents, the server's
// program and the rules of the policy pack read them. It imports nothing of this repository.
//
// An update always brings its own server program along, so both speak the same version. Only
// what undoes may meet an older document: a provider runs a delete with the text and the
// standard input that it stored when it made the thing (docs/provider-surprises.md).
package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Version of the documents that this program writes. It grows when a document of the same
// verb means something else than before; a new field with a harmless zero value is no new
// version for a verb that undoes.
const Version = 1

// Verb is what the server's program is asked to do.
type Verb string

// The verbs of an update, in the order in which it needs them.
const (
	CheckPlatform   Verb = "check-platform"
	AwaitReady      Verb = "await-ready"
	PutCaddyfile    Verb = "put-caddyfile"
	PutRedisUser    Verb = "put-redis-user"
	SettleRedisUser Verb = "settle-redis-user"
	RemoveRedisUser Verb = "remove-redis-user"
	Migrate         Verb = "migrate"
	TryNext         Verb = "try-next"
	TakeOver        Verb = "take-over"
	EndHandover     Verb = "end-handover"
	PutSite         Verb = "put-site"
	RemoveSite      Verb = "remove-site"
)

// Undoes reports a verb that accepts documents of every earlier version.
func (v Verb) Undoes() bool { return v == RemoveRedisUser || v == RemoveSite }

// Header is the beginning of every document.
type Header struct {
	Version int    `json:"version"`
	App     string `json:"app,omitempty"`    // whose document it is; "" for the shared services
	Subject string `json:"subject"`          // what it is about, for the log: a container, a file, a user
	Digest  string `json:"digest,omitempty"` // of what is put there, for the log: an image's reference
}

// NewHeader begins a document of this version.
func NewHeader(app, subject string) Header {
	return Header{Version: Version, App: app, Subject: subject}
}

// Container is a container of this project, as the update declares it and as the server's
// program creates one beside it. Sizes are in MiB, durations in whole seconds.
type Container struct {
	Name         string            `json:"name"`
	Image        string            `json:"image"` // full reference
	Entrypoint   []string          `json:"entrypoint,omitempty"`
	Command      []string          `json:"command,omitempty"`
	Environment  map[string]string `json:"environment,omitempty"` // holds secrets
	Labels       map[string]string `json:"labels"`
	Network      string            `json:"network"`
	Memory       int               `json:"memory"`            // hard limit; there is no swap beyond it
	Reservation  int               `json:"memoryReservation"` // steady state
	CPUShares    int               `json:"cpuShares,omitempty"`
	Restart      string            `json:"restart"`      // Docker's restart policy
	Grace        int               `json:"graceSeconds"` // how long it may take to stop
	Probe        *Probe            `json:"probe,omitempty"`
	LogDriver    string            `json:"logDriver"`
	LogOptions   map[string]string `json:"logOptions,omitempty"`
	Init         bool              `json:"init"` // Docker's init process reaps what it leaves behind
	Security     []string          `json:"securityOptions,omitempty"`
	Capabilities Capabilities      `json:"capabilities"`
}

// BackgroundShares is the weight on the processor (--cpu-shares) of a container that nobody
// waits for; the others have Docker's default of 1024. It matters only while the processor is
// busy.
const BackgroundShares = 128

// Capabilities are those of Linux that a container loses and keeps.
type Capabilities struct {
	Drop []string `json:"drop,omitempty"`
	Add  []string `json:"add,omitempty"`
}

// Probe is a health check. Durations are in seconds.
type Probe struct {
	Test     []string `json:"test"` // "CMD" and words, or "CMD-SHELL" and a line
	Interval int      `json:"intervalSeconds"`
	Timeout  int      `json:"timeoutSeconds"`
	StartUp  int      `json:"startUpSeconds"`
	Retries  int      `json:"retries"`
}

// Handover is read by [TryNext], [TakeOver] and [EndHandover].
type Handover struct {
	Header
	Stack     string    `json:"stack"`     // whose containers may be changed
	Container Container `json:"container"` // the one that is to serve
	Lock      string    `json:"lock"`      // a file
	Patience  int       `json:"patienceSeconds"`
}

// Migration is read by [Migrate]. The container's name is that of the migration.
type Migration struct {
	Header
	Stack     string    `json:"stack"`
	Container Container `json:"container"`
	Needs     []string  `json:"needs"` // containers that must run
	Lock      string    `json:"lock"`
}

// Ready is read by [AwaitReady].
type Ready struct {
	Header
	Containers []Awaited `json:"containers"`
	Patience   int       `json:"patienceSeconds"`
	// Otherwise says what does not happen when they do not become ready.
	Otherwise string `json:"otherwise"`
}

// Awaited is a container that is waited for.
type Awaited struct {
	Name string `json:"name"`
	// Steady is for how many seconds its process must have run.
	Steady int `json:"steadySeconds,omitempty"`
}

// Site is read by [PutSite] and [RemoveSite], which ignores the text.
type Site struct {
	Header
	Caddy     string `json:"caddy"`     // container
	Directory string `json:"directory"` // Caddy's configuration on the server
	File      string `json:"file"`      // name of the site file
	Text      string `json:"text"`
}

// Caddyfile is read by [PutCaddyfile].
type Caddyfile struct {
	Header
	Caddy     string `json:"caddy"`
	Directory string `json:"directory"`
	Text      string `json:"text"`
}

// RedisUser is read by [PutRedisUser], which keeps the passwords that work, by [SettleRedisUser],
// which leaves this one alone, and by [RemoveRedisUser].
type RedisUser struct {
	Header
	Redis         string   `json:"redis"` // container
	Network       string   `json:"network"`
	Port          int      `json:"port"`
	AdminPassword string   `json:"adminPassword"` // of Redis' default user; a secret
	User          string   `json:"user"`
	Password      string   `json:"password"`    // a secret
	Permissions   []string `json:"permissions"` // words of ACL SETUSER, without passwords
}

// Platform is read by [CheckPlatform].
type Platform struct {
	Header
	Network    string   `json:"network"`
	Containers []string `json:"containers"` // that must run on the network
	Caddy      string   `json:"caddy"`      // the one of them that must have Modules
	Modules    []string `json:"modules"`    // of Caddy
	Sites      string   `json:"sites"`      // directory of the site files

	Postgres     string `json:"postgres"`     // the one of them that must have SharedMemory
	SharedMemory int    `json:"sharedMemory"` // MiB of /dev/shm at least
}

// Read reads the one document that a text holds for the verb. It refuses unknown fields, anything behind the
// document, and other versions than [Version]; a verb that undoes accepts earlier ones too.
// The error quotes nothing of the document, which holds secrets.
func Read(text []byte, verb Verb, into any) (Header, error) {
	var header Header
	if len(bytes.TrimSpace(text)) == 0 {
		return header, fmt.Errorf("there is no document on standard input; %s reads one JSON object from there", verb)
	}
	if err := json.Unmarshal(text, &header); err != nil {
		return header, fmt.Errorf("the document of %s is not one readable JSON object: %s", verb, fault(err))
	}
	if header.Version > Version || header.Version < 1 || header.Version < Version && !verb.Undoes() {
		return header, fmt.Errorf("the document of %s has the version %d; this program reads %s. The update and the program on the server do not belong together: run the update again, which brings its own program along",
			verb, header.Version, accepted(verb))
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if header.Version == Version { // an earlier one may have fields that are gone
		decoder.DisallowUnknownFields()
	}
	if err := decoder.Decode(into); err != nil {
		return header, fmt.Errorf("the document of %s is not what this program reads: %s", verb, fault(err))
	}
	return header, nil
}

func accepted(verb Verb) string {
	if verb.Undoes() && Version > 1 {
		return fmt.Sprintf("1 to %d", Version)
	}
	return fmt.Sprintf("%d alone", Version)
}

// fault describes an error of encoding/json without the values that it may quote.
func fault(err error) string {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind):
		return fmt.Sprintf("%s must be of another type (%s)", kind.Field, kind.Type)
	case errors.As(err, &syntax):
		return fmt.Sprintf("there is a syntax error at byte %d", syntax.Offset)
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		return err.Error()[len("json: "):] + ", which this version does not know"
	default:
		return "it ends too early"
	}
}

// Write writes a document as one line. Map keys are sorted, so that equal documents are
// equal texts.
func Write(document any) (string, error) {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // people read it in a preview
	if err := encoder.Encode(document); err != nil {
		return "", fmt.Errorf("writing a document for the server's program: %w", err)
	}
	return strings.TrimSuffix(text.String(), "\n"), nil
}

// Result is what every verb prints when it has succeeded.
type Result struct {
	Version int  `json:"version"`
	Verb    Verb `json:"verb"`
	// Did are the changes in their order, for people; empty when there was nothing to change.
	Did []string `json:"did"`
	// Run is another text for each run, so that what is triggered by it follows each.
	Run string `json:"run"`
}
