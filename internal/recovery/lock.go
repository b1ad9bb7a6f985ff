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
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/shirou/gopsutil/v4/process"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/alorig/fleet/internal/settings"
)

// Lock is a lock file of the stack: whoever wrote it is updating, or was.
type Lock struct {
	Key     string    `json:"key"` // in the backend
	PID     int32     `json:"pid"`
	User    string    `json:"user"`
	Host    string    `json:"host"`
	Since   time.Time `json:"since"`
	Verdict Verdict   `json:"verdict"`
	Why     string    `json:"why"`
}

// Verdict is what is known of the holder of a lock.
type Verdict string

// The verdicts.
const (
	Dead       Verdict = "dead"       // the holder is gone; the lock may be deleted
	Alive      Verdict = "alive"      // the holder updates at this moment
	Unknowable Verdict = "unknowable" // not from this machine
)

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
func lockDirectory(project, stack string) string {
	return path.Join(".pulumi", "locks", "organization", project, stack) + "/"
}

// locks reads and judges the locks of the stack, sorted by key.
func (r *Recovery) locks(ctx context.Context) ([]Lock, error) {
	all := []Lock{}
	if !r.backend.holdsLocks() {
		return all, nil
	}
	list := r.backend.bucket.List(&blob.ListOptions{Prefix: lockDirectory(settings.Project, r.options.Stack)})
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
	lock = Lock{Key: key, Verdict: Unknowable, Why: "it cannot be read, so nobody knows who holds it"}
	var content lockFile
	if json.Unmarshal(text, &content) != nil || content.PID <= 0 || content.Hostname == "" || content.Timestamp.IsZero() {
		return lock, true, nil //nolint:nilerr // what cannot be read is a finding, not a failure
	}
	lock.PID, lock.User, lock.Host, lock.Since = content.PID, content.Username, content.Hostname, content.Timestamp
	lock.Verdict, lock.Why = r.judge(ctx, lock)
	return lock, true, nil
}

// reuseMargin is by how much a process must be younger than the lock before it is taken
// for another one under the same number: clocks are set while an update runs.
const reuseMargin = time.Minute

// judge tells whether the holder of a lock lives. A living process is its holder when it
// is a pulumi, or an alorig that recovers, and was there when the lock was written.
func judge(ctx context.Context, l Lock) (Verdict, string) {
	here, err := os.Hostname()
	if err != nil || l.Host != here {
		return Unknowable, fmt.Sprintf("the machine %s can tell, this one cannot", l.Host)
	}
	p, err := process.NewProcessWithContext(ctx, l.PID)
	if errors.Is(err, process.ErrorProcessNotRunning) {
		return Dead, "no process has this number any more"
	}
	if err != nil {
		return Unknowable, fmt.Sprintf("the process cannot be looked at: %v", err)
	}
	// A killed engine stays in the table until its parent has asked for its exit code.
	if states, err := p.StatusWithContext(ctx); err == nil && len(states) > 0 && states[0] == process.Zombie {
		return Dead, "the process has ended"
	}
	name, err := p.NameWithContext(ctx)
	if err != nil {
		return gone(ctx, l.PID, err)
	}
	executable := ""
	if path, err := p.ExeWithContext(ctx); err == nil { // another user's is not shown
		executable = filepath.Base(path)
	}
	if !updates(name) && !updates(executable) {
		return Dead, fmt.Sprintf("the number now belongs to %s", name)
	}
	started, err := p.CreateTimeWithContext(ctx)
	if err != nil {
		return gone(ctx, l.PID, err)
	}
	if since := time.UnixMilli(started); since.After(l.Since.Add(reuseMargin)) {
		return Dead, fmt.Sprintf("the number now belongs to a %s that began later, at %s", name, since.UTC().Format(time.RFC3339))
	}
	return Alive, fmt.Sprintf("%s is running", name)
}

// gone judges a process that could not be looked at: it may have ended meanwhile.
func gone(ctx context.Context, pid int32, cause error) (Verdict, string) {
	if there, err := process.PidExistsWithContext(ctx, pid); err == nil && !there {
		return Dead, "no process has this number any more"
	}
	return Unknowable, fmt.Sprintf("the process cannot be looked at: %v", cause)
}

// updates reports a program that takes locks.
func updates(program string) bool {
	return strings.HasPrefix(program, "pulumi") || strings.HasPrefix(program, "alorig")
}

// String names the holder for people.
func (l Lock) String() string {
	if l.PID == 0 {
		return path.Base(l.Key)
	}
	return fmt.Sprintf("%s@%s, pid %d, since %s", l.User, l.Host, l.PID, l.Since.UTC().Format(time.RFC3339))
}

// ErrHeld ends a recovery whose stack somebody has locked since it was looked at.
var ErrHeld = errors.New("run this again when that has finished")

// breakLock deletes exactly this lock, judged once more: `pulumi cancel` would delete
// every lock of the stack, that of an update which began meanwhile too.
func (r *Recovery) breakLock(ctx context.Context, key string) error {
	lock, there, err := r.readLock(ctx, key)
	if err != nil || !there {
		return err
	}
	if lock.Verdict == Alive || lock.Verdict == Unknowable && !r.options.HolderIsGone {
		return fmt.Errorf("the lock of %s is %s now: %s; %w", lock, lock.Verdict, lock.Why, ErrHeld)
	}
	if err := r.backend.bucket.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("deleting the lock %s: %w", key, err)
	}
	return nil
}

// hold locks the stack for this process, in the engine's own way: write, then look whether
// anybody else did too (Lock in pkg/backend/diy/lock.go of Pulumi 3.259).
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
	key := lockDirectory(settings.Project, r.options.Stack) + uuid.NewString() + ".json"
	if err := r.backend.bucket.WriteAll(ctx, key, text, nil); err != nil {
		return nil, fmt.Errorf("locking the stack: %w", err)
	}
	release = func() error {
		// Also when the command was interrupted: nobody else takes it away.
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
				err = fmt.Errorf("%s locked the stack meanwhile (%s); %w", other, other.Verdict, ErrHeld)
			}
		}
	}
	if err != nil {
		return nil, errors.Join(err, release())
	}
	return release, nil
}
