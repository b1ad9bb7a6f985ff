package caddyload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
)

// transaction is one change, under the lock.
type transaction struct {
	Configuration
	file  file
	text  []byte // nil removes
	state string // of Caddy's container
}

// possible refuses what needs a Caddy that runs.
func (t *transaction) possible() error {
	remedy := ""
	switch {
	case t.state == Running, t.state == Missing && t.text == nil, t.file == t.main() && t.state != Paused:
		return nil
	case t.state == Missing:
		remedy = "create it (`pulumi refresh` and `pulumi up` where this project made it)"
	case t.state == Paused:
		remedy = "`docker unpause " + t.Container + "`"
	default:
		remedy = fmt.Sprintf("`docker start %s` (`docker logs --tail 50 %[1]s` says why it ended)", t.Container)
	}
	return fmt.Errorf("%s was not changed: Caddy's container %s is %s, and Caddy must check every change before it serves it; %s, and run the update again", t.called(t.file), t.Container, t.state, remedy)
}

// try makes the change and lets Caddy load it. It reports whether the file is another one now.
func (t *transaction) try(ctx context.Context) (changed bool, err error) {
	if t.state == Running && t.text != nil && t.file != t.main() {
		// Caddy reads the new file alone first, so that a broken one never reaches the directory.
		if err := t.ask(ctx, string(t.text), "adapt", "--adapter", "caddyfile", "--config", "-"); err != nil {
			return false, err
		}
	}
	before, err := t.file.read()
	if err != nil {
		return false, err
	}
	changed = (before == nil) != (t.text == nil) || !bytes.Equal(before, t.text)
	if changed {
		if err := t.file.keep(before); err != nil {
			return false, fmt.Errorf("keeping what is served: %w", err)
		}
		if err := t.file.put(t.text); err != nil {
			return false, err
		}
	}
	if t.state != Running {
		// It may have been started meanwhile, with the file of before.
		if t.state, err = t.Caddy.State(ctx); err != nil {
			return false, fmt.Errorf("asking whether Caddy runs: %w", err)
		}
	}
	if t.state != Running {
		return changed, nil
	}
	return changed, t.load(ctx)
}

// back undoes the change because of what failed, and tells what is served now. A context that
// has ended does not stop it.
func (t *transaction) back(ctx context.Context, failed error) error {
	called := t.called(t.file)
	outcome := strings.ToUpper(called[:1]) + called[1:] + " was not changed"
	_, refused := errors.AsType[refusal](failed)
	switch {
	case refused && t.text == nil:
		outcome = "The removal of " + called + " was refused"
	case refused:
		outcome = strings.TrimSuffix(outcome, "not changed") + "refused"
	case ctx.Err() != nil && errors.Is(failed, ctx.Err()):
		failed = fmt.Errorf("interrupted before Caddy had loaded the change: %w", context.Cause(ctx))
	}
	undone, err := t.file.undo()
	if err != nil {
		return fmt.Errorf("%w\n%s, and the file of before could not be put back: %w. Caddy may refuse to start until it is; mend this, and run the update again, which puts it back", failed, outcome, err)
	}
	served := ", and what was served before still is"
	if undone {
		is, err := t.file.read()
		switch {
		case err == nil && is == nil:
			outcome += "; there was none before it, and it is gone again"
		case t.text == nil:
			outcome, served = outcome+"; it is back", " and still served"
		default:
			outcome, served = outcome+"; the one before it is back", " and still served"
		}
	}
	if t.state != Running {
		served = "" // nothing is
	} else if err := t.reload(ctx); err != nil {
		return fmt.Errorf("%w\n%s, but Caddy has not loaded what its files say now: %w\nIt may serve something else than they say. See `docker logs --tail 50 %s`, mend what is named, and run the update again", failed, outcome, err, t.Container)
	}
	return fmt.Errorf("%w\n%s%s. Correct what is named above, and run the update again", failed, outcome, served)
}
