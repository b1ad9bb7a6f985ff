// Package delivery builds the program that an update puts on the server
// (cmd/alorig-server), for the server's processor, into the user's cache.
//
// The same source, built with the same toolchain, is the same file, byte by byte, whoever builds
// it: otherwise each operator's update would deliver anew. The toolchain is the one that the
// toolchain line of go.mod names. Without that line it is whatever builds this program: the
// operator's own, or a newer one that Go fetches when that is too old for the go line.
package delivery

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/mod/modfile"

	"github.com/alorig/fleet/internal/pinned"
)

// Program is a program for the server. Its file never changes: another program is another
// file.
type Program struct {
	Path         string // absolute
	SHA256       string // of the file, 64 hexadecimal digits
	Architecture string // as Go names it
}

const (
	source = "./cmd/alorig-server"
	name   = "alorig-server"
)

// Build builds the program of the repository in which the directory lies, for Linux on the
// architecture; "" is the working directory. When nothing has changed since the last time
// this takes well under a second. It says on log when it waits for another process.
func Build(ctx context.Context, directory, architecture string, log io.Writer) (Program, error) {
	program, err := build(ctx, directory, architecture, log)
	switch {
	case ctx.Err() != nil:
		return Program{}, fmt.Errorf("building the server's program was interrupted: %w", ctx.Err())
	case err != nil:
		return Program{}, fmt.Errorf("building the server's program for %s: %w", architecture, err)
	}
	return program, nil
}

func build(ctx context.Context, directory, architecture string, log io.Writer) (Program, error) {
	if architecture != "amd64" && architecture != "arm64" {
		return Program{}, fmt.Errorf("accepted: amd64, arm64; set alorig:serverArchitecture to one of them")
	}
	root, err := pinned.Repository(directory)
	if err != nil {
		return Program{}, err
	}
	caches, err := os.UserCacheDir()
	if err != nil {
		return Program{}, fmt.Errorf("%w; set HOME or XDG_CACHE_HOME", err)
	}
	c := cache{directory: filepath.Join(caches, "alorig", "server-"+architecture)}
	if err := c.lock(ctx, log); err != nil {
		return Program{}, fmt.Errorf("%w; %s must be writable, or set XDG_CACHE_HOME to a directory that is, and run this again", err, c.directory)
	}
	defer c.unlock()
	if err := c.discardInterrupted(); err != nil {
		return Program{}, err
	}
	if err := compile(ctx, root, architecture, c.latest()); err != nil {
		return Program{}, err
	}
	path, sum, err := c.publish()
	if err != nil {
		return Program{}, fmt.Errorf("%w; make room in %s, and run this again", err, c.directory)
	}
	return Program{Path: path, SHA256: sum, Architecture: architecture}, nil
}

// interruptGrace is how long an interrupted build may take to end by itself.
const interruptGrace = 3 * time.Second

func compile(ctx context.Context, root, architecture, output string) error {
	goTool, err := exec.LookPath("go")
	if err != nil {
		return errors.New("no Go toolchain on the PATH; install Go 1.26 or newer from https://go.dev/dl, and run this again")
	}
	environment, err := environment(root, architecture)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, goTool, "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", output, source)
	cmd.Dir, cmd.Env = root, environment
	// A compiler that the go command leaves behind keeps the output open.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = interruptGrace
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build in %s: %w; its modules must be in the module cache or a module proxy in reach:\n%s", root, err, said.String())
	}
	return nil
}

// kept are the variables of Go that say where things are found. Every other one could change
// what is built.
var kept = []string{
	"GOAUTH", "GOCACHE", "GOCACHEPROG", "GOENV", "GOINSECURE", "GOMODCACHE", "GONOPROXY", "GONOSUMDB", "GOPATH", "GOPRIVATE", "GOPROXY", "GOROOT", "GOSUMDB", "GOTMPDIR", "GOVCS",
}

// environment is the operator's without what could change the program. What is set here goes
// before what `go env -w` has stored.
func environment(root, architecture string) ([]string, error) {
	file := filepath.Join(root, "go.mod")
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	mod, err := modfile.Parse(file, text, nil)
	if err != nil {
		return nil, fmt.Errorf("reading which toolchain builds it: %w", err)
	}
	toolchain := "auto"
	if mod.Toolchain != nil {
		toolchain = mod.Toolchain.Name
	}
	own := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return strings.HasPrefix(name, "CGO_") || strings.HasPrefix(name, "GO") && !slices.Contains(kept, name)
	})
	return append(own,
		"GOOS=linux", "GOARCH="+architecture, "GOAMD64=v1", "GOARM64=v8.0", "CGO_ENABLED=0",
		"GOFLAGS=-mod=readonly", "GOWORK=off", "GOFIPS140=off", "GOTOOLCHAIN="+toolchain,
	), nil
}

// cache is where the programs of one architecture lie: the latest, which the go command
// keeps up to date without linking it again, and copies of it, each in a directory that is
// named by its hash.
type cache struct {
	directory string
	held      *flock.Flock
}

// lockPoll is how often a process that waits looks whether the other has built.
const lockPoll = 100 * time.Millisecond

// lock lets one process build at a time.
func (c *cache) lock(ctx context.Context, log io.Writer) error {
	if err := os.MkdirAll(c.directory, 0o755); err != nil {
		return err
	}
	c.held = flock.New(filepath.Join(c.directory, "lock"))
	locked, err := c.held.TryLock()
	if err == nil && !locked {
		fmt.Fprintln(log, "Another process builds the server's program. Waiting for it.")
		_, err = c.held.TryLockContext(ctx, lockPoll)
	}
	return err
}

// unlock closes the file, as the end of this process does at the latest.
func (c *cache) unlock() { _ = c.held.Unlock() }

func (c *cache) latest() string { return filepath.Join(c.directory, name) }

func (c *cache) copyOf(sum string) string { return filepath.Join(c.directory, sum[:16], name) }

// discardInterrupted removes the latest program if no copy of it exists. It may be of a build
// that was killed while it was written, and the go command looks at the beginning of a file
// alone to see that it is up to date.
func (c *cache) discardInterrupted() error {
	sum, err := sumOf(c.latest())
	if err == nil {
		var copied string
		if copied, err = sumOf(c.copyOf(sum)); err == nil && copied == sum {
			return nil
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Remove(c.latest()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// publish copies the latest program to where it never changes any more. An update reads it
// there, for as long as it likes, while the next build goes on.
func (c *cache) publish() (path, sum string, err error) {
	if sum, err = sumOf(c.latest()); err != nil {
		return "", "", err
	}
	path = c.copyOf(sum)
	if copied, err := sumOf(path); err != nil || copied != sum {
		if err := copyFile(c.latest(), path); err != nil {
			return "", "", err
		}
	}
	now := time.Now()
	if err := os.Chtimes(filepath.Dir(path), now, now); err != nil {
		return "", "", err
	}
	return path, sum, c.prune(now.Add(-unused))
}

// unused is how long a copy stays that nobody has asked for. No update takes as long.
const unused = 7 * 24 * time.Hour

func (c *cache) prune(before time.Time) error {
	entries, err := os.ReadDir(c.directory)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if entry.IsDir() && info.ModTime().Before(before) {
			if err := os.RemoveAll(filepath.Join(c.directory, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it was only read
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	partial := to + ".partial"
	out, err := os.OpenFile(partial, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Rename(partial, to)
}

func sumOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close() //nolint:errcheck // it was only read
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
