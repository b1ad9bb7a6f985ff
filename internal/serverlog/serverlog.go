// Package serverlog is the log of what the server's program has done: one line of JSON for
// each run of a verb, in a file of bounded size beside the program.
//
// A line is added whole, under a lock. One that was cut off, by a kill or a full disk, is
// passed over when the log is read, and the next line begins anew.
package serverlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofrs/flock"

	"github.com/alorig/fleet/internal/document"
)

// Entry is one run of a verb, which [document.Log] hands to the operator.
type Entry = document.LogEntry

const (
	// File is the log's name in its directory. The older half is beside it.
	File  = "log.jsonl"
	older = "log.1.jsonl"
	lock  = "log.lock"

	// limit is the size in bytes at which the file becomes the older one, whose lines are
	// lost. An update of six apps adds some 40 kB.
	limit = 1 << 20
	// Longer texts are cut off, in bytes.
	maxError = 2 << 10
	maxText  = 512
	// maxDid is how many changes of one run are kept.
	maxDid = 50

	// lockWait is how long another process may hold the lock. It writes one line.
	lockWait = 10 * time.Second
)

// Append adds an entry. It fills in who runs this, and cuts texts that are too long.
func Append(directory string, e Entry) error {
	e.Time = e.Time.UTC()
	e.Who = who()
	e.App, e.Subject, e.Digest, e.Error = cut(e.App, maxText), cut(e.Subject, maxText), cut(e.Digest, maxText), cut(e.Error, maxError)
	did := []string{}
	for _, text := range e.Did[:min(len(e.Did), maxDid)] {
		did = append(did, cut(text, maxText))
	}
	if more := len(e.Did) - len(did); more > 0 {
		did = append(did, fmt.Sprintf("and %d more", more))
	}
	e.Did = did
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("writing an entry of the log: %w", err)
	}
	unlock, err := hold(directory, (*flock.Flock).TryLockContext)
	if err != nil {
		return err
	}
	defer unlock()
	return add(filepath.Join(directory, File), filepath.Join(directory, older), append(line, '\n'))
}

// add writes the line while the lock is held.
func add(path, olderPath string, line []byte) (err error) {
	if info, err := os.Stat(path); err == nil && info.Size() >= limit {
		if err := os.Rename(path, olderPath); err != nil {
			return fmt.Errorf("beginning a new log: %w", err)
		}
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640) // whoever the group lets administer the server may read it
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	defer func() {
		if closed := file.Close(); err == nil && closed != nil {
			err = fmt.Errorf("writing %s: %w", path, closed)
		}
	}()
	// What was cut off gets its end of line first, in the same write.
	last := []byte{'\n'}
	if size, err := file.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	} else if size > 0 {
		if _, err := file.ReadAt(last, size-1); err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
	}
	if last[0] != '\n' {
		line = append([]byte{'\n'}, line...)
	}
	if _, err := file.Write(line); err != nil {
		return fmt.Errorf("writing %s: %w; is the disk full?", path, err)
	}
	return nil
}

// Read returns the entries since then, oldest first. With an app they are that app's and those
// of the shared services, which concern every app; "" is all. Without a log there are none.
func Read(directory, app string, since time.Time) ([]Entry, error) {
	entries := []Entry{}
	if _, err := os.Stat(filepath.Join(directory, File)); errors.Is(err, fs.ErrNotExist) {
		return entries, nil
	}
	unlock, err := hold(directory, (*flock.Flock).TryRLockContext)
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, name := range []string{older, File} {
		text, err := os.ReadFile(filepath.Join(directory, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading the log: %w", err)
		}
		for line := range bytes.Lines(text) {
			var e Entry
			if json.Unmarshal(line, &e) != nil { // cut off
				continue
			}
			if !e.Time.Before(since) && (app == "" || e.App == "" || e.App == app) {
				entries = append(entries, e)
			}
		}
	}
	// Lines stand in the order in which the runs ended.
	slices.SortStableFunc(entries, func(a, b Entry) int { return a.Time.Compare(b.Time) })
	return entries, nil
}

// hold takes the lock in one of its two ways. The log itself cannot be locked: it is renamed.
func hold(directory string, take func(*flock.Flock, context.Context, time.Duration) (bool, error)) (func(), error) {
	l := flock.New(filepath.Join(directory, lock), flock.SetPermissions(0o640))
	ctx, stop := context.WithTimeout(context.Background(), lockWait)
	defer stop()
	if _, err := take(l, ctx, 10*time.Millisecond); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("another process has held it for %s; `fuser -v %s` names it", lockWait, l.Path())
		}
		return nil, fmt.Errorf("locking %s: %w", l.Path(), err)
	}
	return func() { _ = l.Unlock() }, nil // the file is closed at the latest with this process
}

// who is the system's user, and where an SSH connection comes from.
func who() string {
	name := fmt.Sprint("user ", os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if client, _, _ := strings.Cut(os.Getenv("SSH_CONNECTION"), " "); client != "" {
		return cut(name+" from "+client, maxText)
	}
	return name
}

// cut cuts a text to so many bytes, between two characters.
func cut(text string, size int) string {
	if len(text) <= size {
		return text
	}
	for size > 0 && !utf8.RuneStart(text[size]) {
		size--
	}
	return text[:size] + "…"
}
