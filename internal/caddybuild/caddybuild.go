// Package caddybuild builds the Caddy of tools/caddy, once per version, for whoever
// must load a site file with the very Caddy that will serve it.
package caddybuild

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

	"github.com/rogpeppe/go-internal/lockedfile"
)

// module is the first line of this repository's go.mod.
const module = "module github.com/alorig/fleet\n"

// sources are the files of tools/caddy that decide what the binary is.
var sources = []string{"go.mod", "go.sum", "main.go"}

// Binary returns the path of the built Caddy. It builds on the first call for a
// version, which takes minutes, and says so on log; every later call, from any
// process, returns the same file. The working directory must lie in this repository.
func Binary(ctx context.Context, log io.Writer) (string, error) {
	root, err := repository()
	if err != nil {
		return "", err
	}
	source := filepath.Join(root, "tools", "caddy")
	key, err := fingerprint(source)
	if err != nil {
		return "", err
	}
	caches, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("building Caddy: %w", err)
	}
	dir := filepath.Join(caches, "alorig", "caddy-"+key)
	binary := filepath.Join(dir, "caddy")
	if isFile(binary) {
		return binary, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("building Caddy: %w", err)
	}
	unlock, err := lockedfile.MutexAt(filepath.Join(dir, "lock")).Lock()
	if err != nil {
		return "", fmt.Errorf("building Caddy: %w", err)
	}
	defer unlock()
	if isFile(binary) { // another process built it while this one waited
		return binary, nil
	}
	fmt.Fprintf(log, "Building Caddy from %s, once; this takes a few minutes.\n", source)
	if err := build(ctx, source, binary); err != nil {
		return "", err
	}
	return binary, nil
}

func build(ctx context.Context, source, binary string) error {
	// A build that is cut short must not leave what looks like a binary.
	partial := binary + ".partial"
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", partial, ".")
	cmd.Dir = source
	// Without cgo the binary also runs in containers that have another C library.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building Caddy in %s: %w; its modules must be in the module cache or a module proxy in reach:\n%s", source, err, output)
	}
	if err := os.Rename(partial, binary); err != nil {
		return fmt.Errorf("building Caddy: %w", err)
	}
	return nil
}

func fingerprint(source string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.GOOS, runtime.GOARCH)
	for _, name := range sources {
		text, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", fmt.Errorf("building Caddy: %w", err)
		}
		fmt.Fprintln(h, name, len(text))
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// repository returns the root of this repository, above the working directory.
func repository() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("building Caddy: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(text, []byte(module)) {
			return dir, nil
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("building Caddy: %w", err)
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("building Caddy: %s does not lie in the fleet repository, whose tools/caddy it is built from; change to a directory of it", start)
		}
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
