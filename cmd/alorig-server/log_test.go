package main

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/alorig/fleet/internal/containers/containerstest"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
)

// logOf is what the program tells of an app.
func logOf(t *testing.T, environment []string, args ...string) document.Log {
	t.Helper()
	cmd := exec.Command(program(), append([]string{"log"}, args...)...)
	cmd.Env = append(cmd.Environ(), environment...)
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var told document.Log
	if err := json.Unmarshal(text, &told); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return told
}

func TestTheLogTellsWhatWasDoneAndHowTheContainersAre(t *testing.T) {
	t.Parallel()
	docker, name := containerstest.Docker(t), containerstest.Name(t)
	const app = "logged"
	for suffix, owner := range map[string]string{"": app, "_worker": app, "_other": "another", "_service": ""} {
		c := containerstest.Container(name + suffix)
		if owner != "" {
			c.Labels[ledger.LabelApp] = owner
		}
		containerstest.Start(t, docker, c)
	}
	if err := docker.ContainerKill(t.Context(), name+"_worker", "KILL"); err != nil {
		t.Fatal(err)
	}
	ended, ending := docker.ContainerWait(t.Context(), name+"_worker", container.WaitConditionNotRunning)
	select {
	case <-ended:
	case err := <-ending:
		t.Fatal(err)
	}
	d := redisDocument(name + "_worker")
	d.App, d.Digest = app, "sha256:1"
	mustFail(t, document.PutRedisUser, d, "docker start "+name+"_worker")

	told := logOf(t, nil, app, "--since", "10m")
	// What other tests do with the shared services stands there too.
	ours := slices.DeleteFunc(slices.Clone(told.Entries), func(e document.LogEntry) bool { return e.App != app })
	if len(ours) == 0 {
		t.Fatalf("nothing of %s among %+v", app, told.Entries)
	}
	if last := ours[len(ours)-1]; last.App != app || last.Verb != string(document.PutRedisUser) || !last.Failed ||
		!strings.Contains(last.Error, "docker start") || last.Digest != d.Digest || last.Who == "" || time.Since(last.Time) > 10*time.Minute {
		t.Errorf("%+v", told.Entries)
	}
	of := map[string]document.LogContainer{}
	for _, c := range told.Containers {
		of[c.Name] = c
	}
	if c := of[name]; c.Status != "running" || c.StartedAt == nil || time.Since(*c.StartedAt) > 10*time.Minute || c.FinishedAt != nil || c.App != app || c.Image != containerstest.Image || c.Health == "" {
		t.Errorf("%+v", c)
	}
	if c := of[name+"_worker"]; c.Status != "exited" || c.ExitCode != 137 || c.FinishedAt == nil || c.OOMKilled {
		t.Errorf("%+v", c)
	}
	if c := of[name+"_service"]; c.Status != "running" || c.App != "" {
		t.Errorf("a shared service: %+v", c)
	}
	if c, there := of[name+"_other"]; there {
		t.Errorf("another app's container: %+v", c)
	}
	if told.Version != document.Version || told.Unseen != "" {
		t.Errorf("%+v", told)
	}
	if all := logOf(t, nil); len(all.Containers) < 4 {
		t.Errorf("all apps have %d containers", len(all.Containers))
	}
	if before := logOf(t, nil, app, "--since", "1ns"); len(before.Entries) > 0 && before.Entries[0].App == app {
		t.Errorf("%+v", before.Entries)
	}
	// What was done is told even where Docker does not answer.
	blind := logOf(t, []string{"DOCKER_HOST=unix:///nowhere.sock"}, app, "--since", "10m")
	if len(blind.Entries) == 0 || len(blind.Containers) > 0 || !strings.Contains(blind.Unseen, "nowhere.sock") {
		t.Errorf("%+v", blind)
	}
}
