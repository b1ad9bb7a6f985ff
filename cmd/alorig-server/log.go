package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
	"github.com/spf13/cobra"

	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/serverlog"
)

// logCommand prints what has been done and what Docker knows of the containers, for `alorig
// log`. It changes nothing, and is itself not logged.
func logCommand() *cobra.Command {
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "log [APP]",
		Short: "Print what has been done on the server, and how its containers are, as JSON",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			app := strings.Join(args, "")
			directory, err := home()
			if err != nil {
				return err
			}
			answer := document.Log{Version: document.Version}
			if answer.Entries, err = serverlog.Read(directory, app, time.Now().Add(-since)); err != nil {
				return err
			}
			if answer.Containers, err = containersOf(cmd.Context(), app); err != nil {
				answer.Unseen = err.Error() // what has been done may be why
			}
			text, err := document.Write(answer)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
			return err
		},
	}
	cmd.Flags().DurationVar(&since, "since", 24*time.Hour, "print what was done in this time before now")
	return cmd
}

// containersOf are the containers of an app and of the shared services, or of all apps with "".
func containersOf(ctx context.Context, app string) ([]document.LogContainer, error) {
	found := []document.LogContainer{}
	s := &server{}
	if err := s.open(); err != nil {
		return found, err
	}
	defer s.docker.Close() //nolint:errcheck // it is at its end
	list, err := s.docker.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", ledger.LabelStack))})
	if err != nil {
		return found, fmt.Errorf("listing the containers: %w", err)
	}
	for _, listed := range list {
		if owner := listed.Labels[ledger.LabelApp]; app != "" && owner != "" && owner != app {
			continue
		}
		c, err := logContainer(ctx, s.docker, listed.ID)
		if cerrdefs.IsNotFound(err) { // it has gone meanwhile
			continue
		}
		if err != nil {
			return found, err
		}
		found = append(found, c)
	}
	slices.SortFunc(found, func(a, b document.LogContainer) int { return cmp.Compare(a.Name, b.Name) })
	return found, nil
}

func logContainer(ctx context.Context, docker *client.Client, id string) (document.LogContainer, error) {
	got, err := docker.ContainerInspect(ctx, id)
	if err != nil {
		return document.LogContainer{}, fmt.Errorf("looking at the container %s: %w", id, err)
	}
	c := document.LogContainer{
		Name: strings.TrimPrefix(got.Name, "/"), App: got.Config.Labels[ledger.LabelApp], Image: got.Config.Image,
		Status: got.State.Status, StartedAt: moment(got.State.StartedAt), FinishedAt: moment(got.State.FinishedAt),
		ExitCode: got.State.ExitCode, OOMKilled: got.State.OOMKilled, RestartCount: got.RestartCount,
	}
	if got.State.Health != nil && got.State.Health.Status != container.NoHealthcheck {
		c.Health = got.State.Health.Status
	}
	return c, nil
}

// moment reads a time as Docker writes it; nil for one that has not come.
func moment(text string) *time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() <= 1 {
		return nil
	}
	return &t
}
