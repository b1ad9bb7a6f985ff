package serverlog

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

var start = time.Date(2026, 7, 1, 3, 0, 0, 0, time.UTC)

func entry(app string, after time.Duration) Entry {
	return Entry{Time: start.Add(after), Seconds: 1.5, Verb: "take-over", App: app, Subject: app + "_backend"}
}

func subjects(t *testing.T, dir, app string, since time.Time) []string {
	t.Helper()
	entries, err := Read(dir, app, since)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Subject)
	}
	return names
}

func add1(t *testing.T, dir string, e Entry) {
	t.Helper()
	if err := Append(dir, e); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsAppendedIsRead(t *testing.T) {
	t.Setenv("SSH_CONNECTION", "203.0.113.7 50000 203.0.113.10 22")
	dir := t.TempDir()
	if entries, err := Read(dir, "", time.Time{}); err != nil || len(entries) != 0 || entries == nil {
		t.Errorf("without a log: %v, %v", entries, err)
	}
	if _, err := Read(filepath.Join(dir, "missing"), "", time.Time{}); err != nil {
		t.Errorf("without a directory: %v", err)
	}
	written := entry("psydge", 0)
	written.Digest, written.Did, written.Failed, written.Error = "sha256:1", []string{"renamed", "started\nit"}, true, "no"
	add1(t, dir, written)
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	written.Who = self.Username + " from 203.0.113.7"
	entries, err := Read(dir, "", time.Time{})
	got, _ := json.Marshal(entries)
	want, _ := json.Marshal([]Entry{written})
	if err != nil || string(got) != string(want) {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
	t.Setenv("SSH_CONNECTION", "")
	add1(t, dir, entry("snapify", time.Minute))
	if entries, _ := Read(dir, "", time.Time{}); entries[1].Who != self.Username || entries[1].Did == nil {
		t.Errorf("%+v", entries[1])
	}
	if info, err := os.Stat(filepath.Join(dir, File)); err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestTheEntriesOfAnApp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// The longer run began first and ended last.
	for _, e := range []Entry{entry("snapify", 0), entry("psydge", 2*time.Hour), entry("psydge", time.Hour), entry("", 3*time.Hour)} {
		if e.App == "" {
			e.Subject = "caddy"
		}
		e.Did = []string{e.Time.String()}
		add1(t, dir, e)
	}
	entries, err := Read(dir, "", time.Time{})
	if err != nil || !slices.IsSortedFunc(entries, func(a, b Entry) int { return a.Time.Compare(b.Time) }) {
		t.Errorf("not the oldest first: %v, %v", entries, err)
	}
	for _, tt := range []struct {
		app   string
		since time.Duration
		want  []string
	}{
		{"psydge", 0, []string{"psydge_backend", "psydge_backend", "caddy"}},
		{"psydge", 2 * time.Hour, []string{"psydge_backend", "caddy"}},
		{"snapify", 0, []string{"snapify_backend", "caddy"}},
		{"", 90 * time.Minute, []string{"psydge_backend", "caddy"}},
		{"", 4 * time.Hour, []string{}},
	} {
		if got := subjects(t, dir, tt.app, start.Add(tt.since)); !slices.Equal(got, tt.want) {
			t.Errorf("%q since %s: %v, want %v", tt.app, tt.since, got, tt.want)
		}
	}
}

func TestALineThatWasCutOffSpoilsNoOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, File)
	add1(t, dir, entry("a", 0))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, rest := range []int{1, 20, len(whole) - 2, len(whole) - 1} { // the last lacks only its end of line
		if err := os.WriteFile(path, append(slices.Clone(whole), whole[:rest]...), 0o640); err != nil {
			t.Fatal(err)
		}
		add1(t, dir, entry("b", time.Hour))
		want := []string{"a_backend", "b_backend"}
		if rest == len(whole)-1 {
			want = []string{"a_backend", "a_backend", "b_backend"}
		}
		if got := subjects(t, dir, "", time.Time{}); !slices.Equal(got, want) {
			t.Errorf("after %d bytes of a line: %v", rest, got)
		}
	}
	// What is none of ours is passed over.
	if err := os.WriteFile(path, append([]byte("\x00\x00\n[1]\n\n"), whole...), 0o640); err != nil {
		t.Fatal(err)
	}
	if got := subjects(t, dir, "a", start); !slices.Equal(got, []string{"a_backend"}) {
		t.Errorf("%v", got)
	}
}

func TestTheLogIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	long := "xxx" + strings.Repeat("ä\n\x00", 1<<20) // a cut meets the middle of a character
	e := entry("psydge", 0)
	e.Subject, e.Digest, e.Error, e.Did = long, long, long, slices.Repeat([]string{long}, 1000)
	var last time.Time
	for i := range 60 {
		e.Time = start.Add(time.Duration(i) * time.Second)
		last = e.Time
		add1(t, dir, e)
	}
	entries, err := Read(dir, "", time.Time{})
	if err != nil || len(entries) < 5 || !entries[len(entries)-1].Time.Equal(last) {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	if !entries[0].Time.After(start) {
		t.Error("nothing was ever dropped")
	}
	if read := entries[0]; len(read.Error) > maxError+len("…") || !strings.HasSuffix(read.Error, "…") || strings.ContainsRune(read.Error, '\uFFFD') ||
		len(read.Did) != maxDid+1 || read.Did[maxDid] != "and 950 more" {
		t.Errorf("%d bytes, %d changes: %q", len(read.Error), len(read.Did), read.Error[len(read.Error)-10:])
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Size() > limit+200<<10 {
			t.Errorf("%s has %d bytes, %v", f.Name(), info.Size(), err)
		}
	}
	if len(files) != 3 {
		t.Errorf("%v", files)
	}
}

func TestManyProcessesAtOnce(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv("SERVERLOG_DIRECTORY"); dir != "" { // one of them
		for i := range 50 {
			e := entry("psydge", 0)
			e.Subject, e.Error = fmt.Sprintf("%s-%d", os.Getenv("SERVERLOG_NAME"), i), strings.Repeat("x", 2000)
			add1(t, dir, e)
		}
		return
	}
	dir := t.TempDir()
	// The file is renamed while they write.
	if err := os.WriteFile(filepath.Join(dir, File), append([]byte(strings.Repeat("x", limit-100<<10)), '\n'), 0o640); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			c := exec.Command(os.Args[0], "-test.run=^TestManyProcessesAtOnce$")
			c.Env = append(os.Environ(), "SERVERLOG_DIRECTORY="+dir, fmt.Sprintf("SERVERLOG_NAME=%d", i))
			if said, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, said)
			}
		})
	}
	all.Wait()
	got := subjects(t, dir, "", time.Time{})
	slices.Sort(got)
	if len(slices.Compact(got)) != 200 {
		t.Errorf("%d entries of 200", len(got))
	}
}

func TestALineWaitsForTheLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	unlock, err := hold(dir, (*flock.Flock).TryLockContext)
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 2)
	go func() { written <- Append(dir, entry("psydge", 0)) }()
	go func() {
		if err := os.WriteFile(filepath.Join(dir, File), nil, 0o640); err != nil {
			t.Error(err)
		}
		_, err := Read(dir, "", time.Time{})
		written <- err
	}()
	select {
	case err := <-written:
		t.Fatalf("it does not wait: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	unlock()
	for range 2 {
		if err := <-written; err != nil {
			t.Error(err)
		}
	}
}

func TestWhatKeepsTheLogFromBeingWritten(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	if err := Append(missing, entry("psydge", 0)); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("without a directory: %v", err)
	}
	dir := t.TempDir()
	if err := os.Symlink("/dev/full", filepath.Join(dir, File)); err != nil {
		t.Fatal(err)
	}
	if err := Append(dir, entry("psydge", 0)); err == nil || !strings.Contains(err.Error(), syscall.ENOSPC.Error()) || !strings.Contains(err.Error(), File) {
		t.Errorf("on a full disk: %v", err)
	}
}
