package stacks

import (
	"fmt"
	"io"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Secret is a value that must not be shown. Every way to print it prints stars.
type Secret struct{ value string }

const stars = "[secret]"

// Format serves every verb of package fmt: without it %d shows the value in its complaint.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, stars) }

// String is what those print that convert a value themselves.
func (Secret) String() string { return stars }

// MarshalText is what encoders write.
func (Secret) MarshalText() ([]byte, error) { return []byte(stars), nil }

// output hands the value to Pulumi, marked as secret.
func (s Secret) output() pulumi.StringOutput {
	return pulumi.ToSecret(pulumi.String(s.value)).(pulumi.StringOutput)
}
