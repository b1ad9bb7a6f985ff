package engine

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/env"
)

// one keeps previews of one process apart: they share its environment.
var one sync.Mutex

// withoutSettingsOfTheCaller runs f while no PULUMI_ variable is set, and puts them back.
// The Pulumi engine and the SDK read dozens of them on the way; a preview that anybody
// can repeat depends on none, and must not meet an access token.
func withoutSettingsOfTheCaller(f func()) error {
	one.Lock()
	defer one.Unlock()
	for _, entry := range os.Environ() {
		key, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(key, env.Prefix) {
			continue
		}
		if err := os.Unsetenv(key); err != nil {
			return fmt.Errorf("setting %s aside: %w", key, err)
		}
		defer os.Setenv(key, value) //nolint:errcheck // it was set a moment ago
	}
	f()
	return nil
}
