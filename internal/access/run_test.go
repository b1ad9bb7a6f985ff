package access

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"github.com/alorig/fleet/internal/access/accesstest"
)

// both are a server over SSH, and this machine.
func both(t *testing.T) map[string]*Server {
	t.Helper()
	behind := accesstest.New(t)
	behind.AllowCommands()
	here, err := client.NewClientWithOpts(client.WithHost("unix:///engine.sock"))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*Server{"over SSH": open(t, target(behind)), "here": {docker: here}}
}

func TestACommandIsRunOnTheServer(t *testing.T) {
	t.Parallel()
	for where, s := range both(t) {
		said, err := s.Run(t.Context(), `cat; echo "and more"; echo aside >&2`, strings.NewReader("input\n"))
		if err != nil || string(said) != "input\nand more\n" {
			t.Errorf("%s: %q, %v", where, said, err)
		}
		if said, err := s.Run(t.Context(), "wc -c", nil); err != nil || strings.TrimSpace(string(said)) != "0" {
			t.Errorf("%s: without input: %q, %v", where, said, err)
		}
		if _, err := s.Run(t.Context(), zeros(maxAnswer+1), nil); err == nil || !strings.Contains(err.Error(), "is longer than 16777216 bytes") {
			t.Errorf("%s: a long answer: %v", where, err)
		}
		for name, tt := range map[string]struct {
			command string
			code    int
			says    string
		}{
			"failed":     {"echo partly; echo ' why ' >&2; exit 7", 7, "why"},
			"silent":     {"exit 3", 3, "it has ended with exit code 3 and said nothing"},
			"not found":  {"/nowhere/program", 127, "/nowhere/program"},
			"long words": {zeros(maxSaid*2) + " >&2; exit 1", 1, strings.Repeat("\x00", maxSaid)},
		} {
			said, err := s.Run(t.Context(), tt.command, nil)
			var failed *CommandError
			if !errors.As(err, &failed) || failed.Code != tt.code || !strings.Contains(err.Error(), tt.says) || len(err.Error()) > maxSaid || said != nil {
				t.Errorf("%s: %s: %q, %.200v", where, name, said, err)
			}
		}
	}
	here := both(t)["here"]
	if said, err := here.Run(t.Context(), "echo $DOCKER_HOST", nil); err != nil || string(said) != "unix:///engine.sock\n" {
		t.Errorf("the engine of the command is %q, %v", said, err)
	}
}

func zeros(size int) string { return "head -c " + strconv.Itoa(size) + " /dev/zero" }

func TestACommandThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	for where, s := range both(t) {
		ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
		began := time.Now()
		_, err := s.Run(ctx, "exec sleep 8", nil)
		stop()
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 6*time.Second {
			t.Errorf("%s: after %s: %v", where, took, err)
		}
	}
}
