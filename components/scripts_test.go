package components

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alorig/fleet/internal/pinned"
)

// The scripts run on the server. Here a stand-in plays the docker client; what it is
// asked to run inside Caddy's container, a real Caddy does.

// server is a directory that plays the server's file system.
type server struct {
	t               *testing.T
	sites, commands string // Caddy's site files; where the docker stand-in lives
}

func newServer(t *testing.T, docker string) server {
	t.Helper()
	dir := t.TempDir()
	s := server{t: t, sites: filepath.Join(dir, "sites"), commands: filepath.Join(dir, "bin")}
	for _, d := range []string{s.sites, s.commands} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(s.commands, "docker"), "#!/bin/sh\n"+docker)
	if err := os.Chmod(filepath.Join(s.commands, "docker"), 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs a script as the command provider does and returns what it printed.
func (s server) run(script, stdin string) (string, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", script)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = []string{"PATH=" + s.commands + ":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "SITES=" + s.sites, "HOME=" + s.t.TempDir()}
	cmd.WaitDelay = 5 * time.Second // what the script started may outlive it
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// caddyServer is a server whose Caddy checks configurations for real; its reload only
// notes that it was asked, unless the file "unwilling" stands beside the sites.
func caddyServer(t *testing.T) server {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the real Caddy, which the first run builds for minutes")
	}
	binary, err := pinned.Caddy(t.Context(), "", os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, `
while [ "$1" = exec ] || [ "$1" = -i ] || [ "$1" = alorig_caddy ]; do shift; done
[ "$1" = caddy ] || { echo "unexpected: $*" >&2; exit 9; }
case "$2" in
adapt) exec `+binary+` adapt --adapter caddyfile --config /dev/stdin ;;
validate) exec `+binary+` validate --adapter caddyfile --config "$SITES/../Caddyfile" ;;
reload) [ ! -e "$SITES/../unwilling" ] || { echo "reload refused" >&2; exit 1; }; cat "$SITES"/*.caddy > "$SITES/../loaded" ;;
*) echo "unexpected: $*" >&2; exit 9 ;;
esac
`)
	write(t, filepath.Join(s.sites, "..", "Caddyfile"), "{\n\tadmin off\n}\nimport sites/*.caddy\n")
	return s
}

func (s server) put(site string) (string, error) {
	return s.run("caddy=alorig_caddy\nsites="+s.sites+"\nfile=psydge.caddy\n"+loadSites+putSite, site)
}

// expectSites compares everything in the sites directory but the lock.
func (s server) expectSites(want map[string]string) {
	s.t.Helper()
	entries, err := os.ReadDir(s.sites)
	if err != nil {
		s.t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range entries {
		if e.Name() == ".lock" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(s.sites, e.Name()))
		if err != nil {
			s.t.Fatal(err)
		}
		got[e.Name()] = string(text)
	}
	for name, text := range want {
		if got[name] != text {
			s.t.Errorf("%s holds %q, want %q", name, got[name], text)
		}
	}
	if len(got) != len(want) {
		s.t.Errorf("the directory holds %d files, want %d: %v", len(got), len(want), got)
	}
}

const (
	siteOne = "http://one.test {\n\trespond one\n}\n"
	siteTwo = "http://two.test {\n\trespond two\n}\n"
)

func TestASiteFileIsPutInPlaceAndLoaded(t *testing.T) {
	s := caddyServer(t)
	for _, site := range []string{siteOne, siteTwo, siteTwo} {
		if out, err := s.put(site); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		s.expectSites(map[string]string{"psydge.caddy": site})
		loaded, err := os.ReadFile(filepath.Join(s.sites, "..", "loaded"))
		if err != nil || string(loaded) != site {
			t.Errorf("Caddy serves %q (%v), want %q", loaded, err, site)
		}
	}
}

func TestARefusedSiteFileLeavesTheOldOne(t *testing.T) {
	neighbour := "http://neighbour.test {\n\trespond neighbour\n}\n"
	for name, c := range map[string]struct {
		site, says string
		unwilling  bool
	}{
		"unknown directive":       {site: "http://one.test {\n\tno_such_directive\n}\n", says: "no_such_directive"},
		"host of a neighbour":     {site: neighbour, says: "neighbour.test"},
		"Caddy does not load it":  {site: siteTwo, says: "reload refused", unwilling: true},
		"cut off in the transfer": {site: "http://one.test {\n", says: "syntax error"},
	} {
		t.Run(name, func(t *testing.T) {
			s := caddyServer(t)
			write(t, filepath.Join(s.sites, "psydge.caddy"), siteOne)
			write(t, filepath.Join(s.sites, "snapify.caddy"), neighbour)
			if c.unwilling {
				write(t, filepath.Join(s.sites, "..", "unwilling"), "")
			}
			out, err := s.put(c.site)
			if err == nil {
				t.Fatalf("accepted: %s", out)
			}
			if !strings.Contains(out, c.says) {
				t.Errorf("want %q in the message, got:\n%s", c.says, out)
			}
			s.expectSites(map[string]string{"psydge.caddy": siteOne, "snapify.caddy": neighbour})
		})
	}
}

func TestAFirstSiteFileThatIsRefusedLeavesNothing(t *testing.T) {
	s := caddyServer(t)
	write(t, filepath.Join(s.sites, "..", "unwilling"), "")
	if out, err := s.put(siteOne); err == nil {
		t.Fatalf("accepted: %s", out)
	}
	s.expectSites(map[string]string{})
}

// killer is a server whose Caddy accepts every site file that does not say "broken", and loads
// it unless the file "unwilling" stands beside the sites. It counts its calls in the file
// "calls" and kills the script at the call whose number the file "kill" holds.
func killer(t *testing.T) server {
	t.Helper()
	s := newServer(t, `
read -r n < "$SITES/../calls"; n=$((n + 1)); echo $n > "$SITES/../calls"
read -r at < "$SITES/../kill"; [ $n != "$at" ] || kill -9 "$(cat "$SITES/../pid")"
case "$*" in
"inspect "*) echo true ;;
*" adapt "*) ! grep -q broken ;;
*" validate "*) ;;
*" reload "*) [ ! -e "$SITES/../unwilling" ] ;;
*) echo "unexpected: $*" >&2; exit 9 ;;
esac
`)
	s.beside("calls", "0\n")
	s.beside("kill", "0\n")
	return s
}

// beside writes a file beside the sites.
func (s server) beside(name, text string) { write(s.t, filepath.Join(s.sites, "..", name), text) }

// dies runs a script that is killed at its nth call of docker.
func (s server) dies(n int, script, stdin string) {
	s.t.Helper()
	s.beside("calls", "0\n")
	s.beside("kill", strconv.Itoa(n)+"\n")
	out, err := s.run("echo $$ >\"$SITES/../pid\"\n"+script, stdin)
	if ended, ok := errors.AsType[*exec.ExitError](err); !ok || ended.ExitCode() != -1 {
		s.t.Fatalf("it was not killed at its call %d: %v: %s", n, err, out)
	}
	s.beside("kill", "0\n")
}

// A script that is killed restores nothing itself. The next one begins with a file that Caddy
// has served, even if its own is refused.
func TestAKilledScriptLeavesAFileThatWasServed(t *testing.T) {
	for _, c := range []struct {
		unwilling bool
		calls     int // adapt, validate, reload; and a reload of the old file
	}{{false, 3}, {true, 4}} {
		for n := range c.calls {
			t.Run(fmt.Sprintf("unwilling %v, call %d", c.unwilling, n+1), func(t *testing.T) {
				s := killer(t)
				script := "caddy=alorig_caddy\nsites=" + s.sites + "\nfile=psydge.caddy\n" + loadSites + putSite
				write(t, filepath.Join(s.sites, "psydge.caddy"), siteOne)
				if c.unwilling {
					s.beside("unwilling", "")
				}
				s.dies(n+1, script, siteTwo)
				if out, err := s.put("broken"); err == nil {
					t.Fatalf("accepted: %s", out)
				}
				s.expectSites(map[string]string{"psydge.caddy": siteOne})
			})
		}
	}
	t.Run("first file", func(t *testing.T) {
		s := killer(t)
		s.dies(2, "caddy=alorig_caddy\nsites="+s.sites+"\nfile=psydge.caddy\n"+loadSites+putSite, siteTwo)
		if out, err := s.put("broken"); err == nil {
			t.Fatalf("accepted: %s", out)
		}
		s.expectSites(map[string]string{})
	})
}

func TestAKilledRemovalIsFinished(t *testing.T) {
	for n := range 2 { // validate, reload
		s := killer(t)
		script := "caddy=alorig_caddy\nsites=" + s.sites + "\nfile=psydge.caddy\n" + loadSites + removeSite
		write(t, filepath.Join(s.sites, "psydge.caddy"), siteOne)
		s.dies(n+1, script, "")
		s.beside("calls", "0\n")
		if out, err := s.run(script, ""); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		s.expectSites(map[string]string{})
		if calls, err := os.ReadFile(filepath.Join(s.sites, "..", "calls")); err != nil || string(calls) != "2\n" {
			t.Errorf("Caddy was asked %q times (%v), want to validate and to reload", calls, err)
		}
	}
}

func TestAKilledScriptLeavesTheMainCaddyfileThatWasServed(t *testing.T) {
	for n := range 2 { // validate and reload, behind inspect
		s := killer(t)
		directory := filepath.Dir(s.sites)
		script := "caddy=alorig_caddy\ndirectory=" + directory + "\n" + putCaddyMain
		s.beside("Caddyfile", "served\n")
		s.dies(n+2, script, "unproven\n")
		expect := func(want string) {
			t.Helper()
			found, err := filepath.Glob(filepath.Join(directory, "*Caddyfile*"))
			text, _ := os.ReadFile(filepath.Join(directory, "Caddyfile"))
			if err != nil || len(found) != 1 || string(text) != want {
				t.Errorf("there is %q, and Caddyfile holds %q, want %q alone (%v)", found, text, want, err)
			}
		}
		s.beside("unwilling", "")
		if out, err := s.run(script, "refused\n"); err == nil {
			t.Fatalf("accepted: %s", out)
		}
		expect("served\n")
		if err := os.Remove(filepath.Join(directory, "unwilling")); err != nil {
			t.Fatal(err)
		}
		if out, err := s.run(script, "next\n"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		expect("next\n")
	}
}

func TestASiteFileIsRemoved(t *testing.T) {
	s := caddyServer(t)
	script := "caddy=alorig_caddy\nsites=" + s.sites + "\nfile=psydge.caddy\n" + loadSites + removeSite
	write(t, filepath.Join(s.sites, "snapify.caddy"), siteTwo)
	for range 2 { // the second finds nothing to remove
		write(t, filepath.Join(s.sites, "psydge.caddy"), siteOne)
		if out, err := s.run(script, ""); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		s.expectSites(map[string]string{"snapify.caddy": siteTwo})
		if out, err := s.run(script, ""); err != nil {
			t.Fatalf("removing what is not there: %v: %s", err, out)
		}
	}
}

func TestConcurrentSiteFilesWaitForEachOther(t *testing.T) {
	s := caddyServer(t)
	results := make(chan error, 4)
	for _, app := range []string{"one", "two", "three", "four"} {
		go func() {
			_, err := s.run("caddy=alorig_caddy\nsites="+s.sites+"\nfile="+app+".caddy\n"+loadSites+putSite,
				"http://"+app+".test {\n\trespond "+app+"\n}\n")
			results <- err
		}()
	}
	for range 4 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	loaded, err := os.ReadFile(filepath.Join(s.sites, "..", "loaded"))
	if err != nil {
		t.Fatal(err)
	}
	for _, app := range []string{"one", "two", "three", "four"} {
		if !strings.Contains(string(loaded), "respond "+app+"\n") {
			t.Errorf("%s is not served:\n%s", app, loaded)
		}
	}
}

func TestTheGateOpensWhenAllAreHealthyAtOnce(t *testing.T) {
	// The second container becomes healthy only when it is asked for the second time.
	s := newServer(t, `
for last; do :; done
if [ "$last" = b ] && [ ! -e "$SITES/asked" ]; then : > "$SITES/asked"; echo running/starting; exit; fi
echo running/healthy
`)
	if out, err := s.run("containers='a b'\npatience=180\n"+gateScript, ""); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(s.sites, "asked")); err != nil {
		t.Error("the gate did not ask for every container")
	}
}

func TestTheGateStaysShutAndNamesWhatIsNotHealthy(t *testing.T) {
	s := newServer(t, `
for last; do :; done
case "$last" in a) echo running/healthy ;; b) echo running/unhealthy ;; c) exit 1 ;; esac
`)
	out, err := s.run("containers='a b c'\npatience=0\n"+gateScript, "")
	if err == nil {
		t.Fatalf("opened: %s", out)
	}
	for _, want := range []string{"b is running/unhealthy", "c is missing", "docker logs"} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q in the message, got: %s", want, out)
		}
	}
	if strings.Contains(out, "a is") {
		t.Errorf("a is healthy and is blamed: %s", out)
	}
}

func TestThePlatformCheckNamesEverythingThatIsWrong(t *testing.T) {
	parameters := "network=alorig_net\npostgres=alorig_postgres\nredis=alorig_redis\ncaddy=alorig_caddy\n"
	healthy := `
case "$1" in
inspect) echo "true side alorig_net other " ;;
exec) echo admin.api.load; echo dns.providers.cloudflare ;;
esac
`
	s := newServer(t, healthy)
	if out, err := s.run(parameters+"sites="+s.sites+"\n"+checkPlatform, ""); err != nil {
		t.Errorf("a sound platform is refused: %v: %s", err, out)
	}
	s = newServer(t, `
case "$1" in
inspect) case "$4" in alorig_postgres) echo "true alorig_net-old " ;; alorig_redis) exit 1 ;; *) echo "false alorig_net " ;; esac ;;
exec) echo admin.api.load ;;
esac
`)
	out, err := s.run(parameters+"sites="+s.sites+"/missing\n"+checkPlatform, "")
	if err == nil {
		t.Fatalf("a broken platform is accepted: %s", out)
	}
	for _, want := range []string{"alorig_postgres does not run", "alorig_redis does not run", "alorig_caddy does not run", "dns.providers.cloudflare", "/missing"} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q in the message, got: %s", want, out)
		}
	}
}

func TestTheRedisPasswordIsOnNoCommandLine(t *testing.T) {
	s := newServer(t, `
printf '%s\n' "$*" >> "$SITES/arguments"
printf '%s' "$REDISCLI_AUTH" > "$SITES/password"
cat > "$SITES/commands"
`)
	if out, err := s.run("redis=alorig_redis\n"+redisACL, "canary\nACL SETUSER psydge on\nACL SAVE\n"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for file, want := range map[string]string{
		"arguments": "exec -i -e REDISCLI_AUTH alorig_redis redis-cli -e --no-auth-warning\n",
		"password":  "canary",
		"commands":  "ACL SETUSER psydge on\nACL SAVE\n",
	} {
		got, err := os.ReadFile(filepath.Join(s.sites, file))
		if err != nil || string(got) != want {
			t.Errorf("%s: %q (%v), want %q", file, got, err, want)
		}
	}
}
