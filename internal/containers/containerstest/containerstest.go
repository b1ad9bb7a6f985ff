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
	"strings"
	"sync"
	"testing"

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

// Run runs the tests of a package (its TestMain) and removes everything that they have made.
func Run(m *testing.M) int {
	if !wanted() {
		return m.Run()
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

func wanted() bool { return os.Getenv("DOCKER_TESTS") != "" }

func run(m *testing.M) (code int, err error) {
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
	return m.Run(), nil
}

var engine = sync.OnceValues(func() (*client.Client, error) {
	return client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
})

// prepare makes image and network.
func prepare(ctx context.Context, docker *client.Client) error {
	dir, err := os.MkdirTemp("", Prefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // in the directory for such files
	path := filepath.Join(dir, "app")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path,
		"github.com/alorig/fleet/internal/containers/containerstest/testdata/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the program of the containers: %w\n%s", err, said)
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
	_, err = docker.NetworkCreate(ctx, Network, network.CreateOptions{})
	return err
}

// clean removes everything whose name begins with the prefix.
func clean(ctx context.Context, docker *client.Client) error {
	left, err := List(ctx, docker, Prefix)
	if err != nil {
		return err
	}
	var problems []error
	for _, c := range left {
		problems = append(problems, docker.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	}
	problems = append(problems, docker.NetworkRemove(ctx, Network))
	_, err = docker.ImageRemove(ctx, Image, image.RemoveOptions{Force: true})
	for _, err := range append(problems, err) {
		if err != nil && !cerrdefs.IsNotFound(err) {
			return fmt.Errorf("removing what tests have made: %w", err)
		}
	}
	return nil
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
		Probe:     &document.Probe{Test: []string{"CMD", "/app", "probe"}, Interval: 30, Timeout: 2, StartUp: 60, Retries: 2},
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
