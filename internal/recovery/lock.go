package recovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path"
	"time"

	"github.com/google/uuid"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/alorig/fleet/internal/settings"
	"github.com/alorig/fleet/internal/terminal"
)

// Lock is a lock file of the stack. The process that wrote it is updating, or was killed.
type Lock struct {
	Key     string    `json:"key"` // of the file in the backend
	PID     int32     `json:"pid"`
	User    string    `json:"user"`
	Host    string    `json:"host"`
	Since   time.Time `json:"since"`
	Verdict Verdict   `json:"verdict"`
	Why     string    `json:"why"`
}

// lockFile is the content of a lock file (lockContent in pkg/backend/diy/lock.go of
// Pulumi 3.259).
type lockFile struct {
	PID       int32     `json:"pid"`
	Username  string    `json:"username"`
	Hostname  string    `json:"hostname"`
	Timestamp time.Time `json:"timestamp"`
}

// lockDirectory is where Pulumi keeps the locks of a stack (stackLockDir, same file). A
// self-managed backend calls every organization "organization".
func lockDirectory(stack string) string {
	return path.Join(".pulumi", "locks", "organization", settings.Project, stack) + "/"
}

// locks reads and judges the locks of the stack, sorted by key.
func (r *Recovery) locks(ctx context.Context) ([]Lock, error) {
	all := []Lock{}
	if !r.backend.holdsLocks() {
		return all, nil
	}
	if err := r.backend.readable(lockDirectory(r.options.Stack)); err != nil {
		return nil, fmt.Errorf("listing the locks in %s: %w", r.backend.shown, err)
	}
	list := r.backend.bucket.List(&blob.ListOptions{Prefix: lockDirectory(r.options.Stack)})
	for {
		object, err := list.Next(ctx)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("listing the locks in %s: %w", r.backend.shown, err)
		}
		lock, there, err := r.readLock(ctx, object.Key)
		if err != nil {
			return nil, err
		}
		if there {
			all = append(all, lock)
		}
	}
}

// readLock reads and judges one lock; there is false when it has gone meanwhile.
func (r *Recovery) readLock(ctx context.Context, key string) (lock Lock, there bool, err error) {
	text, err := r.backend.bucket.ReadAll(ctx, key)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return Lock{}, false, nil
	}
	if err != nil {
		return Lock{}, false, fmt.Errorf("reading the lock %s: %w", key, err)
	}
	lock = Lock{Key: key, Verdict: Unknowable, Why: "the file cannot be read, so its holder is not known"}
	var content lockFile
	if json.Unmarshal(text, &content) != nil || content.PID <= 0 || content.Hostname == "" || content.Timestamp.IsZero() {
		return lock, true, nil //nolint:nilerr // a lock file that cannot be read is a finding, not a failure
	}
	lock.PID, lock.Since = content.PID, content.Timestamp
	lock.User, lock.Host = terminal.Line(content.Username), terminal.Line(content.Hostname)
	lock.Verdict, lock.Why = r.judge(lock)
	return lock, true, nil
}

// String names the holder for people.
func (l Lock) String() string {
	if l.PID == 0 {
		return "an unknown process"
	}
	return fmt.Sprintf("%s@%s, pid %d, since %s", l.User, l.Host, l.PID, l.Since.UTC().Format(time.RFC3339))
}

// where is the lock with its file and the backend, for people.
func (l Lock) where(backend string) string {
	return fmt.Sprintf("the lock of %s (file %s in %s)", l, terminal.Line(l.Key), backend)
}

// ErrHeld ends a recovery when another process has locked the stack since Look.
var ErrHeld = errors.New("run this again when that process has finished; docs/runbook.md, " + runbookSection)

// runbookSection is where docs/runbook.md explains what recover says.
const runbookSection = "When an update fails"

// breakLock judges this one lock again and deletes it. `pulumi cancel` would delete every
// lock of the stack, also that of an update which has begun since.
func (r *Recovery) breakLock(ctx context.Context, key string) error {
	lock, there, err := r.readLock(ctx, key)
	if err != nil || !there {
		return err
	}
	if lock.Verdict == Alive || lock.Verdict == Unknowable && !r.options.HolderIsGone {
		return fmt.Errorf("%s is %s now: %s; %w", lock.where(r.backend.shown), lock.Verdict, lock.Why, ErrHeld)
	}
	if err := r.backend.bucket.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("deleting the lock %s: %w", key, err)
	}
	return nil
}

// hold locks the stack for this process as the Pulumi engine does: it writes a lock file,
// then looks whether there is another one (Lock in pkg/backend/diy/lock.go of Pulumi 3.259).
func (r *Recovery) hold(ctx context.Context) (release func() error, err error) {
	if !r.backend.holdsLocks() {
		return func() error { return nil }, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("locking the stack: %w", err)
	}
	content := lockFile{PID: int32(os.Getpid()), Hostname: host, Timestamp: time.Now()} //nolint:gosec // a pid fits
	if u, err := user.Current(); err == nil {
		content.Username = u.Username
	}
	text, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("locking the stack: %w", err)
	}
	key := lockDirectory(r.options.Stack) + uuid.NewString() + ".json"
	if err := r.backend.bucket.WriteAll(ctx, key, text, nil); err != nil {
		return nil, fmt.Errorf("locking the stack: %w", err)
	}
	release = func() error {
		// Also when this command was interrupted: nobody else would delete the file.
		err := r.backend.bucket.Delete(context.WithoutCancel(ctx), key)
		if err != nil && gcerrors.Code(err) != gcerrors.NotFound {
			return fmt.Errorf("unlocking the stack: %w", err)
		}
		return nil
	}
	held, err := r.locks(ctx)
	if err == nil {
		for _, other := range held {
			if other.Key != key {
				err = fmt.Errorf("another process has locked the stack meanwhile: %s, %s; %w", other.where(r.backend.shown), other.Verdict, ErrHeld)
			}
		}
	}
	if err != nil {
		return nil, errors.Join(err, release())
	}
	return release, nil
}
