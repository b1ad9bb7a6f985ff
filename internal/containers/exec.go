package containers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
)

// maxOutput is how much of what a command prints is kept, in bytes.
const maxOutput = 1 << 20

// Exec runs a command inside a container and returns what it has printed, on both streams, and
// its exit code. The command gets stdin if it is not nil. It cannot be ended: when the context
// ends, it is left alone.
func Exec(ctx context.Context, docker *client.Client, name string, stdin io.Reader, words ...string) (output string, code int, err error) {
	e, err := prepare(ctx, docker, name, container.ExecOptions{Cmd: words, AttachStdin: stdin != nil})
	if err == nil {
		output, code, err = e.run(ctx, stdin)
	}
	if err != nil {
		return output, code, fmt.Errorf("running %s in the container %s: %w", words[0], name, err)
	}
	return output, code, nil
}

// execution is a command inside a container.
type execution struct {
	docker *client.Client
	id     string
}

func prepare(ctx context.Context, docker *client.Client, name string, options container.ExecOptions) (execution, error) {
	options.AttachStdout, options.AttachStderr = true, true
	created, err := docker.ContainerExecCreate(ctx, name, options)
	return execution{docker, created.ID}, err
}

// errCutOff is the error when the command still runs although its connection has ended.
var errCutOff = errors.New("the connection to it ended before the command did")

func (e execution) run(ctx context.Context, stdin io.Reader) (string, int, error) {
	attached, err := e.docker.ContainerExecAttach(ctx, e.id, container.ExecAttachOptions{})
	if err != nil {
		return "", 0, err
	}
	defer attached.Close()
	// The connection knows no context.
	defer context.AfterFunc(ctx, attached.Close)()
	if stdin != nil {
		go func() {
			_, _ = io.Copy(attached.Conn, stdin) // a command may end without reading all of it
			_ = attached.CloseWrite()
		}()
	}
	var said bytes.Buffer
	kept := &limited{&said, maxOutput}
	_, err = stdcopy.StdCopy(kept, kept, attached.Reader)
	if ctx.Err() != nil {
		return said.String(), 0, ctx.Err()
	}
	if err != nil {
		return said.String(), 0, err
	}
	result, err := e.docker.ContainerExecInspect(ctx, e.id)
	switch {
	case err != nil:
		return said.String(), 0, err
	case result.Running:
		return said.String(), 0, errCutOff
	default:
		return said.String(), result.ExitCode, nil
	}
}

// limited keeps the first bytes and drops the rest.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(text []byte) (int, error) {
	kept := text[:min(len(text), l.left)]
	l.left -= len(kept)
	if _, err := l.w.Write(kept); err != nil {
		return 0, err
	}
	return len(text), nil
}
