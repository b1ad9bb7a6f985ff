// Package containerstest gives tests containers of a real Docker engine: an image that holds
// a small program (testdata/app), a network, and names that no fleet has. Nothing is pulled.
package containerstest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/gofrs/flock"

	"github.com/alorig/fleet/internal/containers"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
)

// Names of what tests make on the engine. Every name begins with the prefix.
const (
	Prefix  = "alorigtest_"
	Network = Prefix + "net"
	Image   = Prefix + "app:latest"
	Stack   = "alorigtest" // whose containers they are
)

// Directory is for what the tests of a package share; "" where no Docker is wanted. It goes
// with the containers.
var Directory string

// Run runs the tests of a package (its TestMain), after what they have to do before, and
// removes everything that they have made.
func Run(m *testing.M, before ...func() error) int {
	if !wanted() {
		return m.Run()
	}
	code, err := run(m, before)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

func wanted() bool { return os.Getenv("DOCKER_TESTS") != "" }

func run(m *testing.M, before []func() error) (code int, err error) {
	// Two packages, or two runs, would remove each other's containers.
	lock := flock.New(filepath.Join(os.TempDir(), Prefix+"lock"))
	if err := lock.Lock(); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	docker, err := engine()
	if err != nil {
		return 1, err
	}
	ctx := context.Background()
	if err := clean(ctx, docker); err != nil { // what a killed run has left
		return 1, err
	}
	defer func() { err = errors.Join(err, clean(ctx, docker)) }()
	if err := prepare(ctx, docker); err != nil {
		return 1, err
	}
	for _, do := range before {
		if err := do(); err != nil {
			return 1, err
		}
	}
	return m.Run(), nil
}

var engine = sync.OnceValues(func() (*client.Client, error) {
	return client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
})

// prepare makes directory, image and network.
func prepare(ctx context.Context, docker *client.Client) error {
	var err error
	if Directory, err = os.MkdirTemp("", Prefix+"dir"); err != nil {
		return err
	}
	path := filepath.Join(Directory, "app")
	if err := Build("github.com/alorig/fleet/internal/containers/containerstest/testdata/app", path); err != nil {
		return err
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	if err := w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(program))}); err != nil {
		return err
	}
	if _, err := w.Write(program); err != nil {
		return err
	}
	// The same program plays Caddy where one is asked for.
	if err := w.WriteHeader(&tar.Header{Name: "bin/caddy", Typeflag: tar.TypeLink, Linkname: "app", Mode: 0o755}); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	said, err := docker.ImageImport(ctx, image.ImportSource{Source: &files, SourceName: "-"}, Image, image.ImportOptions{})
	if err != nil {
		return err
	}
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(said); err != nil {
		return err
	}
	if err := said.Close(); err != nil {
		return err
	}
	if strings.Contains(answer.String(), `"error"`) {
		return fmt.Errorf("importing the image: %s", answer.String())
	}
	// An engine sometimes counts an end of a network too many, when a container was removed
	// while it started, and lets the network go only after its own restart.
	if _, err := docker.NetworkInspect(ctx, Network, network.InspectOptions{}); !cerrdefs.IsNotFound(err) {
		return err
	}
	_, err = docker.NetworkCreate(ctx, Network, network.CreateOptions{})
	return err
}

// Build builds a static program.
func Build(what, path string) error {
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, what)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", what, err, said)
	}
	return nil
}

// clean removes everything whose name begins with the prefix, but the lock. Docker may still be
// at work on a container whose program was killed.
func clean(ctx context.Context, docker *client.Client) error {
	_, err := backoff.Retry(ctx, func() (bool, error) { return true, cleanOnce(ctx, docker) },
		backoff.WithBackOff(backoff.NewConstantBackOff(300*time.Millisecond)), backoff.WithMaxElapsedTime(30*time.Second))
	if err != nil {
		return fmt.Errorf("removing what tests have made: %w", err)
	}
	return nil
}

func cleanOnce(ctx context.Context, docker *client.Client) error {
	left, err := List(ctx, docker, Prefix)
	problems := []error{err}
	for _, c := range left {
		problems = append(problems, docker.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	}
	if err := docker.NetworkRemove(ctx, Network); cerrdefs.IsPermissionDenied(err) && len(left) == 0 {
		fmt.Fprintf(os.Stderr, "the network %s stays until Docker is started again: %v\n", Network, err)
	} else {
		problems = append(problems, err)
	}
	_, err = docker.ImageRemove(ctx, Image, image.RemoveOptions{Force: true})
	problems = append(problems, err)
	directories, err := filepath.Glob(filepath.Join(os.TempDir(), Prefix+"dir*"))
	problems = append(problems, err)
	for _, dir := range directories {
		problems = append(problems, os.RemoveAll(dir))
	}
	return errors.Join(slices.DeleteFunc(problems, func(err error) bool { return err == nil || cerrdefs.IsNotFound(err) })...)
}

// List returns the containers whose names begin with a prefix, also stopped ones.
func List(ctx context.Context, docker *client.Client, prefix string) ([]container.Summary, error) {
	return docker.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("name", "^/?"+prefix))})
}

// Docker returns the engine. It skips the test where none is wanted.
func Docker(t testing.TB) *client.Client {
	t.Helper()
	if !wanted() {
		t.Skip("it makes containers on this machine's Docker engine; run it with `make test-docker`")
	}
	docker, err := engine()
	if err != nil {
		t.Fatal(err)
	}
	return docker
}

var unnameable = regexp.MustCompile(`[^A-Za-z0-9]+`)

// Name is the name of a test's own container. All whose names begin with it are removed when
// the test has ended.
func Name(t testing.TB) string {
	t.Helper()
	name := Prefix + unnameable.ReplaceAllString(t.Name(), "_") + "_app"
	t.Cleanup(func() {
		docker, err := engine()
		if err != nil {
			t.Error(err)
			return
		}
		left, err := List(context.Background(), docker, name)
		if err != nil {
			t.Error(err)
		}
		for _, c := range left {
			err := docker.ContainerRemove(context.Background(), c.ID, container.RemoveOptions{Force: true})
			if err != nil && !cerrdefs.IsNotFound(err) && !cerrdefs.IsConflict(err) {
				t.Error(err)
			}
		}
	})
	return name
}

// Container is a container that serves, as a document tells it. Docker looks at it for the
// first time after half a minute. Behaviour is words like BOOT=1s (testdata/app).
func Container(name string, behaviour ...string) document.Container {
	environment := map[string]string{}
	for _, word := range behaviour {
		key, value, _ := strings.Cut(word, "=")
		environment[key] = value
	}
	return document.Container{
		Name: name, Image: Image, Entrypoint: []string{"/app"}, Command: []string{"serve"}, Environment: environment,
		Labels: map[string]string{ledger.LabelStack: Stack}, Network: Network,
		Memory: 96, Reservation: 48, Restart: "unless-stopped", Grace: 1,
		Probe:     &document.Probe{Test: []string{"CMD", "/app", "probe"}, Interval: 30, Timeout: 10, StartUp: 60, Retries: 2},
		LogDriver: "json-file", LogOptions: map[string]string{"max-size": "1m", "max-file": "2"},
		Init: true, Security: []string{"no-new-privileges"}, Capabilities: document.Capabilities{Drop: []string{"ALL"}, Add: []string{"CHOWN"}},
	}
}

// Start creates and starts a container, and returns its ID.
func Start(t testing.TB, docker *client.Client, c document.Container) string {
	t.Helper()
	if err := errors.Join(containers.Create(t.Context(), docker, c), containers.Start(t.Context(), docker, c.Name)); err != nil {
		t.Fatal(err)
	}
	got, err := docker.ContainerInspect(t.Context(), c.Name)
	if err != nil {
		t.Fatal(err)
	}
	return got.ID
}
