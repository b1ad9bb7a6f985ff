package components

import (
	"strings"

	"github.com/alorig/fleet/internal/ledger"
)

// RedisPasswordKey names the secret that holds the password of an app's Redis user.
const RedisPasswordKey = "REDIS_PASSWORD"

// DatabasePasswordKey names the secret that holds the password of a database's role:
// DATABASE_PASSWORD for the app's own, PAYLOAD_DATABASE_PASSWORD for app_payload.
func DatabasePasswordKey(app ledger.App, db ledger.Database) string {
	part := strings.TrimPrefix(strings.TrimPrefix(db.Role, app.Name), "_")
	if part == "" {
		return "DATABASE_PASSWORD"
	}
	return strings.ToUpper(part) + "_DATABASE_PASSWORD"
}

// RequiredSecrets lists the secrets an app cannot do without: the passwords of its
// stores and whatever its workloads read. Sorted as they are first needed.
func RequiredSecrets(app ledger.App, specs []WorkloadSpec) []string {
	var keys []string
	seen := map[string]bool{}
	add := func(key string) {
		if !seen[key] {
			seen[key] = true
			keys = append(keys, key)
		}
	}
	for _, db := range app.Databases {
		add(DatabasePasswordKey(app, db))
	}
	add(RedisPasswordKey)
	for _, s := range specs {
		for _, key := range s.Secrets {
			add(key)
		}
	}
	return keys
}
