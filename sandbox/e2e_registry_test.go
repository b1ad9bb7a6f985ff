package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/alorig/fleet/internal/settings"
)

// tryRegistryPassword rotates the password of a private registry: nothing on the server is
// touched for it, and the next update pulls with the new one alone.
func (s *suite) tryRegistryPassword(t *testing.T) {
	defer s.runElsewhere()()
	first, second := random(), random()
	private := startRegistry(t, first)
	next := private.push(t, first, image("2"))
	s.config(t, "set", "--path", settings.Project+":registry.address", private.address)
	s.config(t, "set", "--path", settings.Project+":registry.username", registryUser)
	setPassword := func(password string) {
		t.Helper()
		s.pulumiReads(t, password, "config", "set", "--secret", settings.Project+":registryPassword")
	}
	setPassword(first)
	before := s.ids(t)
	s.up(t)

	load := startAttack(browser(t), 20, []string{"https://snapify.pk/"}, []string{"https://snapify.pk/jobs"})
	private.accept(first, second)
	setPassword(second)
	s.up(t)
	expectSame(t, before, s.ids(t))

	private.accept(second)
	if _, err := private.login(t, first); err == nil {
		t.Error("the registry still accepts the old password")
	}
	s.setImage(t, "snapify-backend", next)
	s.up(t)
	load.stop()
	load.expectClean(t)
	expectVersion(t, browser(t), "https://snapify.pk", "2")
	if n := private.pulls(); n == 0 {
		t.Error("the update pulled nothing from the registry")
	}
	s.expectNoChanges(t)

	s.setImage(t, "snapify-backend", image("1"))
	s.config(t, "rm", settings.Project+":registry")
	s.config(t, "rm", settings.Project+":registryPassword")
	s.up(t)
	s.expectHealthy(t)
	docker(t, "image", "rm", next)
}

const registryUser = "alorig"

// privateRegistry is a registry on this machine that wants a password.
type privateRegistry struct {
	address string

	mu        sync.Mutex
	passwords []string
	pulled    int // manifests that were handed out
}

func startRegistry(t *testing.T, passwords ...string) *privateRegistry {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &privateRegistry{address: listener.Addr().String(), passwords: passwords}
	storage := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if !r.admits(request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="alorig"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
		storage.ServeHTTP(w, request)
	})}
	go func() { _ = server.Serve(listener) }() // it is closed at the end
	t.Cleanup(func() { _ = server.Close() })   // nobody asks it any more
	return r
}

func (r *privateRegistry) admits(request *http.Request) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	user, password, _ := request.BasicAuth()
	if user != registryUser || !slices.Contains(r.passwords, password) {
		return false
	}
	if request.Method == http.MethodGet && strings.Contains(request.URL.Path, "/manifests/") {
		r.pulled++
	}
	return true
}

// accept replaces the passwords that it accepts.
func (r *privateRegistry) accept(passwords ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passwords = passwords
}

func (r *privateRegistry) pulls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pulled
}

// login logs Docker's command in, with a configuration of its own, which it returns.
func (r *privateRegistry) login(t *testing.T, password string) (directory string, err error) {
	t.Helper()
	directory = t.TempDir()
	cmd := exec.CommandContext(t.Context(), "docker", "--config", directory, "login", "--username", registryUser, "--password-stdin", r.address)
	cmd.Stdin = strings.NewReader(password)
	_, err = cmd.CombinedOutput()
	return directory, err
}

// push brings an image there, and takes the name that it has there off this machine again.
func (r *privateRegistry) push(t *testing.T, password, local string) (reference string) {
	t.Helper()
	directory, err := r.login(t, password)
	if err != nil {
		t.Fatal(err)
	}
	reference = r.address + "/alorig/" + strings.TrimPrefix(local, "alorig-sandbox/")
	docker(t, "tag", local, reference)
	docker(t, "--config", directory, "push", "--quiet", reference)
	docker(t, "image", "rm", reference)
	return reference
}
