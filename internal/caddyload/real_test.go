package caddyload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alorig/fleet/internal/pinned"
)

// real is a Caddy that runs. It is asked as the one in the container is.
type real struct {
	binary, directory string
	port              int
}

func (r real) State(context.Context) (string, error) { return Running, nil }

func (r real) Run(ctx context.Context, stdin string, words ...string) (string, int, error) {
	for i, word := range words {
		if word == mainFile {
			words[i] = filepath.Join(r.directory, "etc/Caddyfile")
		}
	}
	cmd := r.command(ctx, words...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), ended.ExitCode(), nil
	}
	return string(out), 0, err
}

func (r real) command(ctx context.Context, words ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.binary, words...)
	cmd.Env = []string{"HOME=" + r.directory}
	return cmd
}

func (r real) configuration() Configuration {
	return Configuration{Directory: filepath.Join(r.directory, "etc"), Container: "alorig_caddy", Caddy: r, Say: func(string, ...any) {}}
}

// runningCaddy starts a Caddy without a site.
func runningCaddy(t *testing.T) real {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the real Caddy, which the first run builds for minutes")
	}
	binary, err := pinned.Caddy(t.Context(), "", os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	// The path of a socket is short.
	directory, err := os.MkdirTemp("", "caddyload")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	r := real{binary, directory, listen(t)}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(directory, "etc/sites"), 0o755); err != nil {
		t.Fatal(err)
	}
	write("etc/Caddyfile", r.main(""))
	write("etc/sites/snapify.caddy", site("neighbour", "neighbour"))
	log, err := os.Create(filepath.Join(directory, "log"))
	if err != nil {
		t.Fatal(err)
	}
	caddy := r.command(context.Background(), "run", "--config", filepath.Join(directory, "etc/Caddyfile"))
	caddy.Stderr = log
	if err := caddy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = caddy.Process.Kill()
		_ = caddy.Wait()
		log.Close()
	})
	for range 100 {
		if r.served(t, "neighbour") == "neighbour" {
			return r
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := os.ReadFile(log.Name())
	t.Fatalf("Caddy does not serve:\n%s", text)
	return r
}

// listen finds a free port.
func listen(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (r real) main(more string) string {
	return fmt.Sprintf("{\n\tadmin unix/%s/admin\n\thttp_port %d\n\tdefault_bind 127.0.0.1\n}\n%simport sites/*.caddy\n", r.directory, r.port, more)
}

func site(host, says string) string {
	return fmt.Sprintf("http://%s.test {\n\trespond %s\n}\n", host, says)
}

// served is what Caddy answers for the host; "" when it knows none of that name.
func (r real) served(t *testing.T, host string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", r.port), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Host, request.Close = host+".test", true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (r real) expect(t *testing.T, want map[string]string) {
	t.Helper()
	for host, says := range want {
		if got := r.served(t, host); got != says {
			t.Errorf("for %s Caddy answers %q, want %q", host, got, says)
		}
	}
	if hidden, err := filepath.Glob(filepath.Join(r.directory, "etc/*/.*.*")); err != nil || len(hidden) > 0 {
		t.Errorf("there are %q (%v)", hidden, err)
	}
}

func TestTheRealCaddyServesWhatIsPutInPlace(t *testing.T) {
	t.Parallel()
	r := runningCaddy(t)
	c := r.configuration()
	for _, says := range []string{"one", "two", "two"} {
		if err := c.PutSite(t.Context(), "psydge.caddy", site("psydge", says)); err != nil {
			t.Fatal(err)
		}
		r.expect(t, map[string]string{"psydge": says, "neighbour": "neighbour"})
	}
	if err := c.PutMain(t.Context(), r.main("http://main.test {\n\trespond main\n}\n")); err != nil {
		t.Fatal(err)
	}
	r.expect(t, map[string]string{"main": "main", "psydge": "two", "neighbour": "neighbour"})
	for range 2 { // the second finds nothing to remove
		if err := c.RemoveSite(t.Context(), "psydge.caddy"); err != nil {
			t.Fatal(err)
		}
		r.expect(t, map[string]string{"main": "main", "psydge": "", "neighbour": "neighbour"})
	}
}

func TestWhatTheRealCaddyRefusesLeavesWhatWasServed(t *testing.T) {
	t.Parallel()
	r := runningCaddy(t)
	c := r.configuration()
	if err := c.PutSite(t.Context(), "psydge.caddy", site("psydge", "one")); err != nil {
		t.Fatal(err)
	}
	// A port that somebody else has: the configuration is valid and cannot be loaded.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	used := fmt.Sprintf("http://psydge.test:%d {\n\trespond two\n}\n", taken.Addr().(*net.TCPAddr).Port)
	for name, tt := range map[string]struct {
		change change
		says   string
	}{
		"unknown directive":       {change{"put", "http://psydge.test {\n\tno_such_directive\n}\n"}, "no_such_directive"},
		"cut off in the transfer": {change{"put", "http://psydge.test {\n"}, "syntax error"},
		"host of a neighbour":     {change{"put", site("neighbour", "two")}, "neighbour.test"},
		"it cannot be loaded":     {change{"put", used}, "address already in use"},
		"main file":               {change{"main", r.main("http://main.test {\n\tno_such_directive\n}\n")}, "no_such_directive"},
		"main file, not loaded":   {change{"main", r.main(used)}, "address already in use"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.change.make(t.Context(), c)
			if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "using config from file") {
				t.Errorf("got %v, want %q", err, tt.says)
			}
			r.expect(t, map[string]string{"psydge": "one", "neighbour": "neighbour"})
		})
	}
}

func TestConcurrentChangesAreAllServedByTheRealCaddy(t *testing.T) {
	t.Parallel()
	r := runningCaddy(t)
	results, want := make(chan error), map[string]string{"neighbour": "neighbour"}
	for i := range 4 {
		app := fmt.Sprintf("app%d", i)
		want[app] = app
		go func() { results <- r.configuration().PutSite(t.Context(), app+".caddy", site(app, app)) }()
	}
	for range 4 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	r.expect(t, want)
}

// A process was killed after Caddy had loaded its first site file, and the next one when it had
// undone that: Caddy serves a site of which no file is left.
func TestTheRealCaddyServesNoSiteThatIsCalledRemoved(t *testing.T) {
	t.Parallel()
	r := runningCaddy(t)
	path := filepath.Join(r.directory, "etc/sites/psydge.caddy")
	if err := os.WriteFile(path, []byte(site("psydge", "one")), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, code, err := r.Run(t.Context(), "", "reload", "--config", mainFile); err != nil || code != 0 {
		t.Fatal(said, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.expect(t, map[string]string{"psydge": "one", "neighbour": "neighbour"})
	if err := r.configuration().RemoveSite(t.Context(), "psydge.caddy"); err != nil {
		t.Fatal(err)
	}
	r.expect(t, map[string]string{"psydge": "", "neighbour": "neighbour"})
}
