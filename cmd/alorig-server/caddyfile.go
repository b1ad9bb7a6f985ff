package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/alorig/fleet/internal/caddyload"
	"github.com/alorig/fleet/internal/containers"
	"github.com/alorig/fleet/internal/document"
)

// putCaddyfile puts the main Caddyfile in place, and a Caddy that runs loads it, or all is as
// before.
func putCaddyfile(ctx context.Context, s *server, d *document.Caddyfile) error {
	return s.configuration(d.Directory, d.Caddy).PutMain(ctx, d.Text)
}

func (s *server) configuration(directory, container string) caddyload.Configuration {
	return caddyload.Configuration{Directory: directory, Container: container, Caddy: caddy{s.docker, container}, Say: s.say}
}

// caddy is asked inside its container: only there does its admin endpoint listen.
type caddy struct {
	docker    *client.Client
	container string
}

func (c caddy) State(ctx context.Context) (string, error) {
	got, err := c.docker.ContainerInspect(ctx, c.container)
	if cerrdefs.IsNotFound(err) {
		return caddyload.Missing, nil
	}
	if err != nil {
		return "", fmt.Errorf("looking at the container %s: %w", c.container, err)
	}
	return got.State.Status, nil
}

func (c caddy) Run(ctx context.Context, stdin string, words ...string) (string, int, error) {
	var in io.Reader
	if stdin != "" {
		in = strings.NewReader(stdin)
	}
	return containers.Exec(ctx, c.docker, c.container, in, append([]string{"caddy"}, words...)...)
}
