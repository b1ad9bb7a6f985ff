package containers

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
)

// maxOutput is how much of what a command prints is kept, in bytes.
const maxOutput = 1 << 20

// Exec runs a command inside a container and returns what it has printed, on both streams, and
// its exit code. The command gets stdin if it is not nil.
func Exec(ctx context.Context, docker *client.Client, name string, stdin io.Reader, words ...string) (output string, code int, err error) {
	output, code, err = exec(ctx, docker, name, stdin, nil, words)
	if err != nil {
		return output, code, fmt.Errorf("running %s in the container %s: %w", words[0], name, err)
	}
	return output, code, nil
}

func exec(ctx context.Context, docker *client.Client, name string, stdin io.Reader, env, words []string) (string, int, error) {
	created, err := docker.ContainerExecCreate(ctx, name, container.ExecOptions{
		Cmd: words, Env: env, AttachStdin: stdin != nil, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return "", 0, err
	}
	attached, err := docker.ContainerExecAttach(ctx, created.ID, container.ExecAttachOptions{})
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
	result, err := docker.ContainerExecInspect(ctx, created.ID)
	if err != nil {
		return said.String(), 0, err
	}
	return said.String(), result.ExitCode, nil
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
