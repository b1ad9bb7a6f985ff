package workload

import (
	"maps"
	"strconv"
	"strings"

	"github.com/alorig/fleet/internal/ledger"
)

// The variables of the contract whose values are secret.
const (
	DatabaseURL = "DATABASE_URL"
	RedisURL    = "REDIS_URL"
)

// Variables returns the variables of a container that are neither secret nor part of the
// contract: those of Django, of the process, and of the spec, each before the next.
func (s Spec) Variables(at Place) map[string]string {
	env := map[string]string{}
	program := s.Process.At(at)
	if program.Django {
		maps.Copy(env, django(at.App))
	}
	maps.Copy(env, program.Environment)
	maps.Copy(env, s.Environment)
	return env
}

// Contract returns what every container of an app gets (docs/contract.md), but for
// [DatabaseURL] and [RedisURL], which are secret. No variable of a spec and no secret
// overrides it.
func Contract(at Place) map[string]string {
	env := map[string]string{
		"ALORIG_APP":       at.App.Name,
		"REDIS_KEY_PREFIX": at.App.KeyPrefix,
	}
	for _, variable := range ledger.KeyPrefixVariables {
		env[variable] = at.App.KeyPrefix
	}
	if at.Container.Port != 0 {
		env["PORT"] = strconv.Itoa(at.Container.Port)
	}
	return env
}

// django names the hosts that Django answers for and accepts forms from, and how long Celery waits
// for a task.
func django(app ledger.App) map[string]string {
	var allowed, origins []string
	for _, h := range app.Hosts {
		// Django writes a wildcard as a leading dot.
		allowed = append(allowed, strings.TrimPrefix(h.Name, "*"))
		origins = append(origins, "https://"+h.Name)
	}
	env := map[string]string{
		"DJANGO_ALLOWED_HOSTS":        strings.Join(allowed, ","),
		"DJANGO_CSRF_TRUSTED_ORIGINS": strings.Join(origins, ","),
		"CELERY_VISIBILITY_TIMEOUT":   inSeconds(ledger.VisibilityTimeout),
	}
	for _, r := range app.Routes {
		if r.Upstream == ledger.Backend && r.Path != "" {
			// Caddy strips the path; Django puts it back into the URLs it makes.
			env["FORCE_SCRIPT_NAME"] = r.Path
		}
	}
	return env
}
