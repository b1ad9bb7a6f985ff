package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/alorig/fleet/internal/containers"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/handover"
)

// migrate runs a migration in a container of its own. Two never run at the same time: one that
// a killed update has left finishes first.
func migrate(ctx context.Context, s *server, d *document.Migration) error {
	return locked(ctx, d.Lock, func() error {
		if err := s.needs(ctx, d); err != nil {
			return err
		}
		name := d.Container.Name
		before, err := containers.Look(ctx, s.docker, name)
		switch {
		case err != nil:
			return err
		case before.Condition != handover.Missing && before.Stack != d.Stack:
			return stranger(name, "a migration", d.Stack)
		case before.Condition != handover.Missing:
			if before.Condition != handover.Created {
				if _, err := containers.AwaitEnd(ctx, s.docker, name); err != nil {
					return err
				}
			}
			if err := containers.Remove(ctx, s.docker, name); err != nil {
				return err
			}
			s.say("%s of an earlier update removed", name)
		}
		if err := containers.Create(ctx, s.docker, d.Container); err != nil {
			return err
		}
		if err := containers.Start(ctx, s.docker, name); err != nil {
			return fmt.Errorf("the migration of %s did not start: %w; its containers were not touched and go on with the version before. Mend the cause, and run the update again", d.App, err)
		}
		code, err := containers.AwaitEnd(ctx, s.docker, name)
		if err != nil {
			return err
		}
		if code != 0 {
			return fmt.Errorf("the migration of %s ended with exit code %d; its containers were not touched and go on with the version before. Look at `docker logs %s`, mend the cause, and run the update again", d.App, code, name)
		}
		s.say("the database of %s migrated", d.App)
		return containers.Remove(ctx, s.docker, name)
	})
}

// needs reports the containers that the app cannot work without and that do not run.
func (s *server) needs(ctx context.Context, d *document.Migration) error {
	var problems []error
	for _, name := range d.Needs {
		found, err := containers.Look(ctx, s.docker, name)
		switch {
		case err != nil:
			return err
		case !found.Condition.Running():
			problems = append(problems, fmt.Errorf("- %s: docker start %s", found, name))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("nothing of %s was changed, since it could not work without:\n%w\nStart what is missing, and run the update again", d.App, errors.Join(problems...))
}
