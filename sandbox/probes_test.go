package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
)

// A probe must be able to fail. Each is run as Docker runs it, on the real program beside its
// init: while all is well, with a part of the program stopped, and with that going on again.
func (s *suite) testProbes(t *testing.T) {
	for name, tt := range map[string]struct {
		container string
		stopped   func(containerProcess) bool
	}{
		"the pool of a worker":    {"psydge_celery_worker", containerProcess.isChild},
		"a worker's main process": {"psydge_celery_worker", containerProcess.isMain},
		"Gunicorn's workers":      {"snapify_backend", containerProcess.isChild},
		"Daphne":                  {"psydge_channels", containerProcess.isMain},
		"Node":                    {"sitebuilder_payload", containerProcess.isMain},
		"PostgreSQL":              {"alorig_postgres", containerProcess.isAny},
		"Redis":                   {"alorig_redis", containerProcess.isAny},
		"Caddy":                   {"alorig_caddy", containerProcess.isAny},
	} {
		t.Run(name, func(t *testing.T) {
			expectProbe(t, tt.container, true)
			goOn := stopProcesses(t, tt.container, tt.stopped)
			expectProbe(t, tt.container, false)
			goOn()
			waitFor(t, "the probe of "+tt.container, func() error { return probe(t, tt.container) })
		})
	}
	t.Run("beat", func(t *testing.T) {
		const beat = "psydge_celery_beat"
		expectProbe(t, beat, true)
		goOn := stopProcesses(t, beat, containerProcess.isMain)
		expectProbe(t, beat, true) // it may sleep as long; this notes how often it has woken
		docker(t, "exec", beat, "touch", "-d", "10 minutes ago", "/tmp/beat-probe")
		expectProbe(t, beat, false)
		goOn()
		waitFor(t, "the probe of "+beat, func() error { return probe(t, beat) })
	})
	t.Run("a full pool with a queue", func(t *testing.T) {
		client := browser(t)
		last := 0
		for range 3 * processesOf(t, "psydge_celery_worker", containerProcess.isChild) {
			last = postTask(t, client, "https://api.psydge.com", 4*time.Second)
		}
		for range 3 {
			expectProbe(t, "psydge_celery_worker", true)
		}
		expectDone(t, client, "https://api.psydge.com", last)
	})
	s.expectHealthy(t)
}

// containerProcess is one of a container's processes, as the machine sees it.
type containerProcess struct {
	pid, parent, init int
	command           string
}

func (p containerProcess) isMain() bool  { return p.parent == p.init }
func (p containerProcess) isChild() bool { return p.pid != p.init && p.parent != p.init }
func (p containerProcess) isAny() bool   { return !strings.Contains(p.command, "docker-init") }

// processes are those of a container, its init first.
func processes(t *testing.T, name string) []containerProcess {
	t.Helper()
	var found []containerProcess
	for i, line := range lines(docker(t, "top", name, "-o", "pid,ppid,args")) {
		if i == 0 {
			continue // the titles
		}
		words := strings.Fields(line)
		pid, err := strconv.Atoi(words[0])
		if err != nil {
			t.Fatalf("docker top %s: %q", name, line)
		}
		parent, err := strconv.Atoi(words[1])
		if err != nil {
			t.Fatalf("docker top %s: %q", name, line)
		}
		p := containerProcess{pid: pid, parent: parent, init: pid, command: strings.Join(words[2:], " ")}
		if len(found) > 0 {
			p.init = found[0].pid
		}
		found = append(found, p)
	}
	return found
}

func processesOf(t *testing.T, name string, which func(containerProcess) bool) int {
	t.Helper()
	n := 0
	for _, p := range processes(t, name) {
		if which(p) {
			n++
		}
	}
	return n
}

// stopProcesses stops some of a container's processes until the function it returns is called.
func stopProcesses(t *testing.T, name string, which func(containerProcess) bool) (goOn func()) {
	t.Helper()
	var stopped []int
	for _, p := range processes(t, name) {
		if !which(p) {
			continue
		}
		if err := syscall.Kill(p.pid, syscall.SIGSTOP); err != nil {
			t.Fatalf("stopping %s: %v", p.command, err)
		}
		stopped = append(stopped, p.pid)
	}
	if len(stopped) == 0 {
		t.Fatalf("%s has no such process", name)
	}
	goOn = func() {
		for _, pid := range stopped {
			_ = syscall.Kill(pid, syscall.SIGCONT) // it may have been ended by then
		}
	}
	t.Cleanup(goOn)
	return goOn
}

func expectProbe(t *testing.T, name string, passes bool) {
	t.Helper()
	if err := probe(t, name); (err == nil) != passes {
		t.Errorf("the probe of %s: %v; passes %t is expected", name, err, passes)
	}
}

// probe runs a container's own health check, as long as Docker lets it run.
func probe(t *testing.T, name string) error {
	t.Helper()
	check := inspect[container.InspectResponse](t, "container", name)[0].Config.Healthcheck
	words := check.Test[1:]
	if check.Test[0] == "CMD-SHELL" {
		words = []string{"/bin/sh", "-c", words[0]}
	}
	ctx, cancel := context.WithTimeout(t.Context(), check.Timeout)
	defer cancel()
	said, err := exec.CommandContext(ctx, "docker", append([]string{"exec", name}, words...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}
