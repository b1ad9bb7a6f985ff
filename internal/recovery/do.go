package recovery

import (
	"context"
	"errors"
	"fmt"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/alorig/fleet/internal/containers"
	"github.com/alorig/fleet/internal/workload"
)

// rounds is how often Recover looks and plans at most. What a killed update has started on
// the server may go on for a while and change what Look has found.
const rounds = 5

// errChanged ends a plan when the server has changed since Look.
var errChanged = errors.New("it has changed meanwhile; run this again")

// Recover takes the steps of the plan, looks again, and goes on until there are no steps or
// [rounds] are over. It returns what was found last and what is still in the way.
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
		say("The server has changed meanwhile. Going on:")
	}
}

// Do takes the steps in order and says each one first. An error ends it. Another run goes on
// from there, since each step can be taken again.
func (r *Recovery) Do(ctx context.Context, p Plan, say func(text string)) error {
	// This process holds the stack's lock while it works on the server, so that no update
	// starts. The Pulumi CLI takes the lock itself, so it is released before steps of the CLI.
	var release func() error // nil without the lock
	unlock := func() error {
		if release == nil {
			return nil
		}
		defer func() { release = nil }()
		return release()
	}
	for i, s := range p.Steps {
		if s.Do.onServer() && release == nil {
			var err error
			if release, err = r.hold(ctx); err != nil {
				return err
			}
		}
		if !s.Do.onServer() {
			if err := unlock(); err != nil {
				return err
			}
		}
		say(fmt.Sprintf("%d/%d %s", i+1, len(p.Steps), s.Text))
		if err := r.step(ctx, s, say); err != nil {
			return errors.Join(fmt.Errorf("step %d, %s %s: %w", i+1, s.Do, s.Name, err), unlock())
		}
	}
	return unlock()
}

func (r *Recovery) step(ctx context.Context, s Step, say func(string)) error {
	switch s.Do {
	case BreakLock:
		return r.breakLock(ctx, s.Name)
	case RenameContainer:
		return r.engine.rename(ctx, r.options.Stack, s)
	case AwaitContainer: // a migration
		_, err := containers.AwaitEnd(ctx, r.engine.client, s.ID)
		if cerrdefs.IsNotFound(err) {
			return nil
		}
		return err
	case RemoveContainer:
		return r.engine.remove(ctx, r.options.Stack, s, say)
	case RemoveNetwork:
		return r.engine.removeNetwork(ctx, r.options.Stack, s)
	case Adopt:
		return r.cli.adopt(ctx, s.operation)
	case Settle:
		return r.cli.settle(ctx, s.URNs)
	}
	return fmt.Errorf("there is no action %q", s.Do)
}

// own looks at a container right before it is changed. It must still carry our label and
// have the name of the plan. gone is true when the container is not there any more.
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
	if cerrdefs.IsConflict(err) || cerrdefs.IsNotFound(err) { // the name is taken, or the container is gone
		return fmt.Errorf("%w: %w", err, errChanged)
	}
	return err
}

// remove stops a container with the signal and the grace period it was created with, and
// removes it. Its volumes stay.
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
		var late containers.NotReady
		switch err := containers.AwaitReady(ctx, e.client, workload.Patience, containers.Wait{Name: s.Once, Once: true}); {
		case errors.As(err, &late):
			say(fmt.Sprintf("    %s stays: %s. The next update removes it.", s.Name, late))
			return nil
		case err != nil:
			return err
		}
	}
	return containers.Remove(ctx, e.client, s.ID)
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
