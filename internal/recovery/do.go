package recovery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
)

// rounds is how often Recover looks and plans: what a killed engine has started may go on
// for a while, and changes what was looked at.
const rounds = 5

// errChanged ends a plan whose server has changed since it was looked at.
var errChanged = errors.New("it has changed meanwhile; run this again")

// Recover does the plan and looks again, until nothing is left to do, and returns what was
// found at last and what is still in the way.
func (r *Recovery) Recover(ctx context.Context, p Plan, say func(text string)) (Found, Plan, error) {
	for round := 1; ; round++ {
		if err := r.Do(ctx, p, say); err != nil && (!errors.Is(err, errChanged) || round == rounds) {
			return Found{}, p, err
		}
		found, err := r.Look(ctx)
		if err != nil {
			return found, p, err
		}
		if p = MakePlan(found); len(p.Steps) == 0 || round == rounds {
			return found, p, nil
		}
		say("Something has changed meanwhile. Going on:")
	}
}

// Do does the plan, step by step, and says each before it is done. An error ends it; run
// again, it goes on from there.
func (r *Recovery) Do(ctx context.Context, p Plan, say func(text string)) error {
	var release func() error
	let := func() error { // go of the stack's lock
		if release == nil {
			return nil
		}
		unlock := release
		release = nil
		return unlock()
	}
	for i, s := range p.Steps {
		// On the server nobody but this process works meanwhile. The CLI takes the lock itself.
		if s.Do.onServer() && release == nil {
			var err error
			if release, err = r.hold(ctx); err != nil {
				return err
			}
		}
		if !s.Do.onServer() {
			if err := let(); err != nil {
				return err
			}
		}
		say(fmt.Sprintf("%d/%d %s", i+1, len(p.Steps), s.Text))
		if err := r.step(ctx, s, say); err != nil {
			return errors.Join(fmt.Errorf("step %d, %s %s: %w", i+1, s.Do, s.Name, err), let())
		}
	}
	return let()
}

func (r *Recovery) step(ctx context.Context, s Step, say func(string)) error {
	switch s.Do {
	case BreakLock:
		return r.breakLock(ctx, s.Name)
	case RenameContainer:
		return r.engine.rename(ctx, r.options.Stack, s)
	case AwaitContainer:
		return r.engine.await(ctx, s)
	case RemoveContainer:
		return r.engine.remove(ctx, r.options.Stack, s, say)
	case RemoveNetwork:
		return r.engine.removeNetwork(ctx, r.options.Stack, s)
	case Adopt:
		return r.cli.adopt(ctx, s.operation)
	case Settle:
		return r.cli.settle(ctx, s.URNs)
	}
	return fmt.Errorf("nobody knows how to %q", s.Do)
}

// own looks once more at what is about to be changed: it must still be ours and have the
// name that the plan knows. gone is true when there is nothing left to do.
func (e *engine) own(ctx context.Context, stack string, s Step) (c Container, gone bool, err error) {
	c, err = e.container(ctx, stack, s.ID)
	switch {
	case cerrdefs.IsNotFound(err):
		return c, true, nil
	case err != nil:
		return c, false, err
	case !c.Ours:
		return c, false, fmt.Errorf("it lacks the label of the stack %s", stack)
	case c.Name != s.Name && c.Name != s.To:
		return c, false, fmt.Errorf("it is called %s now: %w", c.Name, errChanged)
	}
	return c, false, nil
}

func (e *engine) rename(ctx context.Context, stack string, s Step) error {
	c, gone, err := e.own(ctx, stack, s)
	if err != nil || gone || c.Name == s.To {
		return err
	}
	err = e.client.ContainerRename(ctx, s.ID, s.To)
	if cerrdefs.IsConflict(err) || cerrdefs.IsNotFound(err) { // somebody has the name, or it has gone
		return fmt.Errorf("%w: %w", err, errChanged)
	}
	return err
}

// await waits without a limit: what a migration is at is nobody's to cut off.
func (e *engine) await(ctx context.Context, s Step) error {
	ended, failed := e.client.ContainerWait(ctx, s.ID, container.WaitConditionNotRunning)
	select {
	case result := <-ended:
		if result.Error != nil {
			return errors.New(result.Error.Message)
		}
		return nil
	case err := <-failed:
		if cerrdefs.IsNotFound(err) {
			return nil
		}
		return err
	}
}

// How long a container may take to become healthy: as long as Docker's provider waits for
// a new one (components/container.go).
const (
	healthWait = 180 * time.Second
	healthPoll = 500 * time.Millisecond
	removeWait = 30 * time.Second
)

// remove stops a container as it wants to be stopped, with its own time, and removes it.
// Its volumes stay.
func (e *engine) remove(ctx context.Context, stack string, s Step, say func(string)) error {
	c, gone, err := e.own(ctx, stack, s)
	if err != nil || gone {
		return err
	}
	if s.KeepFailed && c.ExitCode != 0 {
		say(fmt.Sprintf("    %s ended with exit code %d and stays, for you to look at. The next update migrates again.", s.Name, c.ExitCode))
		return nil
	}
	if s.Once != "" {
		served, err := e.awaitHealth(ctx, stack, s.Once)
		if err != nil {
			return err
		}
		if !served {
			say(fmt.Sprintf("    %s stays: what it stands in for did not become healthy. The next update removes it.", s.Name))
			return nil
		}
	}
	if err := e.client.ContainerStop(ctx, s.ID, container.StopOptions{}); err != nil && !cerrdefs.IsNotFound(err) {
		return err
	}
	// Somebody else's removal of it that is under way is a conflict until it is done.
	_, err = backoff.Retry(ctx, func() (bool, error) {
		err := e.client.ContainerRemove(ctx, s.ID, container.RemoveOptions{})
		switch {
		case err == nil || cerrdefs.IsNotFound(err):
			return true, nil
		case cerrdefs.IsConflict(err):
			return false, err
		default:
			return false, backoff.Permanent(err)
		}
	}, backoff.WithBackOff(backoff.NewConstantBackOff(healthPoll)), backoff.WithMaxElapsedTime(removeWait))
	return err
}

var errNotYet = errors.New("not healthy yet")

func (e *engine) awaitHealth(ctx context.Context, stack, id string) (bool, error) {
	healthy, err := backoff.Retry(ctx, func() (bool, error) {
		c, err := e.container(ctx, stack, id)
		switch {
		case err != nil:
			return false, backoff.Permanent(err)
		case c.healthy():
			return true, nil
		case c.running() && c.Health == "starting":
			return false, errNotYet
		default:
			return false, nil
		}
	}, backoff.WithBackOff(backoff.NewConstantBackOff(healthPoll)), backoff.WithMaxElapsedTime(healthWait))
	if errors.Is(err, errNotYet) || cerrdefs.IsNotFound(err) {
		return false, nil
	}
	return healthy, err
}

func (e *engine) removeNetwork(ctx context.Context, stack string, s Step) error {
	n, err := e.network(ctx, stack, s.ID)
	switch {
	case cerrdefs.IsNotFound(err):
		return nil
	case err != nil:
		return err
	case !n.Ours || len(n.Containers) > 0:
		return fmt.Errorf("it is in use by %s: %w", orNone(n.Containers), errChanged)
	}
	if err := e.client.NetworkRemove(ctx, s.ID); err != nil && !cerrdefs.IsNotFound(err) {
		return err
	}
	return nil
}
