package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"github.com/alorig/fleet/internal/containers/containerstest"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
)

// What the tests of the verbs on a real engine share. They run the program itself, so that it
// can be killed.

func TestMain(m *testing.M) {
	os.Exit(containerstest.Run(m, func() error { return containerstest.Build(".", program()) }))
}

// program is the path of the program. Its log lies beside it.
func program() string { return filepath.Join(containerstest.Directory, "server", "alorig-server") }

// canary stands in every value that is a secret.
const canary = "c4n4ry"

// process is the program at work.
type process struct {
	t              *testing.T
	verb           document.Verb
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	ended          chan struct{}
}

func begin(t *testing.T, verb document.Verb, d any) *process {
	t.Helper()
	text, err := document.Write(d)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, verb: verb, cmd: exec.Command(program(), string(verb)), ended: make(chan struct{})}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = strings.NewReader(text), &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // ProcessState tells
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended, or the test has failed
		<-p.ended
	})
	return p
}

// patience is how long a test waits for something that is to come.
const patience = 2 * time.Minute

func (p *process) wait() {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("%s does not end", p.verb)
	}
}

// result holds what the program says against what it promises when it has succeeded.
func (p *process) result() document.Result {
	p.t.Helper()
	p.wait()
	var result document.Result
	decoder := json.NewDecoder(bytes.NewReader(p.stdout.Bytes()))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&result)
	said := p.stdout.String()
	switch {
	case !p.cmd.ProcessState.Success():
		p.t.Fatalf("%s: %s: %s", p.verb, p.cmd.ProcessState, p.stderr.String())
	case err != nil || strings.Count(said, "\n") != 1 || !strings.HasSuffix(said, "}\n"):
		p.t.Errorf("%s prints not one line of JSON (%v): %q", p.verb, err, said)
	case result.Version != document.Version || result.Verb != p.verb || result.Did == nil || result.Run == "":
		p.t.Errorf("%s prints %s", p.verb, said)
	case p.stderr.Len() > 0:
		p.t.Errorf("%s complains: %s", p.verb, p.stderr.String())
	}
	return result
}

// failure holds what the program says against what it promises when it has failed.
func (p *process) failure(says ...string) {
	p.t.Helper()
	p.wait()
	said := p.stderr.String()
	if code := p.cmd.ProcessState.ExitCode(); code != 1 || p.stdout.Len() > 0 {
		p.t.Errorf("%s ends with %d and prints %q; it says %s", p.verb, code, p.stdout.String(), said)
	}
	for _, want := range says {
		if !strings.Contains(said, want) {
			p.t.Errorf("want %q in: %s", want, said)
		}
	}
	if strings.Count(said, "\n") > 7 || strings.Contains(said, canary) || !strings.HasPrefix(said, "alorig-server: "+string(p.verb)+": ") {
		p.t.Errorf("%s", said)
	}
}

// kill ends the process at once, and leaves what it was at.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
	p.wait()
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func mustDo(t *testing.T, verb document.Verb, d any) document.Result {
	t.Helper()
	return begin(t, verb, d).result()
}

func mustFail(t *testing.T, verb document.Verb, d any, says ...string) {
	t.Helper()
	begin(t, verb, d).failure(says...)
}

// happening is something that Docker tells about a container.
type happening struct{ name, action string }

// listen hears what happens to containers whose names begin with a prefix, from now on.
func listen(t *testing.T, docker *client.Client, prefix string) <-chan events.Message {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	said, failed := docker.Events(ctx, events.ListOptions{Filters: filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)))})
	heard := make(chan events.Message, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case m := <-said:
				if strings.HasPrefix(m.Actor.Attributes["name"], prefix) {
					heard <- m
				}
			case <-failed:
				return
			}
		}
	}()
	t.Cleanup(func() { stop(); <-done })
	return heard
}

// await waits for something to happen while the program is at work.
func (p *process) await(heard <-chan events.Message, want happening) {
	p.t.Helper()
	late := time.After(patience)
	for {
		select {
		case m := <-heard:
			if m.Actor.Attributes["name"] == want.name && string(m.Action) == want.action {
				return
			}
		case <-p.ended:
			// What it did last may not have been heard yet.
			select {
			case m := <-heard:
				if m.Actor.Attributes["name"] == want.name && string(m.Action) == want.action {
					return
				}
			case <-time.After(time.Second):
				p.t.Fatalf("%s has ended before %v: %s%s", p.verb, want, p.stdout.String(), p.stderr.String())
			}
		case <-late:
			p.t.Fatalf("%v does not come", want)
		}
	}
}

// visitor asks an app again and again, as Caddy does: the container first, and the next
// version when that one does not answer.
type visitor struct {
	docker *client.Client
	name   string
	stop   context.CancelFunc
	ended  chan struct{}
	asked  int
	failed []string
}

// attempts is how often a visitor is turned away before somebody would notice: Caddy holds a
// request and tries again, and a container may go while it is being asked.
const attempts = 4

func visit(t *testing.T, docker *client.Client, name string) *visitor {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	v := &visitor{docker: docker, name: name, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(v.ended)
		turned := 0
		for ctx.Err() == nil {
			there, ok, err := v.ask(ctx)
			if ctx.Err() != nil {
				return
			}
			v.asked++
			if turned++; ok {
				turned = 0
			}
			if err != nil || turned == attempts {
				v.failed = append(v.failed, fmt.Sprintf("%s: nobody answers (%v): %v", time.Now().Format("05.000"), err, there))
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	t.Cleanup(func() { stop(); <-v.ended })
	return v
}

// ask looks at all containers at one moment.
func (v *visitor) ask(ctx context.Context) (there map[string]string, ok bool, err error) {
	running, err := v.docker.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("name", "^/?"+v.name))})
	if err != nil {
		return nil, false, err
	}
	there = map[string]string{}
	for _, c := range running {
		there[strings.TrimPrefix(c.Names[0], "/")] = c.NetworkSettings.Networks[containerstest.Network].IPAddress
	}
	for _, name := range []string{v.name, ledger.NextName(v.name)} {
		if address := there[name]; address != "" {
			if connection, err := net.DialTimeout("tcp", net.JoinHostPort(address, "8000"), time.Second); err == nil {
				return there, true, connection.Close()
			}
		}
	}
	return there, false, nil
}

// leave ends the visits and tells whether any failed.
func (v *visitor) leave(t *testing.T) {
	t.Helper()
	v.stop()
	<-v.ended
	if len(v.failed) > 0 || v.asked == 0 {
		t.Errorf("of %d requests: %s", v.asked, strings.Join(v.failed, "\n"))
	}
}

// expect compares what exists, by name without the common prefix, with "ID status"; an ID of
// "new" is one that is not among the known ones.
func expect(t *testing.T, docker *client.Client, name string, want map[string]string, known ...string) {
	t.Helper()
	all, err := containerstest.List(t.Context(), docker, name)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range all {
		id := c.ID
		if !slices.Contains(known, id) {
			id = "new"
		}
		got[strings.TrimPrefix(c.Names[0], "/")] = id + " " + c.State
	}
	if !maps.Equal(got, want) {
		t.Errorf("there is %v, want %v", got, want)
	}
}
