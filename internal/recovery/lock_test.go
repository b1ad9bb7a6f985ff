package recovery

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test's own binary stand for a process that holds a lock, and for an
// alorig that judges one.
func TestMain(m *testing.M) {
	if text := os.Getenv("RECOVERY_TEST_JUDGE"); text != "" {
		var l Lock
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			panic(err)
		}
		fmt.Println(judge(l))
		return
	}
	if os.Getenv("RECOVERY_TEST_HOLDER") != "" {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
		return
	}
	os.Exit(m.Run())
}

// holder starts a process of the name and returns its number, and how to end it.
func holder(t *testing.T, name string) (pid int, end func()) {
	t.Helper()
	return holderWith(t, name, nil)
}

func holderWith(t *testing.T, name string, attributes *syscall.SysProcAttr) (pid int, end func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.Link(self, path); err != nil { // else it is another file system
		text, err := os.ReadFile(self)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), "RECOVERY_TEST_HOLDER=1")
	cmd.SysProcAttr = attributes
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() {
		if !ended {
			ended = true
			_ = stdin.Close()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(end)
	return cmd.Process.Pid, end
}

// locked is a Recovery of a backend in a new directory, and the directory of its locks.
func locked(t *testing.T) (*Recovery, string) {
	t.Helper()
	root := t.TempDir()
	directory := filepath.Join(root, ".pulumi", "locks", "organization", "alorig", "test")
	if err := os.MkdirAll(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	o := Options{Directory: root, Stack: "test"}
	b, err := openBackend(t.Context(), "file://"+root, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.bucket.Close() })
	return &Recovery{options: o, backend: b, judge: judge}, directory
}

func writeLock(t *testing.T, directory, name string, content lockFile) {
	t.Helper()
	text, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(directory, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRecoverJudgesLocks(t *testing.T) {
	here, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	dead, end := holder(t, "pulumi")
	end()
	// A process that has ended and whose parent has not asked for its exit code.
	zombie := exec.Command("/bin/true")
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = zombie.Wait() })
	time.Sleep(200 * time.Millisecond)
	living, _ := holder(t, "pulumi")
	recovering, _ := holder(t, "alorig")
	wrapped, _ := holder(t, ".pulumi-wrapped") // what the packages of NixOS start
	other, _ := holder(t, "sleep")
	now := time.Now()
	for _, tt := range []struct {
		name    string
		content lockFile
		verdict Verdict
		why     string
	}{
		{"a living pulumi", lockFile{int32(living), "op", here, now}, Alive, "pulumi is running"},
		{"a living alorig", lockFile{int32(recovering), "op", here, now}, Alive, "alorig is running"},
		{"a living pulumi by another name", lockFile{int32(wrapped), "op", here, now}, Alive, ".pulumi-wrapped is running"},
		{"no process", lockFile{int32(dead), "op", here, now}, Dead, "no process of this machine has its number any more"},
		{"a process that has ended", lockFile{int32(zombie.Process.Pid), "op", here, now}, Dead, "its process has ended"},
		{"another program", lockFile{int32(other), "op", here, now}, Dead, "its number now belongs to sleep"},
		{"a later pulumi", lockFile{int32(living), "op", here, now.Add(-time.Hour)}, Dead, "a pulumi that began later"},
		{"another machine", lockFile{int32(living), "op", "elsewhere", now}, Unknowable, "taken on the machine elsewhere, which this is not"},
		{"nothing", lockFile{}, Unknowable, "cannot be read"},
		{"a name with escape codes", lockFile{int32(living), "op\x1b[2J", "else\nwhere", now}, Unknowable, `the machine else\nwhere`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, directory := locked(t)
			writeLock(t, directory, "one.json", tt.content)
			locks, err := r.locks(t.Context())
			if err != nil || len(locks) != 1 {
				t.Fatalf("%d locks, %v", len(locks), err)
			}
			if l := locks[0]; l.Verdict != tt.verdict || !strings.Contains(l.Why, tt.why) {
				t.Errorf("judged %s: %s", l.Verdict, l.Why)
			}
		})
	}
}

// contained is what sets a process apart that runs in a container with the host's network:
// it has the machine's name, and numbers of its own.
func contained(t *testing.T) *syscall.SysProcAttr {
	t.Helper()
	if processesHere().unseen != "" || os.Getuid() != 0 {
		t.Skip("this test makes a PID namespace: it must run as root and outside a container")
	}
	return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
}

// The process 1 of a container is systemd, and its process 7 nobody, on the machine.
func TestRecoverSeesTheHolderInAContainer(t *testing.T) {
	here, _ := os.Hostname()
	pid, end := holderWith(t, "pulumi", contained(t))
	lock := Lock{PID: 1, User: "op", Host: here, Since: time.Now()}
	want := fmt.Sprintf("pulumi is running in a container, as process %d of this machine", pid)
	if verdict, why := judge(lock); verdict != Alive || why != want {
		t.Errorf("judged %s: %s", verdict, why)
	}
	lock.Since = time.Now().Add(-time.Hour) // another process 1, of a container before it
	if verdict, why := judge(lock); verdict != Dead {
		t.Errorf("older than the process: judged %s: %s", verdict, why)
	}
	end()
	lock.Since = time.Now()
	if verdict, why := judge(lock); verdict != Dead {
		t.Errorf("ended: judged %s: %s", verdict, why)
	}
}

// From within a container a process that is absent, younger or another program proves
// nothing: the holder may be outside.
func TestRecoverCannotKnowInAContainer(t *testing.T) {
	attributes := contained(t)
	here, _ := os.Hostname()
	dead, end := holder(t, "pulumi")
	end()
	living, _ := holder(t, "pulumi")
	other, _ := holder(t, "sleep")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, lock := range map[string]Lock{
		"absent":          {PID: int32(dead), Host: here, Since: time.Now()},
		"younger":         {PID: int32(living), Host: here, Since: time.Now().Add(-time.Hour)},
		"another program": {PID: int32(other), Host: here, Since: time.Now()},
	} {
		text, err := json.Marshal(lock)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), "RECOVERY_TEST_JUDGE="+string(text))
		cmd.SysProcAttr = attributes
		said, err := cmd.CombinedOutput()
		if want := "unknowable this command runs in a container and does not see the other processes of the machine\n"; err != nil || string(said) != want {
			t.Errorf("%s: judged %s, %v", name, said, err)
		}
	}
}

// Of two locks exactly the dead one goes.
func TestRecoverBreaksOnlyTheDeadLock(t *testing.T) {
	here, _ := os.Hostname()
	dead, end := holder(t, "pulumi")
	end()
	living, _ := holder(t, "pulumi")
	r, directory := locked(t)
	writeLock(t, directory, "dead.json", lockFile{int32(dead), "op", here, time.Now()})
	writeLock(t, directory, "living.json", lockFile{int32(living), "op", here, time.Now()})
	// The stack beside it is somebody else's business.
	beside := filepath.Join(filepath.Dir(directory), "test2")
	if err := os.MkdirAll(beside, 0o755); err != nil {
		t.Fatal(err)
	}
	writeLock(t, beside, "beside.json", lockFile{int32(dead), "op", here, time.Now()})

	locks, err := r.locks(t.Context())
	if err != nil || len(locks) != 2 {
		t.Fatalf("%v, %v", locks, err)
	}
	key := lockDirectory("test")
	if err := r.breakLock(t.Context(), key+"dead.json"); err != nil {
		t.Error(err)
	}
	if err := r.breakLock(t.Context(), key+"dead.json"); err != nil {
		t.Errorf("done again: %v", err)
	}
	for _, word := range []bool{false, true} {
		r.options.HolderIsGone = word
		if err := r.breakLock(t.Context(), key+"living.json"); err == nil || !strings.Contains(err.Error(), "(file .pulumi/locks/organization/alorig/test/living.json in file://") {
			t.Errorf("broke the lock of a living update: %v", err)
		}
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(directory), "*", "*.json"))
	if len(left) != 2 {
		t.Errorf("left are %q", left)
	}
}

func TestRecoverTakesTheOperatorsWord(t *testing.T) {
	r, directory := locked(t)
	writeLock(t, directory, "one.json", lockFile{1, "op", "elsewhere", time.Now()})
	key := lockDirectory("test") + "one.json"
	if err := r.breakLock(t.Context(), key); err == nil {
		t.Error("broke a lock that nobody here can judge")
	}
	r.options.HolderIsGone = true
	if err := r.breakLock(t.Context(), key); err != nil {
		t.Error(err)
	}
	if locks, err := r.locks(t.Context()); err != nil || len(locks) != 0 {
		t.Errorf("%v, %v", locks, err)
	}
}

// The library that lists a bucket passes over what it cannot read.
func TestRecoverSaysWhichLocksItCannotSee(t *testing.T) {
	r, directory := locked(t)
	if err := os.Remove(directory); err != nil {
		t.Fatal(err)
	}
	if locks, err := r.locks(t.Context()); err != nil || len(locks) != 0 {
		t.Errorf("never locked: %v, %v", locks, err)
	}
	if err := os.Symlink(directory, directory); err != nil { // unreadable to root too
		t.Fatal(err)
	}
	if locks, err := r.locks(t.Context()); err == nil || !strings.Contains(err.Error(), "listing the locks in file://") {
		t.Errorf("an unreadable directory has %v, %v", locks, err)
	}
}

// While this works on the server nobody else can lock the stack, and the other way round.
func TestRecoverHoldsTheLock(t *testing.T) {
	here, _ := os.Hostname()
	r, directory := locked(t)
	release, err := r.hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second := &Recovery{options: r.options, backend: r.backend, judge: func(Lock) (Verdict, string) { return Alive, "" }}
	if _, err := second.hold(t.Context()); err == nil {
		t.Error("two hold one lock")
	}
	if files, _ := filepath.Glob(filepath.Join(directory, "*.json")); len(files) != 1 {
		t.Errorf("after a refused lock there are %q", files)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	writeLock(t, directory, "other.json", lockFile{1, "op", here, time.Now()})
	if _, err := r.hold(t.Context()); err == nil || !strings.Contains(err.Error(), "has locked the stack meanwhile: the lock of op@") {
		t.Errorf("locked a locked stack: %v", err)
	}
	if files, _ := filepath.Glob(filepath.Join(directory, "*")); len(files) != 1 {
		t.Errorf("left are %q", files)
	}
}

func TestRecoverBackendAddresses(t *testing.T) {
	t.Setenv("HOME", "/home/op")
	t.Setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "")
	for _, tt := range []struct{ address, directory string }{
		{"file:///state", "/state"},
		{"file://~", "/home/op"},
		{"file://~/state", "/home/op/state"},
		{"file://./state", "/project/state"},
		{"file://state?x=y", "/project/state"},
	} {
		got, err := fileDirectory(tt.address, "/project")
		if err != nil || got != tt.directory {
			t.Errorf("%s is %s (%v), want %s", tt.address, got, err, tt.directory)
		}
	}
	for _, tt := range []struct{ address, opened string }{
		{"s3://b?region=r", "s3://b?region=r"},
		{"s3://b/p?region=r&endpoint=h&s3ForcePathStyle=true", "s3://b/p?endpoint=https%3A%2F%2Fh&region=r&request_checksum_calculation=when_required&s3ForcePathStyle=true"},
		{"s3://b?endpoint=h%3A9000&disableSSL=true", "s3://b?disable_https=true&endpoint=http%3A%2F%2Fh%3A9000&request_checksum_calculation=when_required"},
	} {
		u, err := url.Parse(tt.address)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s3Address(u)
		if err != nil || got != tt.opened {
			t.Errorf("%s opens %s (%v), want %s", tt.address, got, err, tt.opened)
		}
	}
}

func TestRecoverOtherBackends(t *testing.T) {
	b, err := openBackend(t.Context(), "https://op:hunter2@api.pulumi.com", Options{})
	if err != nil || b.holdsLocks() || strings.Contains(b.shown, "hunter2") {
		t.Errorf("%+v, %v", b, err)
	}
	r := &Recovery{backend: b}
	if locks, err := r.locks(t.Context()); err != nil || len(locks) != 0 {
		t.Errorf("%v, %v", locks, err)
	}
	if release, err := r.hold(t.Context()); err != nil || release() != nil {
		t.Errorf("cannot go on without locks: %v", err)
	}
	if _, err := openBackend(t.Context(), "gs://op:hunter2@bucket", Options{Stack: "prod"}); err == nil || !strings.Contains(err.Error(), "accepted: file://, s3://, Pulumi Cloud") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a backend of another kind: %v", err)
	}
}
