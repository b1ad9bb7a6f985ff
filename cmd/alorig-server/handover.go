package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alorig/fleet/internal/containers"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/handover"
	"github.com/alorig/fleet/internal/ledger"
)

func tryNext(ctx context.Context, s *server, d *document.Handover) error {
	return s.handOver(ctx, d, handover.Try)
}

func takeOver(ctx context.Context, s *server, d *document.Handover) error {
	return s.handOver(ctx, d, handover.Take)
}

func endHandover(ctx context.Context, s *server, d *document.Handover) error {
	return s.handOver(ctx, d, handover.End)
}

// settled is how long Caddy and Docker's DNS may take to see who answers: more than Caddy's
// fail_duration (internal/caddysite).
const settled = 500 * time.Millisecond

// handOver takes the steps to a goal.
func (s *server) handOver(ctx context.Context, d *document.Handover, goal handover.Goal) error {
	return locked(ctx, d.Lock, func() error {
		names := map[handover.Place]string{
			handover.Current: d.Container.Name, handover.Next: ledger.NextName(d.Container.Name), handover.Previous: ledger.PreviousName(d.Container.Name),
		}
		h := hand{server: s, document: d, names: names}
		var state handover.State
		for {
			if err := h.look(ctx, &state); err != nil {
				return err
			}
			step := handover.Plan(goal, state)
			switch step.Do {
			case handover.Done:
				return nil
			case handover.Refuse:
				return h.refuse(step, state)
			default:
				if err := h.take(ctx, step); err != nil {
					return err
				}
			}
			after := state.Apply(step)
			state.Made, state.Proven = after.Made, after.Proven
		}
	})
}

// hand takes the steps of one handover.
type hand struct {
	*server
	document *document.Handover
	names    map[handover.Place]string
}

// look fills in what exists. It fails if one of the containers is not of this stack: it must
// be neither renamed nor removed.
func (h hand) look(ctx context.Context, state *handover.State) error {
	var strangers []error
	for _, place := range []handover.Place{handover.Current, handover.Next, handover.Previous} {
		found, err := containers.Look(ctx, h.docker, h.names[place])
		if err != nil {
			return err
		}
		if found.Condition != handover.Missing && found.Stack != h.document.Stack {
			strangers = append(strangers, stranger(found.Name, "a handover", h.document.Stack))
		}
		*state.At(place) = handover.Container{Condition: found.Condition}
	}
	return errors.Join(strangers...)
}

func stranger(name, what, stack string) error {
	return fmt.Errorf("the container %s stands in the way of %s and does not belong to the stack %s; rename or remove it, and run the update again", name, what, stack)
}

func (h hand) take(ctx context.Context, step handover.Step) error {
	name := h.names[step.Place]
	switch step.Do {
	case handover.Create:
		next := h.document.Container
		next.Name, next.Restart, next.CPUShares = name, "no", document.BackgroundShares
		if err := containers.Create(ctx, h.docker, next); err != nil {
			return fmt.Errorf("the next version of %s was not made: %w; %[1]s has not been touched and goes on serving. Mend the cause, and run the update again", h.document.Container.Name, err)
		}
		if err := containers.Start(ctx, h.docker, name); err != nil {
			return h.failed(ctx, err)
		}
		h.say("%s started", name)
	case handover.Await:
		err := containers.AwaitReady(ctx, h.docker, time.Duration(h.document.Patience)*time.Second, containers.Wait{Name: name, Once: true})
		var late containers.NotReady
		switch {
		case errors.As(err, &late) && step.Place == handover.Next:
			return h.failed(ctx, err)
		case errors.As(err, &late):
			return h.unready(ctx, err)
		case err != nil:
			return err
		}
		h.say("%s is ready", name)
	case handover.SetAside:
		if err := containers.Serve(ctx, h.docker, h.names[handover.Next], h.document.Container); err != nil {
			return err
		}
		if err := containers.Rename(ctx, h.docker, name, h.names[handover.Previous]); err != nil {
			return err
		}
		h.say("%s serves in place of %s", h.names[handover.Next], name)
		// Under another name the old container gets no new request. It finishes those it has.
		return sleep(ctx, settled)
	case handover.PutBack:
		if err := containers.Rename(ctx, h.docker, name, h.names[handover.Current]); err != nil {
			return err
		}
		h.say("%s has its name %s back", name, h.names[handover.Current])
	case handover.Remove:
		if step.Place == handover.Next {
			// Until Caddy asks the container again.
			if err := sleep(ctx, settled); err != nil {
				return err
			}
		}
		if err := containers.Remove(ctx, h.docker, name); err != nil {
			return err
		}
		h.say("%s removed", name)
	case handover.Done, handover.Refuse: // are no steps to take
	}
	return nil
}

// failed stops a next version that did not get ready, and keeps it to be looked at.
func (h hand) failed(ctx context.Context, why error) error {
	next := h.names[handover.Next]
	return errors.Join(
		fmt.Errorf("the next version of %s did not become ready: %w", h.document.Container.Name, why),
		fmt.Errorf("%s has not been touched and goes on serving; look at `docker logs %s`, mend the cause, and run the update again", h.document.Container.Name, next),
		containers.Stop(context.WithoutCancel(ctx), h.docker, next),
	)
}

// unready tells that the container itself does not get ready at the end of a handover.
func (h hand) unready(ctx context.Context, why error) error {
	next, err := containers.Look(ctx, h.docker, h.names[handover.Next])
	if err != nil {
		return errors.Join(why, err)
	}
	serves := "and nothing serves in its place"
	if next.Condition == handover.Ready {
		serves = fmt.Sprintf("so %s goes on serving in its place", next.Name)
	}
	return fmt.Errorf("%w, %s; look at `docker logs %s`, mend the cause, and run the update again", why, serves, h.document.Container.Name)
}

func (h hand) refuse(step handover.Step, state handover.State) error {
	serves := "nothing serves in its place"
	if state.Next.Condition == handover.Ready {
		serves = fmt.Sprintf("%s goes on serving in its place", h.names[handover.Next])
	}
	return fmt.Errorf("the handover of %s cannot end: %s; %s. Run `pulumi refresh`, then run the update again; `alorig recover` shows what is in the way", h.document.Container.Name, step.Reason, serves)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
