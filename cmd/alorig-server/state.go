package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/alorig/fleet/internal/containers"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/handover"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/redisuser"
)

// readState tells what is there and changes nothing.
func readState(ctx context.Context, s *server, d *document.State) error {
	facts := document.Facts{Version: document.Version, Containers: []document.FactContainer{}, Unseen: []string{}}
	all, err := s.docker.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return fmt.Errorf("listing the containers: %w", err)
	}
	for _, c := range all {
		name := strings.TrimPrefix(c.Names[0], "/")
		if c.Labels[ledger.LabelStack] != d.Stack && !slices.Contains(d.Containers, name) {
			continue
		}
		facts.Containers = append(facts.Containers, document.FactContainer{
			Name: name, ID: c.ID, Stack: c.Labels[ledger.LabelStack], Says: c.Status,
			// One that Docker starts again and again is for an update to replace.
			Runs: c.State != container.StateCreated && c.State != container.StateExited && c.State != container.StateDead,
		})
	}
	slices.SortFunc(facts.Containers, func(a, b document.FactContainer) int { return strings.Compare(a.Name, b.Name) })
	if facts.Sites, err = hashes(d.Sites); err != nil {
		facts.Unseen = append(facts.Unseen, err.Error())
	}
	redis, err := s.redisAt(ctx, d.Redis, d.Network, d.Port, d.AdminPassword)
	if err == nil {
		facts.RedisUsers, err = redisuser.Names(ctx, redis)
	}
	var stopped notRunning
	if err != nil && !errors.As(err, &stopped) { // that it does not run stands among the containers
		facts.Unseen = append(facts.Unseen, err.Error())
	}
	s.answer = facts
	return nil
}

// hashes are those of the site files in a directory; none where there is no directory.
func hashes(directory string) (map[string]string, error) {
	found := map[string]string{}
	entries, err := os.ReadDir(directory)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return found, fmt.Errorf("listing the site files: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || !e.Type().IsRegular() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(directory, e.Name()))
		if err != nil {
			return found, fmt.Errorf("reading a site file: %w", err)
		}
		found[e.Name()] = fmt.Sprintf("%x", sha256.Sum256(text))
	}
	return found, nil
}

// start starts containers that do not run, and waits for those that must become ready.
func start(ctx context.Context, s *server, d *document.Started) error {
	var problems []error
	for _, name := range d.Containers {
		found, err := containers.Look(ctx, s.docker, name)
		switch {
		case err != nil:
		case found.Condition == handover.Missing:
			err = fmt.Errorf("%s; run `pulumi refresh`, and the update again", found)
		case !found.Condition.Running():
			if err = containers.Start(ctx, s.docker, name); err == nil {
				s.say("%s started", name)
			}
		}
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	var waits []containers.Wait
	for _, name := range d.Await {
		waits = append(waits, containers.Wait{Name: name})
	}
	return containers.AwaitReady(ctx, s.docker, time.Duration(d.Patience)*time.Second, waits...)
}
