package caddyload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// change is one that the tests make: "put" and "remove" psydge's site file, put "another" site
// file, put the "main" file.
type change struct{ Verb, Text string }

func (ch change) make(ctx context.Context, c Configuration) error {
	switch ch.Verb {
	case "put":
		return c.PutSite(ctx, "psydge.caddy", ch.Text)
	case "another":
		return c.PutSite(ctx, "asms.caddy", ch.Text)
	case "remove":
		return c.RemoveSite(ctx, "psydge.caddy")
	case "main":
		return c.PutMain(ctx, ch.Text)
	}
	return fmt.Errorf("unexpected: %v", ch)
}

// after is what the files are once the change is made.
func (ch change) after(files map[string]string) map[string]string {
	files = maps.Clone(files)
	switch ch.Verb {
	case "put":
		files[psydge] = ch.Text
	case "another":
		files["sites/asms.caddy"] = ch.Text
	case "remove":
		delete(files, psydge)
	case "main":
		files[caddyfile] = ch.Text
	}
	return files
}

// victim is what a process is told that kills itself at its step At.
type victim struct {
	Directory string
	Change    change
	At        int
}

const victimVariable = "CADDYLOAD_VICTIM"

func TestMain(m *testing.M) {
	told, ok := os.LookupEnv(victimVariable)
	if !ok {
		os.Exit(m.Run())
	}
	var v victim
	if err := json.Unmarshal([]byte(told), &v); err != nil {
		panic(err)
	}
	n := 0
	step = func() {
		if n++; n == v.At {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	if err := v.Change.make(context.Background(), played(v.Directory).configuration()); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// kill makes the change in a process that is killed at its step n. It reports whether there
// was such a step.
func (p played) kill(t *testing.T, ch change, n int) bool {
	t.Helper()
	told, err := json.Marshal(victim{string(p), ch, n})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victimVariable+"="+string(told))
	out, err := cmd.CombinedOutput()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			return true
		}
		if ended.ExitCode() == 1 && len(out) == 0 {
			return false // refused
		}
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return false
}

// copied is the same server once more.
func (p played) copied(t *testing.T) played {
	t.Helper()
	other := serving(t, nil)
	if err := os.RemoveAll(string(other)); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(string(other), os.DirFS(string(p))); err != nil {
		t.Fatal(err)
	}
	return other
}

var (
	nothing = map[string]string{caddyfile: "main"}
	empty   = map[string]string{caddyfile: "main", psydge: ""}
	one     = map[string]string{caddyfile: "main", psydge: "one"}
	needed  = map[string]string{caddyfile: needs, psydge: "one"}
)

var changesToKill = map[string]struct {
	files   map[string]string
	change  change
	refused bool
}{
	"first":                      {nothing, change{"put", "two"}, false},
	"first, not readable":        {nothing, change{"put", broken}, true},
	"first, not valid":           {nothing, change{"put", invalid}, true},
	"first, not loaded":          {nothing, change{"put", unloadable}, true},
	"changed":                    {one, change{"put", "two"}, false},
	"changed, not valid":         {one, change{"put", invalid}, true},
	"changed, not loaded":        {one, change{"put", unloadable}, true},
	"instead of empty":           {empty, change{"put", "two"}, false},
	"instead of empty, refused":  {empty, change{"put", unloadable}, true},
	"emptied":                    {one, change{"put", ""}, false},
	"unchanged":                  {one, change{"put", "one"}, false},
	"removed":                    {one, change{"remove", ""}, false},
	"removed, refused":           {needed, change{"remove", ""}, true},
	"removed while there is not": {nothing, change{"remove", ""}, false},
	"main":                       {one, change{"main", "two"}, false},
	"main, not valid":            {one, change{"main", invalid}, true},
	"main, not loaded":           {one, change{"main", unloadable}, true},
	"main, instead of none":      {map[string]string{psydge: "one"}, change{"main", "two"}, false},
}

// A process that is killed undoes nothing itself. Whatever comes next, of this file or of
// another, accepted or not, begins with what was served and ends with files that Caddy has
// loaded.
func TestAKillAtAnyStepLeavesWhatWasServed(t *testing.T) {
	t.Parallel()
	nexts := []struct {
		change  change
		refused bool
	}{
		{change{"put", broken}, true},
		{change{"put", invalid}, true},
		{change{"put", unloadable}, true},
		{change{"put", "three"}, false},
		{change{"another", "three"}, false},
		{change{"another", broken}, true},
		{change{"main", unloadable}, true},
		{change{"main", "three"}, false},
		{change{"remove", ""}, false},
	}
	for name, tt := range changesToKill {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				p := serving(t, tt.files)
				killed := p.kill(t, tt.change, n)
				loaded, err := os.ReadFile(p.file("memory"))
				if err != nil {
					t.Fatal(err)
				}
				// The change counts from the moment when nothing of its mark is left.
				marks, err := filepath.Glob(p.file("etc/.*.old"))
				siteMarks, _ := filepath.Glob(p.file("etc/sites/.*.old"))
				served := tt.files
				after := tt.change.after(tt.files)
				with := maps.Clone(after)
				with[neighbour] = "neighbour"
				if err == nil && len(marks)+len(siteMarks) == 0 && string(loaded) == fmt.Sprint(with) {
					served = after
				}
				if !killed && maps.Equal(served, after) == tt.refused {
					t.Fatalf("not killed, refused is %v, and yet there is %q", tt.refused, served)
				}
				for _, next := range nexts {
					p := p.copied(t)
					err := next.change.make(t.Context(), p.configuration())
					want, refused := served, next.refused
					if next.change.Verb == "remove" && served[caddyfile] == needs {
						refused = true
					}
					if !refused {
						want = next.change.after(served)
					}
					if (err != nil) != refused {
						t.Errorf("then %v: %v", next.change, err)
					}
					p.expect(t, want)
					if t.Failed() {
						t.Fatalf("%v was killed at step %d, then came %v", tt.change, n, next.change)
					}
				}
				if !killed {
					if n < 3 {
						t.Errorf("only %d steps", n)
					}
					return
				}
			}
		})
	}
}

// Without Caddy there is nothing that could be loaded, but files can be half done too.
func TestAKillWhileCaddyDoesNotRunLeavesWhatWasThere(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		files  map[string]string
		change change
	}{
		"main":    {one, change{"main", "two"}},
		"first":   {map[string]string{}, change{"main", "two"}},
		"removed": {one, change{"remove", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				p := serving(t, tt.files)
				p.write(t, "state", Missing)
				killed := p.kill(t, tt.change, n)
				p.write(t, "state", "exited") // refuses site files, and undoes nevertheless
				if err := (change{"put", "three"}).make(t.Context(), p.configuration()); err == nil {
					t.Fatal("accepted")
				}
				before, after := maps.Clone(tt.files), tt.change.after(tt.files)
				before[neighbour], after[neighbour] = "neighbour", "neighbour"
				files, err := p.files()
				if err != nil {
					t.Fatal(err)
				}
				want := before
				if maps.Equal(files, after) {
					want = after
				}
				p.expectFiles(t, want)
				if !killed {
					p.expectFiles(t, after)
					return
				}
			}
		})
	}
}

// What a killed process has loaded is served on, until the next one undoes it; and that one can
// be killed too. A site that a third one calls removed must not be served.
func TestASecondKillLeavesNothingHalfDone(t *testing.T) {
	defer func() { step = func() {} }()
	died := errors.New("died")
	// dies makes the change and stops at its step n, as after a kill; the lock is released then too.
	dies := func(c Configuration, ch change, n int) (killed bool) {
		defer func() {
			if r := recover(); r != nil {
				if r != died { //nolint:errorlint // the very value
					panic(r)
				}
				killed = true
			}
		}()
		step = func() {
			if n--; n == 0 {
				panic(died)
			}
		}
		_ = ch.make(context.Background(), c)
		return false
	}
	for _, tt := range []struct {
		files               map[string]string
		first, second, last change
		want                map[string]string
	}{
		{nothing, change{"put", "two"}, change{"remove", ""}, change{"remove", ""}, nothing},
		{one, change{"put", "two"}, change{"remove", ""}, change{"remove", ""}, nothing},
		{empty, change{"put", "two"}, change{"another", broken}, change{"put", "three"}, change{"put", "three"}.after(empty)},
		{one, change{"main", unloadable}, change{"put", unloadable}, change{"main", invalid}, one},
	} {
		for n, again := 1, true; again; n++ {
			for m, more := 1, true; more; m++ {
				p := serving(t, tt.files)
				again = dies(p.configuration(), tt.first, n)
				more = dies(p.configuration(), tt.second, m)
				step = func() {}
				_ = tt.last.make(t.Context(), p.configuration())
				p.expect(t, tt.want)
				if t.Failed() {
					t.Fatalf("%v died at step %d, %v at step %d, then came %v", tt.first, n, tt.second, m, tt.last)
				}
				os.RemoveAll(string(p))
			}
		}
	}
}

// The shell scripts of older updates leave the same marks. They cannot tell an empty file from
// none.
func TestWhatAKilledScriptHasLeftIsUndone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		files, left, want map[string]string
	}{
		"changed":         {map[string]string{caddyfile: "main", psydge: "half"}, map[string]string{"sites/.psydge.caddy.old": "one"}, one},
		"first":           {map[string]string{caddyfile: "main", psydge: "half"}, map[string]string{"sites/.psydge.caddy.old": ""}, nothing},
		"removed":         {nothing, map[string]string{"sites/.psydge.caddy.old": "one"}, one},
		"not begun":       {one, map[string]string{"sites/.psydge.caddy.new": "half", "sites/.psydge.caddy.copy": "on"}, one},
		"first not begun": {nothing, map[string]string{"sites/.psydge.caddy.new": "half"}, nothing},
		"main":            {map[string]string{caddyfile: "half", psydge: "one"}, map[string]string{".Caddyfile.old": "main"}, one},
		"main not begun":  {one, map[string]string{".Caddyfile.new": "half", ".Caddyfile.copy": "mai"}, one},
		"several": {
			map[string]string{caddyfile: "half", psydge: unloadable},
			map[string]string{".Caddyfile.old": "main", "sites/.psydge.caddy.old": "one", ".Caddyfile.new": "x", "sites/.asms.caddy.old": ""},
			one,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, next := range []change{{"put", broken}, {"another", broken}, {"main", invalid}} {
				p := serving(t, nil)
				for path, text := range tt.files {
					p.write(t, "etc/"+path, text)
				}
				for path, text := range tt.left {
					p.write(t, "etc/"+path, text)
				}
				if err := next.make(t.Context(), p.configuration()); err == nil {
					t.Errorf("%v is accepted", next)
				}
				p.expect(t, tt.want)
			}
		})
	}
}

func TestWhatIsNoMarkStays(t *testing.T) {
	t.Parallel()
	others := map[string]string{"sites/.migration.lock": "", "sites/.notes.old": "x", "sites/psydge.caddy.old": "x", ".bashrc.old": "x", "sites/.Caddyfile.old": "x", ".psydge.caddy.old": "x"}
	p := serving(t, one)
	want := maps.Clone(one)
	for path, text := range others {
		p.write(t, "etc/"+path, text)
		want[path] = text
	}
	if err := (change{"another", "three"}).make(t.Context(), p.configuration()); err != nil {
		t.Fatal(err)
	}
	want = change{"another", "three"}.after(want)
	want[neighbour] = "neighbour"
	p.expectFiles(t, want)
}

// Somebody who tries to mend what a killed process has left must not be stopped by it.
func TestAChangeThatMendsWhatCaddyRefusesIsMade(t *testing.T) {
	t.Parallel()
	p := serving(t, nothing)
	p.write(t, "etc/"+psydge, unloadable)
	p.write(t, "etc/sites/.asms.caddy.old", "one")
	if err := (change{"another", "two"}).make(t.Context(), p.configuration()); err == nil || !strings.Contains(err.Error(), "It may serve something else") {
		t.Errorf("a configuration that Caddy refuses: %v", err)
	}
	p.write(t, "etc/sites/.asms.caddy.old", "one")
	if err := (change{"put", "three"}).make(t.Context(), p.configuration()); err != nil {
		t.Fatal(err)
	}
	p.expect(t, map[string]string{caddyfile: "main", psydge: "three", "sites/asms.caddy": "one"})
}
