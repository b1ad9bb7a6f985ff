package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// How much of what a command prints on the server is read, in bytes.
const (
	maxAnswer = 16 << 20
	maxSaid   = 64 << 10 // on standard error
)

// CommandError is a command that ended on the server without success.
type CommandError struct {
	Code int    // exit code; 127 where a shell has not found it
	Said string // on standard error, without space around it
}

func (e *CommandError) Error() string {
	if e.Said != "" {
		return e.Said
	}
	return fmt.Sprintf("it has ended with exit code %d and said nothing", e.Code)
}

// Run runs a command line in a shell on the server, gives it stdin, and returns what it prints.
// A command that fails is a [*CommandError]. When the context ends, so does the session; what
// runs on the server may go on.
func (s *Server) Run(ctx context.Context, command string, stdin io.Reader) ([]byte, error) {
	var out, said bytes.Buffer
	stdout, stderr := &capped{w: &out, left: maxAnswer}, &capped{w: &said, left: maxSaid}
	var code int
	var err error
	if s.tunnel != nil {
		code, err = s.tunnel.run(ctx, command, stdin, stdout, stderr)
	} else {
		code, err = s.runHere(ctx, command, stdin, stdout, stderr)
	}
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("running a command on the server: %w", context.Cause(ctx))
	case err != nil:
		return nil, err
	case code != 0:
		return nil, &CommandError{code, strings.TrimSpace(said.String())}
	case stdout.left == 0:
		return nil, fmt.Errorf("what the server prints is longer than %d bytes", maxAnswer)
	}
	return out.Bytes(), nil
}

func (s *Server) runHere(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+s.docker.DaemonHost())
	cmd.WaitDelay = 3 * time.Second // what the command has started may keep the output open
	err := cmd.Run()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		return ended.ExitCode(), nil
	}
	return 0, err
}

func (t *tunnel) run(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	session, err := t.session(ctx)
	if err != nil {
		return 0, err
	}
	defer session.Close() //nolint:errcheck // it has ended
	defer context.AfterFunc(ctx, func() { _ = session.Close() })()
	session.Stdin, session.Stdout, session.Stderr = stdin, stdout, stderr
	err = session.Run(command)
	if ended, ok := errors.AsType[*ssh.ExitError](err); ok {
		return ended.ExitStatus(), nil
	}
	if err != nil {
		return 0, fmt.Errorf("running a command on %s: %w", t.to, err)
	}
	return 0, nil
}

// capped keeps the first bytes and drops the rest.
type capped struct {
	w    io.Writer
	left int
}

func (c *capped) Write(text []byte) (int, error) {
	kept := text[:min(len(text), c.left)]
	c.left -= len(kept)
	if _, err := c.w.Write(kept); err != nil {
		return 0, err
	}
	return len(text), nil
}
