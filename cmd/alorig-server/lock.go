package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofrs/flock"
)

// How long a verb waits for another one that works on the same thing, and how often it looks.
// The program of an update that was killed may still be running.
const (
	lockWait = 15 * time.Minute
	lockPoll = 100 * time.Millisecond
)

// locked runs do while no other process holds the lock. The scripts of older updates take the
// same files.
func locked(ctx context.Context, path string, do func() error) error {
	lock := flock.New(path, flock.SetPermissions(0o644))
	waiting, stop := context.WithTimeout(ctx, lockWait)
	defer stop()
	_, err := lock.TryLockContext(waiting, lockPoll)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("waiting for the lock %s: %w", path, ctx.Err())
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("another process has held the lock %s for %s; `fuser %[1]s` on the server names it: let it end, and run the update again", path, lockWait)
	case err != nil:
		return fmt.Errorf("taking the lock %s: %w; the user of the deployment must be able to write to its directory", path, err)
	}
	return errors.Join(do(), lock.Unlock())
}
