package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

// updated is an image that a test updates from one of two references to the other.
type updated struct {
	image, container string
	references       [2]string
	site             string // where the demo project says its version; "" of another program
}

var (
	// With a migration, a worker and beat.
	snapifyUpdate     = updated{"snapify-backend", "snapify_backend", [2]string{image("1"), image("2")}, "https://snapify.pk"}
	astrotimingUpdate = updated{"astrotiming-backend", "astrotiming_backend", [2]string{image("1"), image("2")}, astrotiming}
	// One serving container alone, which is soon done.
	payloadUpdate = updated{"sitebuilder-payload", "sitebuilder_payload", [2]string{"alorig-sandbox/payload:1", "alorig-sandbox/payload:2"}, ""}
)

// runs is the reference that the container runs.
func (u updated) runs(t *testing.T) string {
	t.Helper()
	return docker(t, "container", "inspect", "--format", "{{.Config.Image}}", u.container)
}

// change sets the reference that does not run now, and returns it.
func (u updated) change(s *suite, t *testing.T) string {
	t.Helper()
	next := u.references[0]
	if u.runs(t) == next {
		next = u.references[1]
	}
	s.setImage(t, u.image, next)
	return next
}

// expect expects that the container runs the reference, and answers as it.
func (u updated) expect(t *testing.T, client *http.Client, reference string) {
	t.Helper()
	if now := u.runs(t); now != reference {
		t.Errorf("%s runs %s, want %s", u.container, now, reference)
	}
	if u.site != "" {
		_, version, _ := strings.Cut(reference, ":")
		expectVersion(t, client, u.site, version)
	}
}

// kill is a point of an update.
type kill struct {
	update updated
	point  event
}

func (s *suite) testKills(t *testing.T) {
	s.tryKills(t,
		kill{payloadUpdate, event{"", "at once"}},
		kill{astrotimingUpdate, event{"astrotiming_migrate", "start"}},
		kill{astrotimingUpdate, event{"astrotiming_migrate", "destroy"}},
		kill{payloadUpdate, event{"sitebuilder_payload_next", "start"}},
		kill{payloadUpdate, event{"sitebuilder_payload_next", "update"}},
		kill{payloadUpdate, event{"sitebuilder_payload_previous", "rename"}},
		kill{payloadUpdate, event{"sitebuilder_payload_previous", "destroy"}},
		kill{payloadUpdate, event{"sitebuilder_payload", "start"}},
		kill{payloadUpdate, event{"sitebuilder_payload_next", "kill"}},
		kill{astrotimingUpdate, event{"astrotiming_celery_worker", "destroy"}},
	)
	t.Run("a living holder keeps its lock", s.tryLivingHolder)
}

// The Pulumi CLI dies at each of the points of an update, alone or, as in a power failure,
// with all it has started. `alorig recover` makes the next update converge.
func (s *suite) tryKills(t *testing.T, kills ...kill) {
	t.Helper()
	for i, kill := range kills {
		alone := i%2 == 0
		t.Run(strings.TrimSpace(kill.point.container+" "+kill.point.action), func(t *testing.T) {
			client := browser(t)
			site := cmp.Or(kill.update.site, "https://snapify.pk")
			kept := countJobs(t, client, site)
			next := kill.update.change(s, t)
			load := startAttack(browser(t), 10, append(otherApps(""), "https://cms.alorig.com/"), nil)
			s.killUpdate(t, kill.point, alone)

			said, err := s.recover(t, "--yes")
			t.Logf("alorig recover:\n%s", said)
			if err != nil {
				t.Errorf("recover: %v", err)
			}
			s.up(t)
			load.stop()
			load.expectClean(t)
			kill.update.expect(t, client, next)
			if now := countJobs(t, client, site); now != kept {
				t.Errorf("%v is kept of %v", now, kept)
			}
			s.expectHealthy(t)
			if said, err := s.pulumi(t, "preview", "--expect-no-changes", "--diff"); err != nil {
				t.Errorf("the preview after it is not empty: %v\n%s", err, said)
			}
		})
	}
}

func (s *suite) tryLivingHolder(t *testing.T) {
	next := payloadUpdate.change(s, t)
	cmd, said := s.startUpdate(t)
	waitEvent(t, event{"sitebuilder_payload_next", "start"}, cmd)
	answer, err := s.recover(t, "--yes")
	if err == nil {
		t.Errorf("recover went to work beside a living update:\n%s", answer)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the update failed: %v\n%s", err, said)
	}
	payloadUpdate.expect(t, browser(t), next)
	s.expectHealthy(t)
}

// recover runs `alorig recover`.
func (s *suite) recover(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return s.alorig(t, append([]string{"recover"}, args...)...)
}

// alorig runs a verb of the operator's command on the sandbox's stack.
func (s *suite) alorig(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(filepath.Join(s.root, "bin", "alorig"), append(args, "--stack", stack)...)
	cmd.Dir = s.root
	cmd.Env = append(os.Environ(), s.environment(s.own)...)
	said, err := cmd.CombinedOutput()
	s.mu.Lock()
	s.said.Write(said)
	s.mu.Unlock()
	return string(said), err
}

func (s *suite) startUpdate(t *testing.T) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd, err := s.command(context.WithoutCancel(t.Context()), s.upArgs()...)
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

// killUpdate starts an update and kills it when the event has happened.
func (s *suite) killUpdate(t *testing.T, point event, alone bool) {
	t.Helper()
	cmd, said := s.startUpdate(t)
	if point.container == "" {
		waitFor(t, "the update's lock", func() error {
			locks, err := os.ReadDir(s.file("state/.pulumi/locks/organization/alorig/" + stack))
			if err == nil && len(locks) == 0 {
				err = errors.New("there is none")
			}
			return err
		})
	} else {
		waitEvent(t, point, cmd)
	}
	cli, err := process.NewProcess(int32(cmd.Process.Pid))
	if err != nil {
		t.Fatalf("the update has ended before %v: %s", point, said)
	}
	victims := []*process.Process{cli}
	if !alone {
		victims = append(victims, descendants(cli)...)
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
	cmd := eventsCommand(ctx)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
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
