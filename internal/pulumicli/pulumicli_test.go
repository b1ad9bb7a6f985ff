package pulumicli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alorig/fleet/internal/pulumicli"
)

// fake puts a CLI on the PATH that prints a version, and else does what the script says.
func fake(t *testing.T, version, script string) (path string) {
	t.Helper()
	bin := t.TempDir()
	path = filepath.Join(bin, "pulumi")
	text := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *version*) echo %s; exit;; esac\n%s\n", version, script)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return path
}

func find(t *testing.T) pulumicli.CLI {
	t.Helper()
	c, err := pulumicli.Find(t.Context(), "", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheCLIOnThePath(t *testing.T) {
	path := fake(t, "v3.258.0", "")
	if c := find(t); c.Path != path || c.Version.String() != "3.258.0" {
		t.Errorf("found %+v", c)
	}
	for version, want := range map[string]string{
		"v3.257.9":         "is version 3.257.9; 3.258.0 or newer is needed",
		"v3.258.0-alpha.1": "is version 3.258.0-alpha.1; 3.258.0 or newer is needed",
		"unknown":          `calls its version "unknown"; 3.258.0 or newer is needed`,
	} {
		path := fake(t, version, "")
		_, err := pulumicli.Find(t.Context(), "", io.Discard)
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "take it off the PATH to use the pinned 3.2") {
			t.Errorf("version %s: %v", version, err)
		}
	}
}

// Where there is none the pinned one is built from the repository around the directory.
func TestWithoutACLI(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if _, err := pulumicli.Find(t.Context(), "../..", io.Discard); err == nil || !strings.Contains(err.Error(), "no Go toolchain on the PATH") {
		t.Errorf("in the repository: %v", err)
	}
	if _, err := pulumicli.Find(t.Context(), t.TempDir(), io.Discard); err == nil || !strings.Contains(err.Error(), "does not lie in the fleet repository") {
		t.Errorf("elsewhere: %v", err)
	}
}

// What a command prints can be a secret: an error has none of it.
func TestAnErrorHoldsStandardErrorAlone(t *testing.T) {
	fake(t, "v3.259.0", `echo hunter2; echo "error: no stack named $0" | sed 's/ [^ ]*$/ prod/' >&2; exit 255`)
	var shown bytes.Buffer
	out, err := find(t).Run(t.Context(), pulumicli.Command{Args: []string{"config", "set", "alorig:secret", "canary"}, Show: &shown})
	if out != "" || err == nil || err.Error() != "pulumi config set: error: no stack named prod" {
		t.Errorf("%q, %v", out, err)
	}
	if !strings.Contains(shown.String(), "hunter2\n") || !strings.Contains(shown.String(), "error: no stack named prod\n") {
		t.Errorf("shown is %q", shown.String())
	}
	fake(t, "v3.259.0", `exit 3`)
	if _, err := find(t).Run(t.Context(), pulumicli.Command{Args: []string{"refresh", "--yes"}}); err == nil || err.Error() != "pulumi refresh: exit status 3" {
		t.Errorf("without a word: %v", err)
	}
}

// Two streams, copied at once, come to one writer whole and harmless. With -race this also
// holds the runner to one write at a time.
func TestBothStreamsAreShown(t *testing.T) {
	fake(t, "v3.259.0", `i=0; while [ $i -lt 50 ]; do printf 'out\n'; printf 'err\033[2J\n' >&2; i=$((i+1)); done`)
	var shown bytes.Buffer
	out, err := find(t).Run(t.Context(), pulumicli.Command{Args: []string{"up"}, Show: &shown})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(out, "out\n") != 50 || strings.Contains(out, "err") {
		t.Errorf("standard output is %q", out)
	}
	if strings.Contains(shown.String(), "\x1b") || strings.Count(shown.String(), `err\x1b[2J`) != 50 {
		t.Errorf("shown is %q", shown.String())
	}
}

func TestItRunsWhereItIsToldAndAsksNothing(t *testing.T) {
	fake(t, "v3.259.0", `pwd; echo "$*"; echo "$PULUMI_SKIP_UPDATE_CHECK $GIVEN"; read line && echo "read $line"; exit 0`)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	out, err := find(t).Run(t.Context(), pulumicli.Command{Args: []string{"stack", "export"}, Directory: dir, Env: []string{"GIVEN=yes"}})
	if want := dir + "\n--non-interactive --color never stack export\ntrue yes\n"; err != nil || out != want {
		t.Errorf("%q, %v; want %q", out, err, want)
	}
}

// An interrupted CLI finishes what it is at.
func TestAnInterruptIsPassedOn(t *testing.T) {
	dir := t.TempDir()
	fake(t, "v3.259.0", `trap 'echo finished >`+dir+`/done; exit 1' INT; echo started >`+dir+`/started; while :; do sleep 0.05; done`)
	c := find(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for {
			if _, err := os.Stat(filepath.Join(dir, "started")); err == nil {
				cancel()
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	_, err := c.Run(ctx, pulumicli.Command{Args: []string{"refresh"}})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "pulumi refresh was interrupted") {
		t.Errorf("ends with %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "done")); err != nil {
		t.Error("it was not left to finish")
	}
}

func TestAStackOfTheCLI(t *testing.T) {
	fake(t, "v3.259.0", `case "$*" in
*"config get alorig:postgresPassword --stack prod") echo hunter2 ;;
*"whoami --json") echo '{"url": "file://~"}' ;;
*) echo "unexpected $*" >&2; exit 1 ;;
esac`)
	s := pulumicli.Stack{CLI: find(t), Name: "prod"}
	if secret, err := s.Secret(t.Context(), "alorig:postgresPassword"); err != nil || secret != "hunter2" {
		t.Errorf("the secret is %q, %v", secret, err)
	}
	if backend, err := s.Backend(t.Context()); err != nil || backend != "file://~" {
		t.Errorf("the backend is %q, %v", backend, err)
	}
}

func TestWithoutALoginItSaysHowToLogIn(t *testing.T) {
	fake(t, "v3.259.0", `echo "error: PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions" >&2; exit 255`)
	s := pulumicli.Stack{CLI: find(t), Name: "prod"}
	_, err := s.Secret(t.Context(), "alorig:sshPrivateKey")
	if err == nil || !strings.Contains(err.Error(), "`pulumi login`, as docs/install.md shows") {
		t.Errorf("it says %v", err)
	}
}
