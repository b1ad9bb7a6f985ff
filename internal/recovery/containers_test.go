package recovery

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"

	"github.com/alorig/fleet/internal/access"
	"github.com/alorig/fleet/internal/containers"
	"github.com/alorig/fleet/internal/ledger"
)

// guest is what runs in the tests' containers: it ends when it is asked to, or by itself.
const guest = `package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	switch os.Args[1] {
	case "serve":
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGTERM)
		<-asked
	case "migrate":
		time.Sleep(10 * time.Second)
	case "well", "unwell":
		if os.Args[1] == "unwell" {
			os.Exit(1)
		}
	}
}
`

// yard is a place on the real Docker engine in which everything has a name and a label of
// its own.
type yard struct {
	*testing.T
	engine *engine
	stack  string
	image  string
	known  map[string]bool // what the state has
}

func newYard(t *testing.T) *yard {
	t.Helper()
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		host = "unix:///var/run/docker.sock"
	}
	server, err := access.Open(t.Context(), access.Target{Socket: host})
	if err != nil {
		t.Skipf("no Docker engine answers here: %v", err)
	}
	t.Cleanup(func() { _ = server.Close() })
	e := &engine{server.Docker()}
	id := make([]byte, 4)
	for i := range id {
		id[i] = byte(rand.Uint32())
	}
	y := &yard{T: t, engine: e, stack: "recovery" + hex.EncodeToString(id), known: map[string]bool{}}
	y.image = "alorig-" + y.stack + ":1"
	y.build()
	return y
}

// build makes the image, from nothing and without a network.
func (y *yard) build() {
	y.Helper()
	dir := y.TempDir()
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "guest")
	if err := os.WriteFile(source, []byte(guest), 0o600); err != nil {
		y.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", binary, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		y.Skipf("no Go toolchain to build the guest with: %v: %s", err, out)
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		y.Fatal(err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: "guest", Mode: 0o755, Size: int64(len(text))}); err != nil {
		y.Fatal(err)
	}
	_, _ = w.Write(text)
	if err := w.Close(); err != nil {
		y.Fatal(err)
	}
	said, err := y.engine.client.ImageImport(y.Context(), image.ImportSource{Source: &layer, SourceName: "-"}, y.image, image.ImportOptions{Changes: []string{`ENTRYPOINT ["/guest"]`}})
	if err != nil {
		y.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, said)
	_ = said.Close()
	y.Cleanup(func() {
		_, _ = y.engine.client.ImageRemove(context.Background(), y.image, image.RemoveOptions{Force: true})
	})
}

// name is a name that nobody else has.
func (y *yard) name(name string) string { return y.stack + "_" + name }

// run makes a container that does what its command says, and starts it unless it is to be
// only created. With a health command it has a health check.
func (y *yard) run(name, stack, command, health string, start bool, networks ...string) string {
	y.Helper()
	config := &container.Config{Image: y.image, Cmd: []string{command}, Labels: map[string]string{ledger.LabelStack: stack}}
	if health != "" {
		config.Healthcheck = &container.HealthConfig{Test: []string{"CMD", "/guest", health}, Interval: time.Second, Timeout: 5 * time.Second, Retries: 1}
	}
	host := &container.HostConfig{NetworkMode: "none"}
	var net *network.NetworkingConfig
	if len(networks) > 0 {
		host.NetworkMode = container.NetworkMode(networks[0])
	}
	created, err := y.engine.client.ContainerCreate(y.Context(), config, host, net, nil, y.name(name))
	if err != nil {
		y.Fatal(err)
	}
	y.Cleanup(func() {
		_ = y.engine.client.ContainerRemove(context.Background(), created.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	})
	if start {
		if err := y.engine.client.ContainerStart(y.Context(), created.ID, container.StartOptions{}); err != nil {
			y.Fatal(err)
		}
	}
	if health == "well" {
		if err := containers.AwaitReady(y.Context(), y.engine.client, time.Minute, containers.Wait{Name: created.ID, Once: true}); err != nil {
			y.Fatal(err)
		}
	}
	return created.ID
}

func (y *yard) declared() Declared {
	d := Declared{Migrations: map[string]bool{y.name("migrate"): true}, Network: y.name("net")}
	for _, name := range []string{"web", "worker"} {
		n := y.name(name)
		d.Slots = append(d.Slots, Slot{Container: n, Next: ledger.NextName(n), Previous: ledger.PreviousName(n), Needed: true})
	}
	return d
}

func (y *yard) look() Found {
	y.Helper()
	f := Found{Stack: y.stack, Declared: y.declared()}
	var err error
	if f.Containers, f.Networks, err = y.engine.look(y.Context(), y.stack, f.Declared, y.known); err != nil {
		y.Fatal(err)
	}
	return f
}

// names are the containers that are left, without what makes them ours.
func (y *yard) names() []string {
	names := []string{}
	for _, c := range y.look().Containers {
		names = append(names, strings.TrimPrefix(c.Name, y.stack+"_")+" "+c.Status)
	}
	return names
}

// recover plans and does, and returns what was said.
func (y *yard) recover() []string {
	y.Helper()
	r := &Recovery{options: Options{Stack: y.stack}, backend: &backend{}, engine: y.engine}
	var said []string
	if err := r.Do(y.Context(), MakePlan(y.look()), func(text string) { said = append(said, strings.ReplaceAll(text, y.stack+"_", "")) }); err != nil {
		y.Errorf("after %q: %v", said, err)
	}
	return said
}

func TestRecoverOnDocker(t *testing.T) {
	y := newYard(t)
	t.Run("half a handover, a migration, orphans", func(t *testing.T) {
		y := *y
		y.T = t
		old := y.run("web_previous", y.stack, "serve", "well", true)
		y.known = map[string]bool{old: true}
		y.run("web_next", y.stack, "serve", "well", true)
		y.run("worker", y.stack, "serve", "", false)
		y.run("worker_next", "another", "serve", "", true)
		y.run("stranger", y.stack, "serve", "", true)
		y.run("neighbour", "another", "serve", "", true)
		y.run("migrate", y.stack, "migrate", "", true)

		plan := MakePlan(y.look())
		if len(plan.Undecided) != 1 || !strings.Contains(plan.Undecided[0], "worker_next is not ours") {
			t.Errorf("leaves undecided %q", plan.Undecided)
		}
		if len(plan.Notes) != 1 || !strings.Contains(plan.Notes[0], "stranger (running) carries our label") {
			t.Errorf("notes %q", plan.Notes)
		}
		said := y.recover()
		want := []string{
			"1/5 Rename the container web_previous (healthy) back to web, as the state knows it.",
			"2/5 Stop and remove the container web_next (healthy): web serves.",
			"3/5 Remove the container worker (created): the state does not know it, and it holds no data.",
			"4/5 Wait until the migration in migrate (running) has ended, however long it takes.",
			"5/5 Remove the container migrate, unless the migration has failed.",
		}
		if !slices.Equal(said, want) {
			t.Errorf("says\n%s, want\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
		}
		if left := y.names(); !slices.Equal(left, []string{"stranger running", "web running", "worker_next running"}) {
			t.Errorf("left are %q", left)
		}
		if c, err := y.engine.container(t.Context(), y.stack, old); err != nil || c.Name != y.name("web") {
			t.Errorf("the old container is %+v, %v", c, err)
		}
		if said := y.recover(); len(said) != 0 {
			t.Errorf("done again: %q", said)
		}
	})
	t.Run("the new container is starting", func(t *testing.T) {
		y := *y
		y.T = t
		y.known = map[string]bool{y.run("web", y.stack, "serve", "well", true): true}
		next := y.run("web_next", y.stack, "serve", "well", true)
		f := y.look()
		for i := range f.Containers {
			if f.Containers[i].Name == y.name("web") {
				f.Containers[i].Health = "starting" // as it was when it was looked at
			}
		}
		r := &Recovery{options: Options{Stack: y.stack}, backend: &backend{}, engine: y.engine}
		plan := MakePlan(f)
		if len(plan.Steps) != 1 || plan.Steps[0].Once == "" {
			t.Fatalf("plans %+v", plan.Steps)
		}
		if err := r.Do(t.Context(), plan, func(string) {}); err != nil {
			t.Error(err)
		}
		if left := y.names(); !slices.Equal(left, []string{"web running"}) {
			t.Errorf("left are %q", left)
		}
		// Gone meanwhile is done.
		if err := r.Do(t.Context(), Plan{Steps: []Step{{Do: RemoveContainer, Name: y.name("web_next"), ID: next}}}, func(string) {}); err != nil {
			t.Error(err)
		}
	})
	t.Run("the new container is not healthy", func(t *testing.T) {
		y := *y
		y.T = t
		web := y.run("web", y.stack, "serve", "unwell", true)
		y.known = map[string]bool{web: true}
		y.run("web_next", y.stack, "serve", "well", true)
		for range 100 { // until Docker has asked it
			if c, err := y.engine.container(t.Context(), y.stack, web); err != nil || c.Health == "unhealthy" {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if said := y.recover(); len(said) != 0 {
			t.Errorf("does %q", said)
		}
		if left := y.names(); !slices.Equal(left, []string{"web running", "web_next running"}) {
			t.Errorf("left are %q", left)
		}
	})
	t.Run("orphaned network", func(t *testing.T) {
		y := *y
		y.T = t
		for name, stack := range map[string]string{y.name("net"): y.stack, y.name("net") + "2": y.stack} {
			created, err := y.engine.client.NetworkCreate(t.Context(), name, network.CreateOptions{Labels: map[string]string{ledger.LabelStack: stack}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = y.engine.client.NetworkRemove(context.Background(), created.ID) })
		}
		guest := y.run("guest", "another", "serve", "", true, y.name("net"))
		y.run("web", y.stack, "serve", "", true, y.name("net"))
		if plan := MakePlan(y.look()); len(plan.Undecided) != 1 || !strings.Contains(plan.Undecided[0], "in use by "+y.name("guest")+".") {
			t.Errorf("leaves undecided %q", plan.Undecided)
		}
		if err := y.engine.client.ContainerRemove(t.Context(), guest, container.RemoveOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
		if said := y.recover(); len(said) != 2 || !strings.Contains(said[1], "Remove the network net") {
			t.Errorf("does %q", said)
		}
		left, err := y.engine.client.NetworkList(t.Context(), network.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range left {
			if n.Name == y.name("net") {
				t.Error("the network is still there")
			}
		}
	})
	t.Run("changed since it was looked at", func(t *testing.T) {
		y := *y
		y.T = t
		id := y.run("web", y.stack, "serve", "", false)
		foreign := y.run("worker", "another", "serve", "", false)
		r := &Recovery{options: Options{Stack: y.stack}, backend: &backend{}, engine: y.engine}
		for _, s := range []Step{
			{Do: RemoveContainer, Name: y.name("web_next"), ID: id},
			{Do: RemoveContainer, Name: y.name("worker"), ID: foreign},
			{Do: RenameContainer, Name: y.name("worker"), ID: foreign, To: y.name("web")},
		} {
			if err := r.Do(t.Context(), Plan{Steps: []Step{s}}, func(string) {}); err == nil {
				t.Errorf("did %+v", s)
			}
		}
		if len(y.names()) != 2 {
			t.Errorf("left are %q", y.names())
		}
	})
}
