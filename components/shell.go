package components

import (
	"github.com/pulumi/pulumi-command/sdk/go/command/remote"
)

// Shell runs commands on the server: over SSH, or on this machine when Connection is
// nil. What is secret goes in on standard input; command lines are public.
type Shell struct {
	// Connection must pin the host key. Without one, any server is accepted.
	Connection *remote.ConnectionArgs
	// DockerHost is the Docker engine that commands on this machine speak to. It is the one
	// whose containers the program declares, not that of the operator's Docker context.
	DockerHost string
}
