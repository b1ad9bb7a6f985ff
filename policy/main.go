// Command policy is the policy pack that guards the fleet. The engine runs it:
//
//	pulumi preview --policy-pack policy
package main

import (
	"log"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/policy/rules"
)

func main() {
	if err := policyx.Main(rules.Pack(ledger.Alorig())); err != nil {
		log.Fatal(err) // standard error; standard output belongs to the engine
	}
}
