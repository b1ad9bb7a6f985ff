package stacks

import (
	"fmt"
	"io"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Secret is a value that must not be shown. Every way to print it prints stars.
type Secret struct {
	// A pointer: for a verb that does not fit, package fmt asks no method and prints the
	// fields of whatever it is given a pointer to.
	value *string
}

func newSecret(value string) Secret { return Secret{&value} }

// reveal returns the value, which must go nowhere but into a resource.
func (s Secret) reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

const stars = "[secret]"

// Format serves every verb of package fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, stars) }

// String is what those print that convert a value themselves.
func (Secret) String() string { return stars }

// MarshalText is what encoders write.
func (Secret) MarshalText() ([]byte, error) { return []byte(stars), nil }

// output hands the value to Pulumi, marked as secret.
func (s Secret) output() pulumi.StringOutput {
	return pulumi.ToSecret(pulumi.String(s.reveal())).(pulumi.StringOutput)
}
