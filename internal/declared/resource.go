// Package declared is what stands between the program and the rules: a declared
// resource as the dry run records it and as a rule judges it, and how its properties
// are read. It imports nothing of this repository.
package declared

import "github.com/pulumi/pulumi/sdk/v3/go/property"

// Resource is a resource that the program declares.
type Resource struct {
	URN    string
	Type   string // type token
	Name   string // logical name
	Parent string // parent's URN; "" when there is none or the Pulumi engine did not tell
	Props  property.Map

	Protect bool
	// RetainOnDelete is nil where it cannot be seen: the Pulumi engine does not tell a
	// pack.
	RetainOnDelete *bool
}

// Types of the providers' resources that are declared or judged. Those of components
// stand in the ledger.
const (
	TypeContainer     = "docker:index/container:Container"
	TypeRemoteImage   = "docker:index/remoteImage:RemoteImage"
	TypeSwarmService  = "docker:index/service:Service" // never ours
	TypeRole          = "postgresql:index/role:Role"
	TypeDatabase      = "postgresql:index/database:Database"
	TypeGrant         = "postgresql:index/grant:Grant"
	TypeExtension     = "postgresql:index/extension:Extension"
	TypeRecord        = "cloudflare:index/record:Record"
	TypeRemoteCommand = "command:remote:Command"
	TypeLocalCommand  = "command:local:Command"
)
