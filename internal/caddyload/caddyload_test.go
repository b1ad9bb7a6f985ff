package caddyload

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

// played is a Caddy that is played. It refuses a configuration by the words in it, and its
// memory is a file, so that it outlives a process that is killed. Everything lies in one
// directory: "etc" is the configuration.
type played string

// Words by which a configuration is refused.
const (
	broken     = "broken"       // site file that Caddy cannot read
	invalid    = "invalid"      // it is read alone, and not valid together
	unloadable = "unloadable"   // it is valid, and cannot be loaded
	needs      = "needs psydge" // main file that cannot be loaded without this site
)

func (p played) file(name string) string { return filepath.Join(string(p), name) }

func (p played) exists(name string) bool {
	_, err := os.Stat(p.file(name))
	return err == nil
}

func (p played) State(context.Context) (string, error) {
	state, err := os.ReadFile(p.file("state"))
	if errors.Is(err, fs.ErrNotExist) {
		return Running, nil
	}
	return string(state), err
}

func (p played) Run(ctx context.Context, stdin string, words ...string) (string, int, error) {
	if state, _ := p.State(ctx); state != Running {
		return "", 0, errors.New("container is not running")
	}
	refused := "many\nlines\nbefore\nthe\nlast\nfive\n" + words[0] + " refused"
	served, err := p.files()
	if err != nil {
		return "", 0, err
	}
	text := fmt.Sprint(served)
	switch words[0] {
	case "adapt":
		if strings.Contains(stdin, broken) {
			return refused, 1, nil
		}
		return "", 0, nil
	case "validate":
		if strings.Contains(text, invalid) || strings.Contains(text, broken) {
			return refused, 1, nil
		}
		return "", 0, nil
	case "reload":
		none, stuck := !p.exists("etc/sites/psydge.caddy"), p.exists("stuck")
		if stuck || strings.Contains(text, invalid) || strings.Contains(text, unloadable) || strings.Contains(text, needs) && none {
			return refused, 1, nil
		}
		return "", 0, os.WriteFile(p.file("memory"), []byte(text), 0o600)
	}
	return "", 0, fmt.Errorf("unexpected: %q", words)
}

// files is what Caddy reads, by its path.
func (p played) files() (map[string]string, error) {
	paths, err := filepath.Glob(p.file("etc/sites/*.caddy"))
	served := map[string]string{}
	for _, path := range append(paths, p.file("etc/Caddyfile")) {
		text, err := os.ReadFile(path)
		if err == nil {
			served[strings.TrimPrefix(path, p.file("etc")+"/")] = string(text)
		}
	}
	return served, err
}

const (
	neighbour = "sites/snapify.caddy"
	psydge    = "sites/psydge.caddy"
	caddyfile = "Caddyfile"
)

// serving is a Caddy that serves these files, and a neighbour.
func serving(t *testing.T, files map[string]string) played {
	t.Helper()
	// What is written is put on the disk each time; in memory that takes no time.
	directory, err := os.MkdirTemp("/dev/shm", "caddyload")
	if err != nil {
		directory = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	p := played(directory)
	if err := os.MkdirAll(p.file("etc/sites"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.write(t, "etc/"+neighbour, "neighbour")
	for path, text := range files {
		p.write(t, "etc/"+path, text)
	}
	if _, code, err := p.Run(t.Context(), "", "reload"); err != nil || code != 0 {
		t.Fatal(code, err)
	}
	return p
}

func (p played) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(p.file(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p played) configuration() Configuration {
	return Configuration{Directory: p.file("etc"), Container: "alorig_caddy", Caddy: p, Say: func(string, ...any) {}}
}

// expect compares all files but the lock, and what Caddy has in its memory with what they say.
func (p played) expect(t *testing.T, want map[string]string) {
	t.Helper()
	want = maps.Clone(want)
	want[neighbour] = "neighbour"
	p.expectFiles(t, want)
	if memory, err := os.ReadFile(p.file("memory")); err != nil || string(memory) != fmt.Sprint(want) {
		t.Errorf("Caddy serves %q (%v), want %q", memory, err, want)
	}
}

func (p played) expectFiles(t *testing.T, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, directory := range []string{"", "sites/"} {
		entries, err := os.ReadDir(p.file("etc/" + directory))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.IsDir() || e.Name() == ".lock" {
				continue
			}
			text, err := os.ReadFile(p.file("etc/" + directory + e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			got[directory+e.Name()] = string(text)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("there is %q, want %q", got, want)
	}
}

func TestAChangeIsPutInPlaceAndLoaded(t *testing.T) {
	t.Parallel()
	p := serving(t, map[string]string{caddyfile: "main"})
	var did []string
	c := p.configuration()
	c.Say = func(format string, args ...any) { did = append(did, fmt.Sprintf(format, args...)) }
	for _, tt := range []struct {
		change change
		want   map[string]string
	}{
		{change{"put", "one"}, map[string]string{caddyfile: "main", psydge: "one"}},
		{change{"put", "two"}, map[string]string{caddyfile: "main", psydge: "two"}},
		{change{"put", "two"}, map[string]string{caddyfile: "main", psydge: "two"}},
		{change{"put", ""}, map[string]string{caddyfile: "main", psydge: ""}},
		{change{"put", "one"}, map[string]string{caddyfile: "main", psydge: "one"}},
		{change{"main", "next"}, map[string]string{caddyfile: "next", psydge: "one"}},
		{change{"main", "next"}, map[string]string{caddyfile: "next", psydge: "one"}},
		{change{"remove", ""}, map[string]string{caddyfile: "next"}},
		{change{"remove", ""}, map[string]string{caddyfile: "next"}},
	} {
		if err := tt.change.make(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		p.expect(t, tt.want)
	}
	want := []string{
		"put the site file psydge.caddy in place", "put the site file psydge.caddy in place", "put the site file psydge.caddy in place",
		"put the site file psydge.caddy in place", "put the main Caddyfile in place", "removed the site file psydge.caddy",
	}
	if !slices.Equal(did, want) {
		t.Errorf("it said %q, want %q", did, want)
	}
}

func TestWhatIsPutInPlaceCanBeReadByCaddy(t *testing.T) {
	t.Parallel()
	p := played(t.TempDir()) // no directory yet
	p.write(t, "state", Missing)
	c := p.configuration()
	if err := c.PutMain(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	p.write(t, "state", Running)
	if err := c.PutSite(t.Context(), "psydge.caddy", "one"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{caddyfile, psydge} {
		info, err := os.Stat(p.file("etc/" + name))
		if err != nil || info.Mode() != 0o644 {
			t.Errorf("%s has the mode %v (%v)", name, info.Mode(), err)
		}
	}
}

// Caddy may read the file at any moment, and must never see half of one.
func TestAFileIsReplacedNotWrittenInto(t *testing.T) {
	t.Parallel()
	p := serving(t, map[string]string{caddyfile: "main", psydge: "one"})
	for _, tt := range []struct {
		change change
		path   string
	}{{change{"put", "two"}, psydge}, {change{"put", unloadable}, psydge}, {change{"main", "two"}, caddyfile}} {
		before, err := os.ReadFile(p.file("etc/" + tt.path))
		if err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(p.file("link"))
		if err := os.Link(p.file("etc/"+tt.path), p.file("link")); err != nil {
			t.Fatal(err)
		}
		_ = tt.change.make(t.Context(), p.configuration())
		if text, err := os.ReadFile(p.file("link")); err != nil || !slices.Equal(text, before) {
			t.Errorf("%v: the file was written into: %q, %v", tt.change, text, err)
		}
	}
}

// Caddy is asked even if there is nothing to change: a killed process may have loaded what is
// gone again.
func TestCaddyLoadsWhatTheFilesSayThoughNothingIsToChange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		change change
		files  map[string]string
	}{
		{change{"put", "one"}, map[string]string{caddyfile: "main", psydge: "one"}},
		{change{"put", broken}, map[string]string{caddyfile: "main", psydge: "one"}},
		{change{"put", invalid}, map[string]string{caddyfile: "main"}},
		{change{"main", "main"}, map[string]string{caddyfile: "main", psydge: "one"}},
		{change{"remove", ""}, map[string]string{caddyfile: "main"}},
	} {
		p := serving(t, tt.files)
		p.write(t, "memory", "something else")
		_ = tt.change.make(t.Context(), p.configuration())
		p.expect(t, tt.files)
	}
}

func TestARefusedChangeLeavesWhatWasServed(t *testing.T) {
	t.Parallel()
	served := map[string]string{caddyfile: "main", psydge: "one"}
	for name, tt := range map[string]struct {
		change change
		files  map[string]string
		says   []string
	}{
		"not readable":          {change{"put", broken}, served, []string{"adapt refused", "The site file psydge.caddy was refused, and what was served before still is"}},
		"not valid":             {change{"put", invalid}, served, []string{"validate refused", "The site file psydge.caddy was refused; the one before it is back and still served"}},
		"not loaded":            {change{"put", unloadable}, served, []string{"reload refused", "The site file psydge.caddy was refused; the one before it is back and still served"}},
		"first":                 {change{"put", unloadable}, map[string]string{caddyfile: "main"}, []string{"reload refused", "was refused; there was none before it, and it is gone again, and what was served before still is"}},
		"instead of empty":      {change{"put", unloadable}, map[string]string{caddyfile: "main", psydge: ""}, []string{"reload refused"}},
		"removal":               {change{"remove", ""}, map[string]string{caddyfile: needs, psydge: "one"}, []string{"reload refused", "The removal of the site file psydge.caddy was refused; it is back and still served"}},
		"main, not valid":       {change{"main", invalid}, served, []string{"The main Caddyfile was refused; the one before it is back and still served", "validate refused"}},
		"main, not loaded":      {change{"main", unloadable}, served, []string{"The main Caddyfile was refused; the one before it is back and still served", "reload refused"}},
		"main, instead of none": {change{"main", unloadable}, map[string]string{psydge: "one"}, []string{"The main Caddyfile was refused; there was none before it"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := serving(t, tt.files)
			err := tt.change.make(t.Context(), p.configuration())
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range append(tt.says, "the\nlast\nfive", "alorig_caddy", "run the update again") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("want %q in the message, got:\n%v", want, err)
				}
			}
			if strings.Contains(err.Error(), "lines\nbefore") {
				t.Errorf("it shows more than five lines: %v", err)
			}
			p.expect(t, tt.files)
		})
	}
}

// The file is back, but nobody knows what Caddy serves.
func TestAFailureToGoBackIsNotCalledServed(t *testing.T) {
	t.Parallel()
	served := map[string]string{caddyfile: "main", psydge: "one"}
	for _, change := range []change{{"put", "two"}, {"put", broken}, {"put", "one"}, {"main", "two"}, {"remove", ""}} {
		p := serving(t, served)
		p.write(t, "stuck", "")
		err := change.make(t.Context(), p.configuration())
		if err == nil || !strings.Contains(err.Error(), "It may serve something else") || !strings.Contains(err.Error(), "docker logs --tail 50 alorig_caddy") ||
			strings.Contains(err.Error(), "still") {
			t.Errorf("%v: %v", change, err)
		}
		p.expect(t, served)
	}
}

func TestACaddyThatDoesNotRun(t *testing.T) {
	t.Parallel()
	served := map[string]string{caddyfile: "main", psydge: "one"}
	for _, tt := range []struct {
		state  string
		change change
		want   map[string]string
		says   string
	}{
		{Missing, change{"main", unloadable}, map[string]string{caddyfile: unloadable, psydge: "one"}, ""},
		{"exited", change{"main", "two"}, map[string]string{caddyfile: "two", psydge: "one"}, ""},
		{"restarting", change{"main", "two"}, map[string]string{caddyfile: "two", psydge: "one"}, ""},
		{Paused, change{"main", "two"}, served, "alorig_caddy is paused, and Caddy must check every change before it serves it; `docker unpause alorig_caddy`"},
		{Missing, change{"put", "two"}, served, "alorig_caddy is missing"},
		{"exited", change{"put", "two"}, served, "alorig_caddy is exited, and Caddy must check every change before it serves it; `docker start alorig_caddy`"},
		{"exited", change{"remove", ""}, served, "alorig_caddy is exited"},
		{Paused, change{"remove", ""}, served, "alorig_caddy is paused"},
		{Missing, change{"remove", ""}, map[string]string{caddyfile: "main"}, ""},
	} {
		t.Run(fmt.Sprint(tt.state, tt.change), func(t *testing.T) {
			t.Parallel()
			p := serving(t, served)
			p.write(t, "state", tt.state)
			err := tt.change.make(t.Context(), p.configuration())
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
			tt.want = maps.Clone(tt.want)
			tt.want[neighbour] = "neighbour"
			p.expectFiles(t, tt.want)
		})
	}
}

// starting is a Caddy that somebody starts while the file is changed.
type starting struct {
	played
	asked *atomic.Int32
}

func (s starting) State(context.Context) (string, error) {
	if s.asked.Add(1) == 1 {
		return "exited", nil
	}
	return Running, nil
}

func TestACaddyThatIsStartedMeanwhileIsAsked(t *testing.T) {
	t.Parallel()
	served := map[string]string{caddyfile: "main", psydge: "one"}
	p := serving(t, served)
	c := p.configuration()
	c.Caddy = starting{p, new(atomic.Int32)}
	if err := c.PutMain(t.Context(), unloadable); err == nil {
		t.Error("accepted")
	}
	p.expect(t, served)
}

// cancelling is a Caddy during or after whose command the process is told to end.
type cancelling struct {
	played
	during, after string
	cancel        context.CancelFunc
}

func (c cancelling) Run(ctx context.Context, stdin string, words ...string) (string, int, error) {
	if words[0] == c.during {
		c.cancel()
	}
	if ctx.Err() != nil {
		return "", 0, ctx.Err()
	}
	if words[0] == c.after {
		defer c.cancel()
	}
	return c.played.Run(ctx, stdin, words...)
}

func TestAnInterruptedChangeIsUndone(t *testing.T) {
	t.Parallel()
	served := map[string]string{caddyfile: "main", psydge: "one"}
	for _, tt := range []struct {
		during, after string
		change        change
		want          map[string]string // nil: it is undone
	}{
		{"adapt", "", change{"put", "two"}, nil},
		{"", "adapt", change{"put", "two"}, nil},
		{"validate", "", change{"put", "two"}, nil},
		{"", "validate", change{"put", "two"}, nil},
		{"validate", "", change{"remove", ""}, nil},
		{"validate", "", change{"main", "two"}, nil},
		// A load is not interrupted. It has succeeded, so there is nothing to undo.
		{"reload", "", change{"put", "two"}, map[string]string{caddyfile: "main", psydge: "two"}},
		{"reload", "", change{"put", unloadable}, nil},
	} {
		p := serving(t, served)
		ctx, cancel := context.WithCancel(t.Context())
		c := p.configuration()
		c.Caddy = cancelling{p, tt.during, tt.after, cancel}
		err := tt.change.make(ctx, c)
		says := errors.Is(err, context.Canceled) && strings.Contains(err.Error(), "interrupted before Caddy had loaded the change")
		if (err == nil) != (tt.want != nil) || err != nil && tt.during != "reload" && !says {
			t.Errorf("%v, interrupted at %s: %v", tt.change, tt.during+tt.after, err)
		}
		if tt.want == nil {
			tt.want = served
		}
		p.expect(t, tt.want)
		cancel()
	}
}

func TestWhoWaitsForAnotherChangeCanBeInterrupted(t *testing.T) {
	t.Parallel()
	served := map[string]string{caddyfile: "main"}
	p := serving(t, served)
	// The lock of the scripts of older updates, for the main file too.
	other := flock.New(p.file("etc/sites/.lock"))
	if err := other.Lock(); err != nil {
		t.Fatal(err)
	}
	defer other.Unlock()
	for _, change := range []change{{"put", "two"}, {"main", "two"}, {"remove", ""}} {
		ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := change.make(ctx, p.configuration())
		stop()
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "nothing was changed: interrupted") {
			t.Errorf("%v: %v", change, err)
		}
	}
	p.expect(t, served)
}

func TestConcurrentChangesWaitForEachOther(t *testing.T) {
	t.Parallel()
	p := serving(t, map[string]string{caddyfile: "main"})
	want := map[string]string{caddyfile: "next"}
	results := make(chan error)
	go func() { results <- p.configuration().PutMain(t.Context(), "next") }()
	for i := range 8 {
		app := fmt.Sprintf("app%d.caddy", i)
		text := "good"
		if i%2 == 0 {
			text = invalid
		} else {
			want["sites/"+app] = text
		}
		go func() {
			err := p.configuration().PutSite(t.Context(), app, text)
			if (err == nil) != (text == "good") {
				err = fmt.Errorf("%s, %s: %w", app, text, err)
			} else {
				err = nil
			}
			results <- err
		}()
	}
	for range 9 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	p.expect(t, want)
}

func TestNamesThatTheMainFileDoesNotImportAreRefused(t *testing.T) {
	t.Parallel()
	p := serving(t, map[string]string{caddyfile: "main"})
	for _, name := range []string{"", "psydge", ".caddy", ".psydge.caddy", "../psydge.caddy", "a/b.caddy", ".lock"} {
		for _, err := range []error{p.configuration().PutSite(t.Context(), name, "one"), p.configuration().RemoveSite(t.Context(), name)} {
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q: its name must be", name)) {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
	p.expect(t, map[string]string{caddyfile: "main"})
}

func TestAFileThatCannotBeKeptIsNotChanged(t *testing.T) {
	t.Parallel()
	p := serving(t, map[string]string{caddyfile: "main", psydge: "one"})
	// A directory in the way stands for a full disk: the mark cannot be written.
	if err := os.MkdirAll(p.file("etc/sites/.psydge.caddy.copy/x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := p.configuration().PutSite(t.Context(), "psydge.caddy", "two"); err == nil {
		t.Error("accepted")
	}
	if text, err := os.ReadFile(p.file("etc/" + psydge)); err != nil || string(text) != "one" {
		t.Errorf("%q, %v", text, err)
	}
}
