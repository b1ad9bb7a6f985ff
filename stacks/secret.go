package stacks

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// Secret is a value that must not be shown. Every way to print it prints stars.
type Secret struct{ value string }

const stars = "[secret]"

// String is what the %v and %s of package fmt print.
func (Secret) String() string { return stars }

// GoString is what %#v prints.
func (Secret) GoString() string { return stars }

// MarshalText is what encoders write.
func (Secret) MarshalText() ([]byte, error) { return []byte(stars), nil }

// output hands the value to Pulumi, marked as secret.
func (s Secret) output() pulumi.StringOutput {
	return pulumi.ToSecret(pulumi.String(s.value)).(pulumi.StringOutput)
}
