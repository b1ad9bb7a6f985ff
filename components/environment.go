package components

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// environment builds the variables of a container as docs/contract.md promises them.
// Names are known before the update; values may be secret.
type environment map[string]pulumi.StringInput

func (e environment) plain(values map[string]string) {
	for k, v := range values {
		e[k] = pulumi.String(v)
	}
}

// entries are the variables as Docker takes them, sorted by name. An entry is secret only
// if its value is, so that a preview still shows the others.
func (e environment) entries() pulumi.StringArray {
	var entries pulumi.StringArray
	for _, name := range slices.Sorted(maps.Keys(e)) {
		if plain, ok := e[name].(pulumi.String); ok {
			entries = append(entries, pulumi.String(name+"="+string(plain)))
			continue
		}
		entries = append(entries, pulumi.Sprintf("%s=%s", name, e[name]))
	}
	return entries
}

// secretValue returns one of the secrets that the settings hold for an app.
func secretValue(secrets map[string]pulumi.StringOutput, app, key string) (pulumi.StringOutput, error) {
	v, ok := secrets[key]
	if !ok {
		return pulumi.StringOutput{}, fmt.Errorf("app %q needs the secret %q, which the settings do not hold; declare it in stacks/%s.go", app, key, app)
	}
	return v, nil
}
