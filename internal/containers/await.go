package containers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/docker/docker/client"

	"github.com/alorig/fleet/internal/handover"
)

// Wait says for what [AwaitReady] waits.
type Wait struct {
	Name string
	// Steady is how long the process must have run before a probe that passes counts, by the
	// clock of this machine. It is for a program whose probe passes as soon as its process exists.
	Steady time.Duration
	// Once gives up as soon as the container does not run, or Docker calls it unhealthy, since
	// Docker does not start it again. Otherwise it may still recover.
	Once bool
}

// NotReady is what did not become ready in time.
type NotReady struct {
	Found    Found
	Patience time.Duration // that was had; 0 when there was no sense in waiting on
}

func (e NotReady) Error() string {
	if e.Patience == 0 {
		return e.Found.String()
	}
	return fmt.Sprintf("%s after %s", e.Found, e.Patience)
}

// AwaitReady waits until all are ready, each for the patience at most, and asks all at the
// same time. The error joins a [NotReady] for each that is not.
func AwaitReady(ctx context.Context, docker *client.Client, patience time.Duration, waits ...Wait) error {
	problems := make([]error, len(waits))
	var all sync.WaitGroup
	for i, wait := range waits {
		all.Go(func() { problems[i] = awaitOne(ctx, docker, patience, wait) })
	}
	all.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("waiting for containers: %w", ctx.Err())
	}
	return errors.Join(problems...)
}

func awaitOne(ctx context.Context, docker *client.Client, patience time.Duration, wait Wait) error {
	began := time.Now()
	looking := &watch{docker: docker, name: wait.Name}
	for {
		asked := time.Now()
		f, err := looking.look(ctx)
		if err != nil {
			return err
		}
		switch {
		case f.Condition == handover.Ready && f.ran(asked) >= wait.Steady:
			return nil
		case wait.Once && f.Condition != handover.Ready && f.Condition != handover.Starting && f.Condition != handover.Created:
			return NotReady{Found: f}
		case f.Condition == handover.Missing: // nobody makes it while this waits
			return NotReady{Found: f}
		case time.Since(began) >= patience:
			return NotReady{f, patience}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause(time.Since(asked))):
		}
	}
}
