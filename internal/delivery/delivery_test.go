package delivery

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

// repository is a small one with a program of the same name, an empty cache of ours, and
// Go's own cache.
func repository(t *testing.T) (root string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOCACHE", strings.TrimSpace(string(out)))
	root = t.TempDir()
	t.Setenv("XDG_CACHE_HOME", filepath.Join(root, "cache"))
	write(t, filepath.Join(root, "go.mod"), "module github.com/alorig/fleet\n\ngo 1.26.0\n")
	write(t, filepath.Join(root, "cmd", "alorig-server", "main.go"), "package main\n\nfunc main() { println(\"one\") }\n")
	return root
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mustBuild(t *testing.T, root, architecture string) Program {
	t.Helper()
	p, err := Build(t.Context(), root, architecture, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := sumOf(p.Path); err != nil || sum != p.SHA256 || p.Architecture != architecture || !filepath.IsAbs(p.Path) {
		t.Fatalf("built %+v, and the file has %s (%v)", p, sum, err)
	}
	return p
}

func TestTheProgramIsBuiltForTheArchitecture(t *testing.T) {
	root := repository(t)
	write(t, filepath.Join(root, "cmd", "alorig-server", "main.go"), "package main\n\nimport _ \"net\" // which would need a C library\n\nfunc main() {}\n")
	for architecture, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		p := mustBuild(t, root, architecture)
		file, err := elf.Open(p.Path)
		if err != nil {
			t.Fatal(err)
		}
		if file.Machine != machine || file.Section(".interp") != nil {
			t.Errorf("%s: is for %v, and static: %t", architecture, file.Machine, file.Section(".interp") == nil)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := Build(t.Context(), root, "riscv64", &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "riscv64: accepted: amd64, arm64; set alorig:serverArchitecture") {
		t.Errorf("another architecture: %v", err)
	}
}

// Another operator, in another directory, with other habits, builds the same file.
func TestTheSameSourceIsTheSameFile(t *testing.T) {
	first := mustBuild(t, repository(t), "amd64")
	other := repository(t)
	t.Setenv("GOFLAGS", "-tags=other -race")
	t.Setenv("GOAMD64", "v3")
	t.Setenv("GOEXPERIMENT", "synctest")
	t.Setenv("GOFIPS140", "latest")
	t.Setenv("GOWORK", "/nowhere/go.work")
	t.Setenv("CGO_ENABLED", "1")
	t.Setenv("GOOS", "windows")
	t.Setenv("LANG", "de_DE.UTF-8")
	write(t, filepath.Join(other, "goenv"), "GOFLAGS=-tags=third\nGOAMD64=v2\n")
	t.Setenv("GOENV", filepath.Join(other, "goenv"))
	if second := mustBuild(t, other, "amd64"); second.SHA256 != first.SHA256 || second.Path == first.Path {
		t.Errorf("built %+v and %+v", first, second)
	}
}

func TestWhatIsUpToDateIsNotBuiltAgain(t *testing.T) {
	root := repository(t)
	real, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	steps := filepath.Join(root, "steps") // what the go command does
	write(t, filepath.Join(root, "bin", "go"), "#!/bin/sh\nshift\nexec "+real+" build -x \"$@\" 2>>"+steps+"\n")
	if err := os.Chmod(filepath.Join(root, "bin", "go"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Join(root, "bin")+string(filepath.ListSeparator)+os.Getenv("PATH"))
	links := func() int {
		text, err := os.ReadFile(steps)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(text, []byte("/link -o "))
	}

	first := mustBuild(t, root, "amd64")
	published, err := os.Stat(first.Path)
	if err != nil {
		t.Fatal(err)
	}
	if links() != 1 {
		t.Fatalf("the first build links %d times", links())
	}
	if second := mustBuild(t, root, "amd64"); links() != 1 || second != first {
		t.Errorf("linked %d times: %+v, then %+v", links(), first, second)
	}
	if again, err := os.Stat(first.Path); err != nil || !os.SameFile(published, again) || !again.ModTime().Equal(published.ModTime()) {
		t.Errorf("copied again (%v)", err)
	}
}

// While one update copies the program to its server, the next build goes on.
func TestAnotherProgramIsAnotherFile(t *testing.T) {
	root := repository(t)
	first := mustBuild(t, root, "amd64")
	write(t, filepath.Join(root, "cmd", "alorig-server", "main.go"), "package main\n\nfunc main() { println(\"two\") }\n")
	second := mustBuild(t, root, "amd64")
	if second.Path == first.Path || second.SHA256 == first.SHA256 {
		t.Errorf("%+v, then %+v", first, second)
	}
	if sum, err := sumOf(first.Path); err != nil || sum != first.SHA256 {
		t.Errorf("the file of the first has changed (%v)", err)
	}

	// Long after nobody has asked for it, it goes.
	old := time.Now().Add(-unused - time.Hour)
	if err := os.Chtimes(filepath.Dir(first.Path), old, old); err != nil {
		t.Fatal(err)
	}
	mustBuild(t, root, "amd64")
	if _, err := os.Stat(first.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the first is still there (%v)", err)
	}
}

// A build can be killed while it writes, and a copy too. The beginning of the file looks
// right to the go command.
func TestAKilledBuildIsMadeAgain(t *testing.T) {
	root := repository(t)
	first := mustBuild(t, root, "amd64")
	latest := (&cache{directory: filepath.Dir(filepath.Dir(first.Path))}).latest()
	for cut, leave := range map[string]func() error{
		"the build": func() error { return errors.Join(os.Truncate(latest, 100_000), os.RemoveAll(filepath.Dir(first.Path))) },
		"the build beside a copy of an earlier one": func() error { return os.Truncate(latest, 100_000) },
		"the copy":                             func() error { return os.Rename(first.Path, first.Path+".partial") },
		"the file system's memory of the copy": func() error { return os.Truncate(first.Path, 100_000) },
	} {
		if err := leave(); err != nil {
			t.Fatal(err)
		}
		if again := mustBuild(t, root, "amd64"); again != first {
			t.Errorf("%s: built %+v, want %+v", cut, again, first)
		}
	}
}

func TestTwoProcessesBuildOneProgram(t *testing.T) {
	root := repository(t)
	built := make([]Program, 4)
	var all sync.WaitGroup
	for i := range built {
		all.Go(func() {
			var err error
			if built[i], err = Build(t.Context(), root, "amd64", &bytes.Buffer{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, p := range built {
		if p != built[0] {
			t.Errorf("built %+v and %+v", built[0], p)
		}
	}
}

func TestAWaitForAnotherProcessIsSaidAndCanBeInterrupted(t *testing.T) {
	root := repository(t)
	directory := filepath.Join(root, "cache", "alorig", "server-amd64")
	if err := os.MkdirAll(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	other := flock.New(filepath.Join(directory, "lock"))
	if err := other.Lock(); err != nil {
		t.Fatal(err)
	}
	defer other.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var log bytes.Buffer
	if _, err := Build(ctx, root, "amd64", &log); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "was interrupted") {
		t.Errorf("interrupted: %v", err)
	}
	if log.String() != "Another process builds the server's program. Waiting for it.\n" {
		t.Errorf("says %q", log.String())
	}
}

func TestWhatHindersABuildIsSaid(t *testing.T) {
	t.Run("a source that does not compile", func(t *testing.T) {
		root := repository(t)
		mustBuild(t, root, "amd64")
		write(t, filepath.Join(root, "cmd", "alorig-server", "main.go"), "package main\n\nfunc main() { nothing() }\n")
		if _, err := Build(t.Context(), root, "amd64", &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "undefined: nothing") {
			t.Error(err)
		}
	})
	// A newer one, as Go takes by itself, would build something else.
	t.Run("a toolchain that is not there", func(t *testing.T) {
		root := repository(t)
		t.Setenv("GOPROXY", "off")
		write(t, filepath.Join(root, "go.mod"), "module github.com/alorig/fleet\n\ngo 1.25.0\n\ntoolchain go1.25.1\n")
		if _, err := Build(t.Context(), root, "amd64", &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "go1.25.1") {
			t.Errorf("another toolchain has built: %v", err)
		}
	})
	t.Run("no Go", func(t *testing.T) {
		root := repository(t)
		t.Setenv("PATH", root)
		if _, err := Build(t.Context(), root, "amd64", &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "no Go toolchain on the PATH; install Go") {
			t.Error(err)
		}
	})
	t.Run("a cache that is no directory", func(t *testing.T) {
		root := repository(t)
		write(t, filepath.Join(root, "cache"), "")
		if _, err := Build(t.Context(), root, "amd64", &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "must be writable, or set XDG_CACHE_HOME") {
			t.Error(err)
		}
	})
	t.Run("another repository", func(t *testing.T) {
		repository(t)
		if _, err := Build(t.Context(), t.TempDir(), "amd64", &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "does not lie in the fleet repository") {
			t.Error(err)
		}
	})
}

// The server gets no Pulumi package, and no means to build.
func TestTheProgramHoldsNoPulumiPackage(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-e", "-deps", "../../cmd/alorig-server").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if len(packages) < 50 {
		t.Fatalf("only %d packages", len(packages))
	}
	for _, p := range packages {
		if strings.HasPrefix(p, "github.com/pulumi/") || strings.HasSuffix(p, "/internal/delivery") || strings.HasSuffix(p, "/internal/pinned") {
			t.Errorf("links %s", p)
		}
	}
}
