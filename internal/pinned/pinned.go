// Package pinned builds the programs this project runs at versions it chose itself,
// from Go modules under tools/, once per version and machine.
package pinned

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/mod/modfile"
)

// PulumiVersion is the version of the Pulumi CLI that tools/go.mod pins; it equals the
// version of the SDK in go.mod.
const PulumiVersion = "3.259.0"

// Pulumi returns the path of the pinned Pulumi CLI, built when it is not there yet. The
// directory lies in this repository; "" is the working directory.
func Pulumi(ctx context.Context, directory string, log io.Writer) (string, error) {
	return tool{
		name: "pulumi", title: "the Pulumi CLI " + PulumiVersion, directory: "tools",
		sources: []string{"go.mod", "go.sum"}, pkg: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
		// Without a version the CLI calls itself 0.0.0 and nothing takes it for compatible.
		ldflags: "-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v" + PulumiVersion,
		about:   "about five minutes",
	}.path(ctx, directory, log)
}

// Caddy returns the path of the pinned Caddy with the Cloudflare DNS module, for
// whoever must load a site file with the very Caddy that will serve it.
func Caddy(ctx context.Context, directory string, log io.Writer) (string, error) {
	return tool{
		name: "caddy", title: "Caddy with the Cloudflare DNS module", directory: "tools/caddy",
		sources: []string{"go.mod", "go.sum", "main.go"}, pkg: ".",
		ldflags: "-s -w", static: true, about: "about two minutes",
	}.path(ctx, directory, log)
}

// Compose returns the path of the pinned Docker Compose, which the end-to-end suite
// measures itself against. Without a docker command in front its first argument is up.
func Compose(ctx context.Context, directory string, log io.Writer) (string, error) {
	return tool{
		name: "compose", title: "Docker Compose", directory: "tools/compose",
		sources: []string{"go.mod", "go.sum"}, pkg: "github.com/docker/compose/v2/cmd",
		ldflags: "-s -w", static: true, about: "about two minutes",
	}.path(ctx, directory, log)
}

type tool struct {
	name, title, directory, pkg, ldflags, about string
	sources                                     []string // the files that decide what the binary is
	static                                      bool     // also runs in containers that have another C library
}

// path builds on the first call for a version and says so on log. Every later call, from
// any process, returns the same file. One process builds; the others wait for it.
func (t tool) path(ctx context.Context, directory string, log io.Writer) (string, error) {
	root, err := Repository(directory)
	if err != nil {
		return "", fmt.Errorf("building %s: %w", t.title, err)
	}
	source := filepath.Join(root, filepath.FromSlash(t.directory))
	key, err := t.fingerprint(source)
	if err != nil {
		return "", fmt.Errorf("building %s: %w", t.title, err)
	}
	caches, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("building %s: %w; set HOME or XDG_CACHE_HOME", t.title, err)
	}
	dir := filepath.Join(caches, "alorig", t.name+"-"+key)
	binary := filepath.Join(dir, "bin", t.name)
	if isFile(binary) {
		return binary, nil
	}
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return "", fmt.Errorf("building %s: %w", t.title, err)
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	if err := t.await(ctx, lock, log); err != nil {
		return "", err
	}
	defer lock.Unlock() //nolint:errcheck // closing the file, at the latest when this process ends
	if isFile(binary) { // another process built it while this one waited
		return binary, nil
	}
	return binary, t.build(ctx, source, binary, log)
}

// lockPoll is how often a process that waits looks whether the other has built.
const lockPoll = 250 * time.Millisecond

// await takes the lock of the build. While another process builds it says so and can be
// interrupted.
func (t tool) await(ctx context.Context, lock *flock.Flock, log io.Writer) error {
	locked, err := lock.TryLock()
	if err == nil && !locked {
		fmt.Fprintf(log, "Another process builds %s. Waiting for it; %s on two cores.\n", t.title, t.about)
		stop := report(log, "Still waiting for the build of "+t.title)
		_, err = lock.TryLockContext(ctx, lockPoll)
		stop()
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for another process's build of %s was interrupted: %w", t.title, ctx.Err())
		}
	}
	if err != nil {
		return fmt.Errorf("building %s: locking %s: %w", t.title, lock.Path(), err)
	}
	return nil
}

// interruptGrace is how long an interrupted build may take to end by itself.
const interruptGrace = 3 * time.Second

func (t tool) build(ctx context.Context, source, binary string, log io.Writer) error {
	goTool, err := exec.LookPath("go")
	if err != nil {
		return fmt.Errorf("building %s: no Go toolchain on the PATH; install Go 1.26 or newer from https://go.dev/dl", t.title)
	}
	fmt.Fprintf(log, "Building %s into %s, once; %s on two cores.\n", t.title, filepath.Dir(binary), t.about)
	// A build that is cut short must not leave what looks like a binary.
	partial := binary + ".partial"
	cmd := exec.CommandContext(ctx, goTool, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", t.ldflags, "-o", partial, t.pkg)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if t.static {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	}
	// A compiler that the go command leaves behind keeps the output open.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = interruptGrace
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	stop := report(log, "Still building "+t.title)
	err = cmd.Run()
	took := stop()
	if ctx.Err() != nil {
		return fmt.Errorf("building %s was interrupted after %s: %w", t.title, took.Round(time.Second), ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("building %s in %s: %w; its modules must be in the module cache or a module proxy in reach:\n%s", t.title, source, err, output.String())
	}
	if err := os.Rename(partial, binary); err != nil {
		return fmt.Errorf("building %s: %w", t.title, err)
	}
	fmt.Fprintf(log, "Built %s in %s.\n", t.title, took.Round(time.Second))
	return nil
}

// report says every half minute that something goes on, until stopped.
func report(log io.Writer, what string) (stop func() time.Duration) {
	start, done, finished := time.Now(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		ticker := time.NewTicker(30 * time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				fmt.Fprintf(log, "%s after %s.\n", what, time.Since(start).Round(time.Second))
			case <-done:
				return
			}
		}
	}()
	return func() time.Duration {
		close(done)
		<-finished
		return time.Since(start)
	}
}

func (t tool) fingerprint(source string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.GOOS, runtime.GOARCH, t.pkg, t.ldflags)
	for _, name := range t.sources {
		text, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, name, len(text))
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// module is the path of this repository's module.
const module = "github.com/alorig/fleet"

// Repository returns the root of this repository, which is the directory or lies above it;
// "" is the working directory.
func Repository(directory string) (string, error) {
	start, err := filepath.Abs(directory)
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && modfile.ModulePath(text) == module {
			return dir, nil
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s does not lie in the fleet repository; change to a directory of it", start)
		}
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
