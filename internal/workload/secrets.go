package workload

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

// RequiredSecrets returns the names of the secrets that an app needs: the passwords of
// its databases and its Redis user, and what its workloads read. They are in the order
// in which they are first needed, each once.
func RequiredSecrets(app ledger.App, specs []Spec) []string {
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
