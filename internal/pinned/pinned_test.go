package pinned

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

// The CLI is the SDK's own version: anything else is another Pulumi engine than
// the one the program was written for.
func TestTheCLIIsOfTheSDKsVersion(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"go.mod":       "github.com/pulumi/pulumi/sdk/v3 v" + PulumiVersion + "\n",
		"tools/go.mod": "github.com/pulumi/pulumi/pkg/v3 v" + PulumiVersion + " ",
	} {
		text, err := os.ReadFile(filepath.Join("..", "..", file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s does not require %s", file, want)
		}
	}
}

// workshop is a repository in a temporary directory, an empty cache, and a go command
// that runs the script instead of a compiler; $out is the file to make.
func workshop(t *testing.T, script string) (root string, builds func() int) {
	t.Helper()
	root = t.TempDir()
	count := filepath.Join(root, "builds")
	write := func(name, text string, mode os.FileMode) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module "+module+"\n\ngo 1.26\n", 0o600)
	write("tools/go.mod", "module tools\n", 0o600)
	write("tools/go.sum", "", 0o600)
	write("bin/go", "#!/bin/sh\nset -eu\necho >>"+count+"\nwhile [ \"$1\" != -o ]; do shift; done\nout=$2\n"+script+"\n", 0o755)
	t.Chdir(filepath.Join(root, "tools"))
	t.Setenv("XDG_CACHE_HOME", filepath.Join(root, "cache"))
	t.Setenv("PATH", filepath.Join(root, "bin")+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return root, func() int {
		text, _ := os.ReadFile(count)
		return bytes.Count(text, []byte("\n"))
	}
}

func TestABuildIsMadeOnce(t *testing.T) {
	root, builds := workshop(t, `sleep 0.1; echo made >"$out"`)
	paths := make([]string, 4)
	var all sync.WaitGroup
	for i := range paths {
		all.Go(func() {
			path, err := Pulumi(t.Context(), "", &bytes.Buffer{})
			if err != nil {
				t.Error(err)
			}
			paths[i] = path
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	if builds() != 1 {
		t.Errorf("%d builds for four callers", builds())
	}
	for _, path := range paths {
		if path != paths[0] || filepath.Base(filepath.Dir(path)) != "bin" || filepath.Base(path) != "pulumi" {
			t.Errorf("built at %s and %s", paths[0], path)
		}
	}
	var log bytes.Buffer
	if _, err := Pulumi(t.Context(), "", &log); err != nil || builds() != 1 || log.Len() != 0 {
		t.Errorf("once built, it is built again: %v, %s", err, log.String())
	}

	// Another version is another file; the old one stays where it is.
	if err := os.WriteFile(filepath.Join(root, "tools", "go.sum"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := Pulumi(t.Context(), "", &log)
	if err != nil || path == paths[0] || builds() != 2 {
		t.Errorf("other sources: %s, %v", path, err)
	}
	if said := log.String(); !strings.Contains(said, "Building the Pulumi CLI "+PulumiVersion) || !strings.Contains(said, "about five minutes") || !strings.Contains(said, "Built the Pulumi CLI") {
		t.Errorf("says %q", said)
	}
	if !isFile(paths[0]) {
		t.Error("the other version is gone")
	}
}

func TestAFailedBuildLeavesNothingBehind(t *testing.T) {
	root, _ := workshop(t, `echo half >"$out"; echo 'missing go.sum entry' >&2; exit 1`)
	path, err := Pulumi(t.Context(), "", &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "missing go.sum entry") || !strings.Contains(err.Error(), "module proxy") {
		t.Errorf("the compiler's words are lost: %v", err)
	}
	if isFile(path) {
		t.Errorf("half a build stands at %s", path)
	}
	whole := "#!/bin/sh\nwhile [ \"$1\" != -o ]; do shift; done\necho made >\"$2\"\n"
	if err := os.WriteFile(filepath.Join(root, "bin", "go"), []byte(whole), 0o755); err != nil {
		t.Fatal(err)
	}
	if path, err := Pulumi(t.Context(), "", &bytes.Buffer{}); err != nil || !isFile(path) {
		t.Errorf("the next build fails too: %v", err)
	}
}

// A compiler that does not end keeps nobody waiting.
func TestAnInterruptedBuildIsNone(t *testing.T) {
	root, _ := workshop(t, `sleep 60 & echo half >"$out"; echo >`+"$(dirname $0)"+`/started; wait`)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for !isFile(filepath.Join(root, "bin", "started")) && ctx.Err() == nil {
			time.Sleep(20 * time.Millisecond)
		}
		cancel()
	}()
	began := time.Now()
	path, err := Pulumi(ctx, "", &bytes.Buffer{})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "building the Pulumi CLI "+PulumiVersion+" was interrupted") || isFile(path) {
		t.Errorf("an interrupted build gives %s, %v", path, err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s to end", took)
	}
}

// A second process says that it waits, and its wait can be interrupted.
func TestAWaitForAnotherBuild(t *testing.T) {
	_, builds := workshop(t, `echo made >"$out"`)
	path, err := Pulumi(t.Context(), "", &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil { // the other process has not finished
		t.Fatal(err)
	}
	other := flock.New(filepath.Join(filepath.Dir(filepath.Dir(path)), "lock"))
	if locked, err := other.TryLock(); err != nil || !locked {
		t.Fatalf("locked %t, %v", locked, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
	defer cancel()
	var log bytes.Buffer
	_, err = Pulumi(ctx, "", &log)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another process's build of the Pulumi CLI") {
		t.Errorf("an interrupted wait ends with %v", err)
	}
	if !strings.Contains(log.String(), "Another process builds the Pulumi CLI "+PulumiVersion+". Waiting for it") {
		t.Errorf("says %q", log.String())
	}
	if builds() != 1 {
		t.Errorf("%d builds beside that of another process", builds()-1)
	}
	time.AfterFunc(300*time.Millisecond, func() { _ = other.Unlock() })
	if path, err := Pulumi(t.Context(), "", &log); err != nil || !isFile(path) {
		t.Errorf("after the other process: %s, %v", path, err)
	}
}

func TestWithoutAToolchain(t *testing.T) {
	_, _ = workshop(t, "")
	t.Setenv("PATH", t.TempDir())
	for directory, build := range map[string]func(context.Context, string, io.Writer) (string, error){"tools/caddy": Caddy, "tools/compose": Compose} {
		_, err := build(t.Context(), "", &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), filepath.FromSlash(directory)) || strings.Contains(err.Error(), "toolchain") {
			t.Errorf("a repository without %s: %v", directory, err)
		}
	}
	_, err := Pulumi(t.Context(), "", &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "no Go toolchain on the PATH; install Go 1.26 or newer") {
		t.Errorf("no toolchain: %v", err)
	}
}

func TestRepository(t *testing.T) {
	root, _ := workshop(t, "")
	want, err := filepath.EvalSymlinks(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Repository("") // from tools, which has a go.mod of its own
	if err != nil {
		t.Fatal(err)
	}
	if got, err = filepath.EvalSymlinks(got); err != nil || got != want {
		t.Errorf("found %s, want %s", got, want)
	}
	// As git checks it out with core.autocrlf.
	if err := os.WriteFile(filepath.Join(root, "go.mod"), []byte("// ours\r\nmodule "+module+"\r\n\r\ngo 1.26\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for _, directory := range []string{root, filepath.Join(root, "tools")} {
		if got, err := Repository(directory); err != nil || got != root {
			t.Errorf("from %s found %s, %v", directory, got, err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "go.mod"), []byte("module "+module+"fork\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Repository(root); err == nil {
		t.Errorf("another module is taken for this one: %s", got)
	}
	if _, err := Repository(""); err == nil || !strings.Contains(err.Error(), "does not lie in the fleet repository") {
		t.Errorf("outside: %v", err)
	}
}
