package recovery

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/alorig/fleet/internal/terminal"
)

// Operation is a pending operation: one that was under way when the update was killed.
type Operation struct {
	Kind string `json:"kind"` // "creating", "updating", "deleting", …
	Type string `json:"type"` // Pulumi's, "docker:index/container:Container"
	Name string `json:"name"` // logical
	URN  string `json:"urn"`
	// InState tells that the state also has the resource itself.
	InState bool `json:"inState"`
	// Exists is the ID of the resource, when it was being created, does exist, and must be
	// taken into the state. "" otherwise.
	Exists string `json:"exists,omitempty"`
	// Taken describes what somebody else has in the place of the resource.
	Taken string `json:"taken,omitempty"`
	// Beside describes what somebody else has beside the resource, not in its way.
	Beside string `json:"beside,omitempty"`

	parent, provider string // URNs
	protect          bool
	inputs           map[string]any
}

const creating = "creating"

// Resource types whose create fails when the resource exists already, and which are then
// adopted. Read in the providers' upstreams, at the versions of go.mod:
//   - postgresql_role: CREATE ROLE, without IF NOT EXISTS (cyrilgdn 1.25.0)
//   - postgresql_database: CREATE DATABASE likewise
//   - cloudflare_record: the API refuses an identical record (code 81058), and the provider
//     tries until its time is over (Terraform's provider 4.51, without allow_overwrite)
//
// The rest is created again:
//   - postgresql_extension is CREATE EXTENSION IF NOT EXISTS; postgresql_grant revokes and
//     grants in a transaction of its own
//   - docker_volume: the engine answers with the volume that has the name
//   - docker_container, docker_network: the name is taken, so what our label shows to be
//     ours is removed first; it holds no data
//   - docker_image, commands: repeatable
const (
	typeRole     = "postgresql:index/role:Role"
	typeDatabase = "postgresql:index/database:Database"
	typeRecord   = "cloudflare:index/record:Record"
)

// operations lists the pending operations, sorted by URN. A resource can have several, one
// for each update that was killed.
func (s state) operations() []Operation {
	known := map[resource.URN]bool{}
	for _, r := range s.Resources {
		if !r.Delete {
			known[r.URN] = true
		}
	}
	all := []Operation{}
	for _, op := range s.PendingOperations {
		r := op.Resource
		provider, _ := cutLast(r.Provider, "::") // the reference is URN::ID
		all = append(all, Operation{
			Kind: string(op.Type), Type: string(r.Type), Name: terminal.Line(r.URN.Name()), URN: string(r.URN), InState: known[r.URN],
			parent: string(r.Parent), provider: provider, protect: r.Protect, inputs: r.Inputs,
		})
	}
	slices.SortFunc(all, func(a, b Operation) int { return cmp.Or(cmp.Compare(a.URN, b.URN), cmp.Compare(a.Kind, b.Kind)) })
	return slices.CompactFunc(all, func(a, b Operation) bool { return a.URN == b.URN && a.Kind == b.Kind })
}

// cutLast cuts a text at the last separator. Without a separator, before is the whole text.
func cutLast(text, separator string) (before, after string) {
	if i := strings.LastIndex(text, separator); i >= 0 {
		return text[:i], text[i+len(separator):]
	}
	return text, ""
}

// input returns an input that is a plain text; "" for any other value.
func (o Operation) input(key string) string {
	text, _ := o.inputs[key].(string)
	return text
}

// adoptable reports an operation of one of the types whose resource may exist although the
// state does not know it.
func (o Operation) adoptable(types ...string) bool {
	return o.Kind == creating && !o.InState && slices.Contains(types, o.Type)
}

// kind is the last word of a type: "Container".
func (o Operation) kind() string {
	_, kind := cutLast(o.Type, ":")
	return terminal.Line(kind)
}
