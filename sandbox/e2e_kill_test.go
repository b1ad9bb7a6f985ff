package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	"github.com/alorig/fleet/internal/fleet"
)

// The engine dies at ten points of an update, alone or, as in a power failure, with all it
// has started. `alorig recover` makes the next update converge.
func (s *suite) testKills(t *testing.T) {
	for i, point := range []event{
		{"", "at once"},
		{"astrotiming_migrate", "start"},
		{"astrotiming_migrate", "destroy"},
		{"astrotiming_backend_next", "start"},
		{"astrotiming_backend_next", "health_status: healthy"},
		{"astrotiming_backend_previous", "rename"},
		{"astrotiming_backend_previous", "destroy"},
		{"astrotiming_backend", "start"},
		{"astrotiming_backend", "health_status: healthy"},
		{"astrotiming_celery_worker", "destroy"},
	} {
		alone := i%2 == 0
		t.Run(strings.TrimSpace(point.container+" "+point.action), func(t *testing.T) {
			client := browser(t)
			kept := countJobs(t, client, astrotiming)
			version := nextVersion(t, client)
			s.setImage(t, "astrotiming-backend", image(version))
			others := startAttack(browser(t), 10, otherApps("astrotiming"), nil)
			s.killUpdate(t, point, alone)

			said, err := s.recover(t, "--yes")
			t.Logf("alorig recover:\n%s", said)
			if err != nil {
				t.Errorf("recover: %v", err)
			}
			s.up(t)
			others.stop()
			others.expectClean(t, 0)
			expectVersion(t, client, astrotiming, version)
			if now := countJobs(t, client, astrotiming); now != kept {
				t.Errorf("%v is kept of %v", now, kept)
			}
			s.expectHealthy(t)
			if said, err := s.pulumi(t, "preview", "--expect-no-changes", "--diff"); err != nil {
				t.Errorf("the preview after it is not empty: %v\n%s", err, said)
			}
		})
	}
	t.Run("a living holder keeps its lock", func(t *testing.T) {
		client := browser(t)
		version := nextVersion(t, client)
		s.setImage(t, "astrotiming-backend", image(version))
		cmd, said := s.startUpdate(t)
		waitEvent(t, event{"astrotiming_backend_next", "start"}, cmd)
		answer, err := s.recover(t, "--yes")
		if err == nil {
			t.Errorf("recover went to work beside a living update:\n%s", answer)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the update failed: %v\n%s", err, said)
		}
		expectVersion(t, client, astrotiming, version)
		s.expectHealthy(t)
	})
}

// recover runs `alorig recover` as an operator would.
func (s *suite) recover(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(filepath.Join(s.root, "bin", "alorig"), append([]string{"recover", "--stack", stack}, args...)...)
	cmd.Dir = s.root
	cmd.Env = append(os.Environ(), s.environment(s.own)...)
	said, err := cmd.CombinedOutput()
	s.mu.Lock()
	s.said.Write(said)
	s.mu.Unlock()
	return string(said), err
}

// nextVersion is the version of AstroTiming that does not answer now.
func nextVersion(t *testing.T, client *http.Client) string {
	t.Helper()
	_, body, _ := get(t, client, astrotiming+"/")
	var now struct{ Version string }
	if err := json.Unmarshal([]byte(body), &now); err != nil {
		t.Fatalf("%s answers %.200s", astrotiming, body)
	}
	if now.Version == "1" {
		return "2"
	}
	return "1"
}

func (s *suite) startUpdate(t *testing.T) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd, err := s.command(context.WithoutCancel(t.Context()), s.own, s.upArgs()...)
	if err != nil {
		t.Fatal(err)
	}
	said := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, said
}

// killUpdate starts an update and kills its engine when the event has happened.
func (s *suite) killUpdate(t *testing.T, point event, alone bool) {
	t.Helper()
	cmd, said := s.startUpdate(t)
	if point.container == "" {
		waitFor(t, "the update's lock", func() error {
			_, err := os.ReadDir(s.file("state/.pulumi/locks/organization/alorig/" + stack))
			return err
		})
	} else {
		waitEvent(t, point, cmd)
	}
	engine, err := process.NewProcess(int32(cmd.Process.Pid))
	if err != nil {
		t.Fatalf("the update has ended before %v: %s", point, said)
	}
	victims := []*process.Process{engine}
	if !alone {
		victims = append(victims, descendants(engine)...)
	}
	for _, v := range victims {
		_ = v.Kill() // some go with those before them
	}
	_ = cmd.Wait() // it was killed
	s.mu.Lock()
	s.said.Write(said.Bytes())
	s.mu.Unlock()
}

func descendants(p *process.Process) []*process.Process {
	children, _ := p.Children() // none is an error too
	all := children
	for _, c := range children {
		all = append(all, descendants(c)...)
	}
	return all
}

// waitEvent waits until something has happened to a container, for three minutes at most.
func waitEvent(t *testing.T, want event, update *exec.Cmd) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", "events", "--filter", "type=container", "--filter", "label="+fleet.LabelStack+"="+stack,
		"--format", "{{index .Actor.Attributes \"name\"}}\t{{.Action}}")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait() //nolint:errcheck // it is cancelled
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		if scanner.Text() == want.container+"\t"+want.action {
			cancel()
			return
		}
	}
	_ = update.Process.Kill()
	t.Fatalf("%s: %s has not happened", want.container, want.action)
}
