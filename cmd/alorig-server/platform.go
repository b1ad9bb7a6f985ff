package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/alorig/fleet/internal/containers"
	"github.com/alorig/fleet/internal/document"
)

// checkPlatform checks what every app needs of the services of Phase 0, and reports all
// problems at once.
func checkPlatform(ctx context.Context, s *server, d *document.Platform) error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf("- "+format, args...)) }
	for _, name := range d.Containers {
		found, err := containers.Look(ctx, s.docker, name)
		switch {
		case err != nil:
			return err
		case !found.Condition.Running():
			bad("%s: docker start %s", found, name)
		case !found.On(d.Network):
			bad("%s is not on the network %s: docker network connect %[2]s %[1]s", name, d.Network)
		}
		if has := found.SharedMemory >> 20; name == d.Postgres && has < int64(d.SharedMemory) && found.Condition.Running() {
			bad("%s has %d MiB of shared memory, and parallel queries need %d: make it anew with --shm-size %[3]dm (shm_size in Compose)", name, has, d.SharedMemory)
		}
	}
	said, code, err := containers.Exec(ctx, s.docker, d.Caddy, nil, "caddy", "list-modules")
	switch has := strings.Fields(said); {
	case err != nil:
		bad("the Caddy in %s could not be asked for its modules: %w", d.Caddy, err)
	case code != 0:
		bad("the Caddy in %s could not be asked for its modules: it ended with exit code %d", d.Caddy, code)
	default:
		for _, module := range d.Modules {
			if !slices.Contains(has, module) {
				bad("the Caddy in %s has no module %s", d.Caddy, module)
			}
		}
	}
	if err := unix.Access(d.Sites+"/.", unix.W_OK|unix.X_OK); err != nil {
		bad("%s is no directory that this user may write to (%s); Caddy's site files go there", d.Sites, err)
	}
	if len(problems) > 0 {
		return fmt.Errorf("the shared services are not what the apps need:\n%w\nSee docs/runbook.md, What Phase 0 must provide", errors.Join(problems...))
	}
	return nil
}
