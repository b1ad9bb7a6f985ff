// Command policy is the policy pack that guards the fleet. The Pulumi engine runs it:
//
//	pulumi preview --policy-pack policy
package main

import (
	"log"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/policy/rules"
)

func main() {
	pack := func(*pulumi.Context) (policyx.PolicyPack, error) { return rules.Pack(ledger.Alorig()) }
	if err := policyx.Main(pack); err != nil {
		log.Fatal(err) // standard error; standard output belongs to the Pulumi engine
	}
}
