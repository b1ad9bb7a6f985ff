// Command sandbox brings the complete server up on this machine's Docker engine, with
// the official Pulumi CLI and providers, and takes it down again (sandbox/README.md).
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/pinned"
	_ "github.com/alorig/fleet/internal/terminal/quiet"
)

const usage = `usage: sandbox up | down | serve

up     builds what is missing and runs the fleet
down   stops the fleet and keeps its data; with DATA=delete it deletes both
serve  the emulated Cloudflare API alone; up starts it by itself`

func main() {
	commands := map[string]func(context.Context, sandbox) error{"up": up, "down": down, "serve": serve}
	if len(os.Args) != 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	s, err := open()
	if err == nil {
		err = commands[os.Args[1]](ctx, s)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

// stack is the Pulumi stack of the sandbox, and the label of what belongs to it.
const stack = "sandbox"

// sandbox is what belongs to this machine and to no commit.
type sandbox struct {
	root string // of the repository
	dir  string // .sandbox in it
}

func open() (sandbox, error) {
	root, err := pinned.Repository("")
	if err != nil {
		return sandbox{}, err
	}
	s := sandbox{root: root, dir: filepath.Join(root, ".sandbox")}
	if err := os.MkdirAll(filepath.Join(s.dir, "state"), 0o700); err != nil {
		return sandbox{}, fmt.Errorf("making the sandbox's directory: %w", err)
	}
	return s, nil
}

// caddy is Caddy's configuration directory. It is the sandbox's own: this machine may be a
// server that has one at the place where the settings have it by default.
func (s sandbox) caddy() string { return s.file("caddy") }

func (s sandbox) file(name string) string { return filepath.Join(s.dir, name) }

func up(ctx context.Context, s sandbox) error {
	own, err := s.secrets()
	if err != nil {
		return err
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	if err := s.pulumi(ctx, own, "up", "--yes", "--skip-preview", "--suppress-progress", "--policy-pack", s.pack()); err != nil {
		return err
	}
	fmt.Fprint(os.Stderr, s.whereToLook())
	return nil
}

// prepare makes what an update of the sandbox needs: images, static builds, settings, the
// emulated API, the stack. What an earlier down has stopped runs again after it.
func (s sandbox) prepare(ctx context.Context) error {
	own, err := s.secrets()
	if err != nil {
		return err
	}
	if err := s.prepareServer(ctx, own); err != nil {
		return err
	}
	if err := s.writeProject(ctx); err != nil {
		return err
	}
	if err := s.startCloudflare(ctx); err != nil {
		return err
	}
	if err := s.writeEnvironment(own); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	if s.hasStack() {
		return nil
	}
	return s.pulumi(ctx, own, "stack", "init", stack)
}

// prepareServer makes the part of it that has nothing to do with Pulumi's CLI and providers.
func (s sandbox) prepareServer(ctx context.Context, own ownSecrets) error {
	caddy, err := pinned.Caddy(ctx, "", os.Stderr)
	if err != nil {
		return err
	}
	if err := s.run(ctx, filepath.Join(s.root, "sandbox", "images", "build.sh"), "1", caddy); err != nil {
		return fmt.Errorf("building the images: %w", err)
	}
	if err := s.putStaticBuilds(ctx); err != nil {
		return err
	}
	return s.writeConfig(ctx, own)
}

// start starts what an earlier down has stopped: PostgreSQL first, which the rest needs.
func (s sandbox) start(ctx context.Context) error {
	stopped, err := s.containers(ctx, "--filter", "status=exited")
	if err != nil || len(stopped) == 0 {
		return err
	}
	return s.run(ctx, "docker", append([]string{"start"}, stopped...)...)
}

func down(ctx context.Context, s sandbox) error {
	if os.Getenv("DATA") != "delete" {
		running, err := s.containers(ctx)
		if err == nil && len(running) > 0 {
			err = s.run(ctx, "docker", append([]string{"stop"}, running...)...)
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "Stopped; make up starts it again with all its data. make down DATA=delete deletes both.")
		return s.stopCloudflare()
	}
	return s.deleteAll(ctx)
}

// deleteAll leaves nothing of the sandbox but its images and its static builds, which lie
// where those of a real server would.
func (s sandbox) deleteAll(ctx context.Context) error {
	// The state goes as a whole: to Pulumi, databases and volumes are protected.
	for _, kind := range []string{"container", "network", "volume"} {
		args := []string{kind, "ls", "--quiet", "--filter", "label=" + ledger.LabelStack + "=" + stack}
		if kind == "container" {
			args = append(args, "--all")
		}
		ids, err := s.list(ctx, args...)
		if err != nil {
			return err
		}
		remove := []string{kind, "rm"}
		if kind == "container" {
			remove = append(remove, "--force", "--volumes")
		}
		if len(ids) > 0 {
			if err := s.run(ctx, "docker", append(remove, ids...)...); err != nil {
				return err
			}
		}
	}
	if err := s.stopCloudflare(); err != nil {
		return err
	}
	return os.RemoveAll(s.dir)
}

// containers lists the names of the sandbox's containers, PostgreSQL and Redis first.
func (s sandbox) containers(ctx context.Context, filters ...string) ([]string, error) {
	names, err := s.list(ctx, append([]string{"ps", "--all", "--format", "{{.Names}}", "--filter", "label=" + ledger.LabelStack + "=" + stack}, filters...)...)
	var services, apps []string
	for _, name := range names {
		if strings.HasPrefix(name, "alorig_") {
			services = append(services, name)
		} else {
			apps = append(apps, name)
		}
	}
	return append(services, apps...), err
}

func (s sandbox) list(ctx context.Context, args ...string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("docker %s: %w", args[0], err)
	}
	return strings.Fields(string(out)), nil
}

// run shows what a command says.
func (s sandbox) run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
	}
	return nil
}

// putStaticBuilds writes a small page for each static build of the ledger, as a
// container: the directory belongs to root.
func (s sandbox) putStaticBuilds(ctx context.Context) error {
	var script strings.Builder
	script.WriteString("set -eu\n")
	for _, app := range ledger.Alorig().Apps {
		for _, r := range app.Routes {
			if r.Static == "" {
				continue
			}
			root := ledger.StaticRoot(app.Name, r.Static)
			fmt.Fprintf(&script, `[ -e %[1]s/index.html ] || {
mkdir -p %[1]s/assets
echo 'console.log("%[2]s")' >%[1]s/assets/index-5a4db0c5.js
echo '<!doctype html><title>%[2]s</title><script src="assets/index-5a4db0c5.js"></script>' >%[1]s/index.html
}
`, root, app.Name+" "+r.Static)
		}
	}
	mount := ledger.StaticDirectory + ":" + ledger.StaticDirectory
	return s.run(ctx, "docker", "run", "--rm", "--network", "none", "--volume", mount, "alorig-sandbox/redis:1", "sh", "-c", script.String())
}

func (s sandbox) whereToLook() string {
	var b strings.Builder
	b.WriteString("\nThe fleet runs. Caddy answers on 127.0.0.1 with certificates of its own; try\n")
	for _, app := range ledger.Alorig().Apps {
		for _, r := range app.Routes {
			if r.Upstream == ledger.Backend {
				fmt.Fprintf(&b, "  curl -k --resolve %s:443:127.0.0.1 https://%[1]s%s/\n", r.Host, r.Path)
				break
			}
		}
	}
	fmt.Fprintf(&b, "Look at it with `docker ps`, `docker stats` and, after `. %s`, with pulumi.\n", s.file("env"))
	return b.String()
}
