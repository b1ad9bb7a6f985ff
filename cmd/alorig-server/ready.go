package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alorig/fleet/internal/containers"
	"github.com/alorig/fleet/internal/document"
)

// awaitReady waits until all containers are ready.
func awaitReady(ctx context.Context, s *server, d *document.Ready) error {
	var waits []containers.Wait
	var names []string
	for _, c := range d.Containers {
		waits = append(waits, containers.Wait{Name: c.Name, Steady: time.Duration(c.Steady) * time.Second})
		names = append(names, c.Name)
	}
	err := containers.AwaitReady(ctx, s.docker, time.Duration(d.Patience)*time.Second, waits...)
	var late containers.NotReady
	switch {
	case err == nil:
		s.say("ready: %s", strings.Join(names, ", "))
		return nil
	case errors.As(err, &late):
		return fmt.Errorf("%w\n%s Look at `docker logs` of each, mend the cause, and run the update again", err, d.Otherwise)
	default:
		return err
	}
}
