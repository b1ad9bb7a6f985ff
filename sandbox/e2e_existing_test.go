package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/alorig/fleet/internal/caddysite"
	"github.com/alorig/fleet/internal/cloudflaretest"
	"github.com/alorig/fleet/internal/declared"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/settings"
)

// TestMain lets the binary of the tests be the emulated API, which the sandbox's command
// starts from itself, and the stand-in for Pulumi.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "pulumi" {
		if err := runStandIn(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(255)
		}
		return
	}
	if len(os.Args) == 2 && os.Args[1] == "serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

const (
	existingStack = "existing"
	// labelByHand is on everything that this part starts by plain Docker. It is not the
	// program's own, which must leave all of it alone.
	labelByHand = "alorig.sandbox.by-hand"
	sshPort     = "18022"
)

// existing is a server where Phase 0 was there first: started by hand as the runbook
// says, reached over SSH as in production.
type existing struct {
	*suite
	box sandbox // with the state and settings of a stack of its own
	key string  // private, to log in with
}

// Production has a network, PostgreSQL, Redis and Caddy that this program has not made. It
// is brought onto such a server over SSH, and leaves all of it as it is.
func (s *suite) testExistingPlatform(t *testing.T) {
	for _, program := range []string{sshd, "ssh", "flock"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is missing (Debian: openssh-server, openssh-client, util-linux)", program)
		}
	}
	if present := s.ids(t); len(present) > 0 {
		t.Skip("a fleet is up, and has the names of Phase 0")
	}
	// Within the repository, from which an update builds the server's program.
	dir := s.file("existing")
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	e := &existing{suite: s, box: sandbox{root: s.root, dir: dir}}
	t.Cleanup(func() { e.removeAll(t) })
	if err := s.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.startPhase0(t)
	hostKey := e.startSSH(t)
	e.configure(t, hostKey)
	before := e.phase0(t)
	untouched := func(when string) {
		t.Helper()
		for what, was := range before {
			if now := e.phase0(t)[what]; now != was {
				t.Errorf("%s, %s was changed", when, what) // how holds secrets
			}
		}
	}
	nothing := func(when string) {
		t.Helper()
		untouched(when)
		e.expectNothing(t, when)
	}

	e.succeeds(t, e.connected(t, "preview", "--policy-pack", s.pack()))
	nothing("after a preview")

	t.Run("host key", func(t *testing.T) {
		e.knowHost(t, newKey(t).PublicKey())
		e.fails(t, e.connected(t, "preview", "--policy-pack", s.pack()), "Host key verification failed")
		e.knowHost(t, parseKey(t, hostKey))
		e.set(t, "ssh.hostKey", publicText(newKey(t).PublicKey()))
		e.fails(t, e.command(t, s.upArgs()...), "the server shows the host key")
		e.fails(t, e.connected(t, s.upArgs()...), "alorig:ssh.hostKey")
		e.set(t, "ssh.hostKey", hostKey)
		nothing("after updates of a server with another host key")
	})

	t.Run("check", func(t *testing.T) {
		docker(t, "stop", "alorig_redis")
		docker(t, "rename", "alorig_postgres", "alorig_postgres_elsewhere")
		e.fails(t, e.connected(t, s.upArgs()...), "there is no container alorig_postgres on the server")
		e.fails(t, e.command(t, s.upArgs()...),
			"nothing was changed:",
			"- alorig_postgres: is missing; every app needs the shared services",
			"docs/runbook.md, What Phase 0 must provide",
			"- alorig_redis: does not run")
		docker(t, "rename", "alorig_postgres_elsewhere", "alorig_postgres")
		docker(t, "start", "alorig_redis")
		e.waitForStores(t)
		before = e.phase0(t) // Redis has started anew
		nothing("after an update that the check refused")
	})

	started := time.Now()
	e.succeeds(t, e.connected(t, s.upArgs()...))
	s.figures["up of psydge beside a running Phase 0, over SSH"] = time.Since(started)
	untouched("after the update")
	e.expectPsydge(t)
	for _, args := range [][]string{{"preview"}, {"preview", "--refresh"}} {
		e.succeeds(t, e.connected(t, append(args, "--expect-no-changes", "--policy-pack", s.pack(), "--diff")...))
	}
	untouched("after the next previews")
	t.Run("keys", e.rotateKeys)
	untouched("after other keys")

	e.succeeds(t, e.command(t, "state", "unprotect", "--all", "--yes"))
	e.succeeds(t, e.connected(t, "destroy", "--yes", "--skip-preview", "--suppress-progress"))
	untouched("after a destroy")
	e.expectGone(t)
}

// startPhase0 does by hand what docs/runbook.md asks of a server.
func (e *existing) startPhase0(t *testing.T) {
	t.Helper()
	label := labelByHand + "=" + existingStack
	docker(t, "network", "create", "--label", label, "--subnet", "172.30.0.0/24", "alorig_net")
	for _, service := range []string{"postgres", "redis", "caddy"} {
		docker(t, "volume", "create", "--label", label, volumeByHand(service))
	}
	run := func(service string, memory string, args ...string) {
		docker(t, append([]string{
			"run", "--detach", "--name", "alorig_" + service, "--network", "alorig_net", "--label", label,
			"--restart", "unless-stopped", "--memory", memory, "--memory-swap", memory,
		}, args...)...)
	}

	run("postgres", "2000m", "--shm-size", "250m", "--env-file", e.write(t, "postgres.env", "POSTGRES_PASSWORD="+e.own.Values["postgresPassword"]+"\n"),
		"--volume", volumeByHand("postgres")+":/var/lib/postgresql/data", "alorig-sandbox/postgres:1", "postgres", "-c", "max_connections=83")

	docker(t, "run", "--rm", "--network", "none", "--label", label, "--volume", volumeByHand("redis")+":/data",
		"--volume", e.write(t, "redis/redis.conf", "aclfile /data/users.acl\nappendonly yes\nmaxmemory 990mb\nmaxmemory-policy noeviction\n")+":/from/redis.conf:ro",
		"--volume", e.write(t, "redis/users.acl", fmt.Sprintf("user default on #%x ~* &* +@all\n", sha256.Sum256([]byte(e.own.Values["redisPassword"]))))+":/from/users.acl:ro",
		"alorig-sandbox/redis:1", "cp", "/from/redis.conf", "/from/users.acl", "/data")
	run("redis", "2200m", "--volume", volumeByHand("redis")+":/data", "alorig-sandbox/redis:1", "redis-server", "/data/redis.conf")

	main, err := caddysite.RenderMain(caddysite.MainOptions{TLS: caddysite.Internal})
	if err != nil {
		t.Fatal(err)
	}
	e.write(t, "caddy/Caddyfile", main)
	if err := os.Mkdir(e.sites(), 0o755); err != nil {
		t.Fatal(err)
	}
	run("caddy", "300m", "--env-file", e.write(t, "caddy.env", "CLOUDFLARE_API_TOKEN="+e.own.Values["cloudflareApiToken"]+"\n"),
		"--publish", "127.0.0.1:80:80", "--publish", "127.0.0.1:443:443",
		"--volume", filepath.Dir(e.sites())+":/etc/caddy:ro", "--volume", ledger.StaticDirectory+":"+ledger.StaticDirectory+":ro", "--volume", volumeByHand("caddy")+":/data",
		"alorig-sandbox/caddy:1")

	e.waitForStores(t)
	e.sql(t, "REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC")
}

func volumeByHand(service string) string { return "by_hand_" + service }

func (e *existing) sites() string { return filepath.Join(e.box.caddy(), "sites") }

// write puts a file into the directory of this part.
func (e *existing) write(t *testing.T, name, text string) string {
	t.Helper()
	path := e.box.file(name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// waitForStores waits until PostgreSQL and Redis answer.
func (e *existing) waitForStores(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{
		{"exec", "alorig_postgres", "pg_isready", "--host", "127.0.0.1"},
		{"exec", "alorig_redis", "redis-cli", "ping"}, // it answers, if only that it wants a password
	} {
		waitFor(t, args[1], func() error {
			_, err := tryDocker(args...)
			return err
		})
	}
}

func (e *existing) sql(t *testing.T, query string) string {
	t.Helper()
	return docker(t, "exec", "alorig_postgres", "psql", "--username", "postgres", "--no-align", "--tuples-only", "--command", query)
}

// phase0 is all that identifies what was there first, by what it is.
func (e *existing) phase0(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, name := range []string{"alorig_postgres", "alorig_redis", "alorig_caddy"} {
		found[name] = docker(t, "container", "inspect", "--format",
			"{{.Id}} {{.Created}} {{.State.StartedAt}} {{.RestartCount}} {{json .Config}} {{json .HostConfig}}", name)
	}
	found["alorig_net"] = docker(t, "network", "inspect", "--format", "{{.Id}} {{.Created}} {{json .IPAM}} {{json .Options}} {{json .Labels}}", "alorig_net")
	found["the volumes"] = docker(t, "volume", "ls", "--quiet")
	main, err := os.ReadFile(e.box.file("caddy/Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	found["the main Caddyfile"] = string(main)
	return found
}

const sshd = "/usr/sbin/sshd" // by its whole path, or it refuses to run

// startSSH runs an SSH server of the current user on loopback, with what the README asks
// for, and makes the client of this part know it. It returns the server's key.
func (e *existing) startSSH(t *testing.T) string {
	t.Helper()
	host, login := newKey(t), newKey(t)
	e.key = login.private
	e.write(t, "authorized_keys", publicText(login.PublicKey())+"\n")
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config := strings.Join([]string{
		"ListenAddress 127.0.0.1:" + sshPort,
		"HostKey " + e.write(t, "host_key", host.private),
		"PidFile none",
		"AuthorizedKeysFile " + e.box.file("authorized_keys"),
		"StrictModes no", // the directory belongs to a test
		"PermitRootLogin prohibit-password",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"UsePAM no",
		"Subsystem sftp internal-sftp", // as every distribution has it; the server's program travels by it
		"MaxSessions 50",
		"MaxStartups 50:30:100",
	}, "\n") + "\n"
	if engine := os.Getenv("DOCKER_HOST"); engine != "" { // the engine that this run tries
		config += "SetEnv DOCKER_HOST=" + engine + "\n"
	}
	var log bytes.Buffer
	server := exec.Command(sshd, "-D", "-e", "-f", e.write(t, "sshd_config", config))
	server.Stderr = &log
	server.SysProcAttr = withUs // or it would keep the port
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = server.Wait()
		if t.Failed() {
			t.Logf("sshd: %s", log.String())
		}
	})

	e.knowHost(t, host.PublicKey())
	e.write(t, "ssh_config", strings.Join([]string{
		"IdentityFile " + e.write(t, "login_key", login.private),
		"IdentitiesOnly yes",
		"UserKnownHostsFile " + e.box.file("known_hosts"),
		"GlobalKnownHostsFile none",
		"BatchMode yes",
	}, "\n")+"\n")
	// What an operator has in the home directory, of which OpenSSH asks the passwd database.
	client, err := exec.LookPath("ssh")
	if err != nil {
		t.Fatal(err)
	}
	wrapper := e.write(t, "bin/ssh", fmt.Sprintf("#!/bin/sh\nexec %s -F %s \"$@\"\n", client, e.box.file("ssh_config")))
	if err := os.Chmod(wrapper, 0o755); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "sshd", func() error { return e.ssh(t, "docker", "version").Run() })
	return publicText(host.PublicKey())
}

// ssh is an SSH client of the operator, on its way to the server.
func (e *existing) ssh(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(t.Context(), e.box.file("bin/ssh"), append([]string{"-p", sshPort, loginName(t) + "@127.0.0.1"}, args...)...)
}

func (e *existing) knowHost(t *testing.T, key ssh.PublicKey) {
	t.Helper()
	address := knownhosts.Normalize(net.JoinHostPort("127.0.0.1", sshPort))
	e.write(t, "known_hosts", knownhosts.Line([]string{address}, key)+"\n")
}

func loginName(t *testing.T) string {
	t.Helper()
	current, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return current.Username
}

// keyPair is an SSH key with its private half as text.
type keyPair struct {
	ssh.Signer
	private string
}

func newKey(t *testing.T) keyPair {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "alorig")
	if err != nil {
		t.Fatal(err)
	}
	return keyPair{signer, string(pem.EncodeToMemory(block))}
}

func publicText(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func parseKey(t *testing.T, text string) ssh.PublicKey {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// configure makes a stack as an operator does, from the settings of the sandbox.
func (e *existing) configure(t *testing.T, hostKey string) {
	t.Helper()
	if err := os.Mkdir(e.box.file("state"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := e.box.writeConfig(t.Context(), e.own); err != nil {
		t.Fatal(err)
	}
	if err := e.box.writeProject(t.Context()); err != nil {
		t.Fatal(err)
	}
	// alorig looks for the settings of a stack under its name.
	if err := os.Rename(e.box.file(configFile), e.configFile()); err != nil {
		t.Fatal(err)
	}
	e.succeeds(t, e.command(t, "stack", "init", existingStack))
	for key, value := range map[string]string{
		"platform": "existing", "engine": "ssh", "rollout": "psydge",
		"ssh.user": loginName(t), "ssh.port": sshPort, "ssh.hostKey": hostKey,
	} {
		e.set(t, key, value)
	}
	e.setSecret(t, "sshPrivateKey", e.key)
}

func (e *existing) setSecret(t *testing.T, key, value string) {
	t.Helper()
	set := e.command(t, "config", "set", "--secret", settings.Project+":"+key)
	set.Stdin = strings.NewReader(value)
	if said, err := set.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
}

func (e *existing) set(t *testing.T, key, value string) {
	t.Helper()
	e.succeeds(t, e.command(t, "config", "set", "--path", settings.Project+":"+key, value))
}

func (e *existing) configFile() string { return e.box.file("Pulumi." + existingStack + ".yaml") }

// command is a command line of the CLI for the stack of this part.
func (e *existing) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd, err := e.box.command(context.WithoutCancel(t.Context()), e.own, args...)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(cmd.Env, "PULUMI_STACK="+existingStack, "PULUMI_OPTION_CONFIG_FILE="+e.configFile(),
		"SSL_CERT_FILE="+e.file("authorities.pem"),
		"PATH="+e.box.file("bin")+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return cmd
}

// connected is a command line of the CLI with the way to PostgreSQL open, as the operator
// types it: `alorig connect -- pulumi …`.
func (e *existing) connected(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := e.command(t, args...)
	// The project of this part lies outside the repository, where alorig builds no CLI.
	link := e.box.file("bin/pulumi")
	if err := os.Symlink(cmd.Path, link); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	cmd.Path = filepath.Join(e.root, "bin", "alorig")
	cmd.Args = append([]string{cmd.Path, "connect", "--dir", e.box.dir, "--", link}, cmd.Args[1:]...)
	return cmd
}

func (e *existing) succeeds(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if said, err := e.run(t, cmd); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, said)
	}
}

func (e *existing) fails(t *testing.T, cmd *exec.Cmd, texts ...string) {
	t.Helper()
	said, err := e.run(t, cmd)
	if err == nil {
		t.Errorf("%s succeeds:\n%s", cmd, said)
	}
	for _, text := range texts {
		if !strings.Contains(said, text) {
			t.Errorf("want %q in what is said by %s, got:\n%s", text, cmd, said)
		}
	}
}

// run runs a command line as the suite does.
func (e *existing) run(t *testing.T, cmd *exec.Cmd) (string, error) {
	t.Helper()
	started := time.Now()
	text, err := cmd.CombinedOutput()
	said := string(text)
	if strings.Contains(said, strings.TrimSpace(e.key)) {
		t.Errorf("%s shows the private key", cmd)
	}
	e.mu.Lock()
	e.said.WriteString(said)
	e.mu.Unlock()
	t.Logf("%s: %s, %v", cmd, time.Since(started).Round(100*time.Millisecond), errorOrDone(err))
	return said, err
}

// expectNothing expects that no update has come to anything on the server or in a zone.
func (e *existing) expectNothing(t *testing.T, when string) {
	t.Helper()
	if names := docker(t, "ps", "--all", "--format", "{{.Names}}", "--filter", "label="+ledger.LabelStack); names != "" {
		t.Errorf("%s there are the containers %s", when, lines(names))
	}
	if found := e.sql(t, "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"); found != "" {
		t.Errorf("%s there are the databases %s", when, lines(found))
	}
	if found := e.sql(t, "SELECT rolname FROM pg_roles WHERE rolname NOT LIKE 'pg_%' AND rolname <> 'postgres'"); found != "" {
		t.Errorf("%s there are the roles %s", when, lines(found))
	}
	users := docker(t, "exec", "alorig_redis", "cat", "/data/users.acl")
	if strings.Contains(users, "psydge") {
		t.Errorf("%s Redis has a user for psydge", when)
	}
	e.expectNoRoute(t, when)
}

// expectNoRoute expects neither a site file nor a record.
func (e *existing) expectNoRoute(t *testing.T, when string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(e.sites(), ledger.SiteFile("psydge"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s psydge has a site file (%v)", when, err)
	}
	if records := e.records(t); len(records) > 0 {
		t.Errorf("%s there are the records %s", when, records)
	}
}

// records are the names of all records at the emulated API.
func (e *existing) records(t *testing.T) []string {
	t.Helper()
	api, err := cloudflaretest.New("", nil, e.file("records.json"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range api.Records() {
		names = append(names, r.Name)
	}
	return names
}

// expectPsydge expects psydge and nothing else, and that it works.
func (e *existing) expectPsydge(t *testing.T) {
	t.Helper()
	app, ok := ledger.Alorig().App("psydge")
	if !ok {
		t.Fatal("the ledger has no psydge")
	}
	var want, hosts []string
	for _, c := range app.Containers {
		want = append(want, ledger.ContainerName(app.Name, c.Role))
	}
	for _, h := range app.Hosts {
		hosts = append(hosts, h.Name)
	}
	var inState []string
	for _, r := range e.resources(t) {
		switch r.Type.String() {
		case declared.TypeContainer:
			inState = append(inState, fmt.Sprint(r.Outputs["name"]))
		case "docker:index/network:Network", "docker:index/volume:Volume":
			t.Errorf("the state holds %s", r.URN)
		}
	}
	running := lines(docker(t, "ps", "--all", "--format", "{{.Names}}", "--filter", "label="+ledger.LabelStack+"="+existingStack))
	records := e.records(t)
	for what, found := range map[string][]string{"the state's containers are": inState, "the stack's containers are": running} {
		if slices.Sort(found); !slices.Equal(found, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s %s, want %s", what, found, want)
		}
	}
	if slices.Sort(hosts); !slices.Equal(records, hosts) {
		t.Errorf("the records are %s, want %s", records, hosts)
	}
	for _, name := range want {
		if got := condition(t, name); got != "ready" {
			t.Errorf("%s is %s", name, got)
		}
	}

	client := browser(t)
	expectVersion(t, client, "https://api.psydge.com", "1")
	if status, body, _ := get(t, client, "https://psydge.com/"); status != http.StatusOK || !strings.Contains(body, "psydge web") {
		t.Errorf("the frontend answers %d %.200s", status, body)
	}
	expectDone(t, client, "https://api.psydge.com", postTask(t, client, "https://api.psydge.com", time.Second))
	openSocket(t, client).close(t)
}

// resources is what the state holds.
func (e *existing) resources(t *testing.T) []apitype.ResourceV3 {
	t.Helper()
	said, err := e.command(t, "stack", "export").Output()
	if err != nil {
		t.Fatal(err)
	}
	var exported apitype.UntypedDeployment
	var deployment apitype.DeploymentV3
	err = json.Unmarshal(said, &exported)
	if err == nil {
		err = json.Unmarshal(exported.Deployment, &deployment)
	}
	if err != nil {
		t.Fatal(err)
	}
	return deployment.Resources
}

// expectGone expects that a destroy has left nothing but data.
func (e *existing) expectGone(t *testing.T) {
	t.Helper()
	if names := docker(t, "ps", "--all", "--format", "{{.Names}}", "--filter", "label="+ledger.LabelStack); names != "" {
		t.Errorf("after a destroy there are the containers %s", lines(names))
	}
	e.expectNoRoute(t, "after a destroy")
	if found := e.sql(t, "SELECT datname FROM pg_database WHERE datname = 'psydge_db'"); found == "" {
		t.Error("the database of psydge is gone")
	}
	if r := e.resources(t); len(r) > 0 {
		t.Errorf("the state still holds %d resources", len(r))
	}
}

// removeAll leaves nothing of this part, however it ended.
func (e *existing) removeAll(t *testing.T) {
	t.Helper()
	removeByHand(t)
	// Records of an update that failed would be in the way of the fleet's own.
	if err := e.stopCloudflare(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(e.file("records.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// removeByHand takes down the server that this part has built.
func removeByHand(t *testing.T) {
	t.Helper()
	for _, label := range []string{ledger.LabelStack + "=" + existingStack, labelByHand + "=" + existingStack} {
		for _, list := range [][]string{
			{"container", "ls", "--all", "--quiet", "--filter", "label=" + label},
			{"network", "ls", "--quiet", "--filter", "label=" + label},
			{"volume", "ls", "--quiet", "--filter", "label=" + label},
		} {
			remove := []string{list[0], "rm"}
			if list[0] == "container" {
				remove = append(remove, "--force", "--volumes")
			}
			if found := lines(docker(t, list...)); len(found) > 0 {
				docker(t, append(remove, found...)...)
			}
		}
	}
}
