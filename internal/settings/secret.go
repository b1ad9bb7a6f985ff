package settings

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

// NewSecret keeps a value from being shown.
func NewSecret(value string) Secret { return Secret{&value} }

// Reveal returns the value, which must go nowhere but into a resource or a connection.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Stars are shown in place of a secret.
const Stars = "[secret]"

// Format serves every verb of package fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Stars) }

// String is what those print that convert a value themselves.
func (Secret) String() string { return Stars }

// MarshalText is what encoders write.
func (Secret) MarshalText() ([]byte, error) { return []byte(Stars), nil }

// Output hands the value to Pulumi, marked as secret.
func (s Secret) Output() pulumi.StringOutput {
	return pulumi.ToSecret(pulumi.String(s.Reveal())).(pulumi.StringOutput)
}
