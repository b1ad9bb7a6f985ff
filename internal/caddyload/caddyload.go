// Package caddyload changes Caddy's main file and its site files on the server. Each change is
// one transaction: under a lock, what is served is kept beside the file until the running
// Caddy has validated and loaded the new configuration. When anything fails, and after a kill
// at any point, the file that was served comes back and Caddy loads it.
//
// A file that is kept is the transaction's mark (see [file]). Whoever holds the lock and finds
// one knows that a change was not finished, and undoes it first, whichever file it belongs to.
// Caddy's own memory needs no mark: every change that reaches Caddy ends by letting it load
// what the files say, even one that is refused or finds nothing to do. Caddy does nothing
// when it serves that already.
package caddyload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/alorig/fleet/internal/ledger"
)

// Caddy is the container in which Caddy runs.
type Caddy interface {
	// State is the container's in Docker's words, and [Missing] when there is none.
	State(ctx context.Context) (string, error)
	// Run runs the container's own caddy with these words and returns what it printed. A
	// command that has run and failed is no error, but an exit code other than 0.
	Run(ctx context.Context, stdin string, words ...string) (said string, code int, err error)
}

// States of a container that decide what may be changed. All others mean that Caddy does not
// run and reads its files when it starts.
const (
	Missing = "missing"
	Running = "running"
	Paused  = "paused" // in Caddy's memory is what it has loaded, and it cannot be asked
)

// Configuration is Caddy's configuration on the server.
type Configuration struct {
	Directory string // Caddy's container has it at /etc/caddy
	Container string // its name, for people
	Caddy     Caddy
	Say       func(format string, args ...any) // notes a change that was made
}

// How long a change waits for another one, how often it looks, and how long one command of
// Caddy may take.
const (
	lockWait = 15 * time.Minute
	lockPoll = 50 * time.Millisecond
	patience = time.Minute
)

const mainFile = "/etc/caddy/Caddyfile" // inside the container

// PutSite puts a site file in place, and Caddy loads it. Caddy must run.
func (c Configuration) PutSite(ctx context.Context, name, text string) error {
	f, err := c.site(name)
	if err != nil {
		return err
	}
	return c.change(ctx, f, []byte(text))
}

// RemoveSite takes a site file away, and Caddy loads what is left. Caddy must run, unless its
// container is gone.
func (c Configuration) RemoveSite(ctx context.Context, name string) error {
	f, err := c.site(name)
	if err != nil {
		return err
	}
	return c.change(ctx, f, nil)
}

// PutMain puts the main Caddyfile in place, and a Caddy that runs loads it. One that does not
// run reads it when it starts.
func (c Configuration) PutMain(ctx context.Context, text string) error {
	return c.change(ctx, c.main(), []byte(text))
}

func (c Configuration) main() file { return file{c.Directory, "Caddyfile"} }

func (c Configuration) sites() string { return ledger.SitesDirectory(c.Directory) }

// The main Caddyfile imports every file with this ending.
const siteEnding = ".caddy"

func (c Configuration) site(name string) (file, error) {
	if !isSite(name) {
		return file{}, fmt.Errorf("the site file %q: its name must be one that the main Caddyfile imports, such as %q, without a directory and without a dot in front", name, ledger.SiteFile("psydge"))
	}
	return file{c.sites(), name}, nil
}

func isSite(name string) bool {
	return strings.HasSuffix(name, siteEnding) && !strings.HasPrefix(name, ".") && !strings.ContainsAny(name, "/\x00")
}

// change lets the file hold the text, or be absent without one.
func (c Configuration) change(ctx context.Context, f file, text []byte) error {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	undone, err := c.undoUnfinished()
	if err != nil {
		return err
	}
	state, err := c.Caddy.State(ctx)
	if err != nil {
		return fmt.Errorf("%s was not changed: asking whether Caddy runs: %w", c.called(f), err)
	}
	t := transaction{c, f, text, state}
	if err := t.possible(); err != nil {
		return err
	}
	if state == Running && undone {
		// If Caddy refuses it, it may be this very change that mends it. What follows loads again.
		_ = c.reload(ctx)
	}
	changed, err := t.try(ctx)
	if err != nil {
		return t.back(ctx, err)
	}
	if !changed {
		return nil
	}
	if err := f.forget(); err != nil {
		return fmt.Errorf("the change of %s is made, but what was kept of the one before it cannot be removed: %w. The next change would put that back: mend this, and run the update again", c.called(f), err)
	}
	if text == nil {
		c.Say("removed %s", c.called(f))
	} else {
		c.Say("put %s in place", c.called(f))
	}
	return nil
}

// undoUnfinished puts back what a killed process has left, whichever file it was changing, and
// reports whether there was any. It does not need Caddy: one that cannot start because of a
// half-finished change starts again.
func (c Configuration) undoUnfinished() (bool, error) {
	found, err := c.unfinished()
	if err != nil {
		return false, err
	}
	undid := false
	for _, f := range found {
		undone, err := f.undo()
		if err != nil {
			return undid, fmt.Errorf("a process that was killed has left the change of %s half done, and it cannot be undone: %w; mend this, and run the update again", c.called(f), err)
		}
		if undone {
			undid = true
			c.Say("undid a change of %s that a killed process had not finished", c.called(f))
		}
	}
	return undid, nil
}

// unfinished are the files beside which a killed process has left something.
func (c Configuration) unfinished() ([]file, error) {
	var found []file
	for _, directory := range []string{c.Directory, c.sites()} {
		entries, err := os.ReadDir(directory)
		if err != nil {
			return nil, fmt.Errorf("looking for changes that were not finished: %w; the user of the deployment must be able to read and write there", err)
		}
		seen := map[string]bool{}
		for _, e := range entries {
			name := owner(e.Name())
			ours := directory == c.Directory && name == c.main().name || directory == c.sites() && isSite(name)
			if ours && !seen[name] {
				seen[name] = true
				found = append(found, file{directory, name})
			}
		}
	}
	return found, nil
}

// load lets Caddy validate and load what its files say.
func (c Configuration) load(ctx context.Context) error {
	if err := c.ask(ctx, "", "validate", "--config", mainFile); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.reload(ctx)
}

// reload is not interrupted: it would go on inside the container and could overtake the one
// that undoes it.
func (c Configuration) reload(ctx context.Context) error {
	return c.ask(context.WithoutCancel(ctx), "", "reload", "--config", mainFile)
}

// ask runs a command of Caddy. Its last lines are shown only if it refuses.
func (c Configuration) ask(ctx context.Context, stdin string, words ...string) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	return do(func() error {
		said, code, err := c.Caddy.Run(ctx, stdin, words...)
		if err != nil {
			return fmt.Errorf("`caddy %s` could not be run in the container %s: %w", words[0], c.Container, err)
		}
		if code != 0 {
			return refusal(fmt.Sprintf("`caddy %s` in the container %s ended with %d:\n%s", words[0], c.Container, code, tail(said, 5)))
		}
		return nil
	})
}

// refusal is Caddy's no.
type refusal string

func (r refusal) Error() string { return string(r) }

// tail is the last lines, without what Caddy logs of its own progress.
func tail(said string, lines int) string {
	all := slices.DeleteFunc(strings.Split(strings.TrimSpace(said), "\n"), func(line string) bool { return strings.HasPrefix(line, `{"level":"info"`) })
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// lock waits for every other change, those of an older update's scripts too.
func (c Configuration) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(c.sites(), 0o755); err != nil {
		return nil, fmt.Errorf("making the directory of Caddy's site files: %w; the user of the deployment must be able to write there", err)
	}
	lock := flock.New(filepath.Join(c.sites(), ".lock"), flock.SetPermissions(0o644))
	waiting, stop := context.WithTimeout(ctx, lockWait)
	defer stop()
	_, err = lock.TryLockContext(waiting, lockPoll)
	switch {
	case err == nil:
		return func() { _ = lock.Unlock() }, nil // at the latest when this process ends
	case ctx.Err() != nil:
		return nil, fmt.Errorf("nothing was changed: interrupted while another change of Caddy's files held %s: %w", lock.Path(), context.Cause(ctx))
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("nothing was changed: another process has held the lock %s for %s; `fuser %[1]s` on the server names it: let it end, and run the update again", lock.Path(), lockWait)
	default:
		return nil, fmt.Errorf("taking the lock %s: %w; the user of the deployment must be able to write there", lock.Path(), err)
	}
}

// called names a file for people.
func (c Configuration) called(f file) string {
	if f == c.main() {
		return "the main Caddyfile"
	}
	return "the site file " + f.name
}
