// Command fleet is the Pulumi program of the Alorig server.
package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alorig/fleet/stacks"
)

func main() { pulumi.Run(stacks.Program) }
