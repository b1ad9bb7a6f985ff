package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alorig/fleet/internal/access/accesstest"
)

// faraway is a server with PostgreSQL, which answers each line, and the project whose
// settings lead there.
type faraway struct {
	*accesstest.Server
	dir  string
	port int // of alorig:postgres
}

func newFaraway(t *testing.T) *faraway {
	t.Helper()
	f := &faraway{Server: accesstest.New(t)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.port = listener.Addr().(*net.TCPAddr).Port // free again in a moment
	_ = listener.Close()

	store, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	go func() {
		for {
			c, err := store.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if line, err := bufio.NewReader(c).ReadString('\n'); err == nil {
					fmt.Fprint(c, "PostgreSQL got ", line)
				}
			}()
		}
	}()
	f.Route("172.30.0.2:5432", store.Addr().String())
	f.runs("running")

	f.settings(t, f.HostKey.Public)
	f.cli(t, "cat "+filepath.Join(f.dir, "key"))
	if err := os.WriteFile(filepath.Join(f.dir, "key"), []byte(f.Login.Private), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *faraway) runs(status string) {
	f.SetContainers(accesstest.Container{Name: "alorig_postgres", Network: "alorig_net", Address: "172.30.0.2", Status: status})
}

// settings makes the project, with a server on this machine in place of the documentation
// values.
func (f *faraway) settings(t *testing.T, hostKey string) {
	t.Helper()
	f.dir = project(t, "  alorig:serverAddress: 203.0.113.10\n  alorig:ssh:\n    user: alorig\n    hostKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
		fmt.Sprintf("  alorig:serverAddress: 127.0.0.1\n  alorig:tls: internal\n  alorig:postgres:\n    port: %d\n  alorig:ssh:\n    user: alorig\n    port: %d\n    hostKey: %s\n", f.port, f.Port, hostKey))
}

// cli puts a Pulumi CLI on the PATH that gets a secret as the command line does.
func (f *faraway) cli(t *testing.T, secret string) {
	t.Helper()
	bin := t.TempDir()
	text := "#!/bin/sh\ncase \"$*\" in\n*version*) echo v3.259.0 ;;\n*'config get alorig:sshPrivateKey'*) " + secret + " ;;\n*) exit 1 ;;\nesac\n"
	if err := os.WriteFile(filepath.Join(bin, "pulumi"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func (f *faraway) connect(t *testing.T, command ...string) (code int, stdout, stderr string) {
	t.Helper()
	code, stdout, stderr = alorig(t, append([]string{"connect", "--stack", "prod", "--dir", f.dir, "--"}, command...)...)
	if strings.Contains(stdout+stderr, "PRIVATE KEY") {
		t.Errorf("shows the private key: %s%s", stdout, stderr)
	}
	return code, stdout, stderr
}

// ask is a command that asks PostgreSQL at the port of the settings.
func (f *faraway) ask() []string {
	return []string{"bash", "-c", `exec 3<>/dev/tcp/127.0.0.1/` + strconv.Itoa(f.port) + `; echo "$0" >&3; cat <&3`, "a question"}
}

func TestConnect(t *testing.T) {
	f := newFaraway(t)
	if code, stdout, stderr := f.connect(t, f.ask()...); code != exitClean || stdout != "PostgreSQL got a question\n" || stderr != "" {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(f.port)); err == nil {
		_ = c.Close()
		t.Error("the port is open after the command")
	}
	// The flags behind the command are the command's, with or without the dashes.
	if code, stdout, stderr := alorig(t, "connect", "--dir", f.dir, "sh", "-c", "echo $0 $1; echo said >&2; exit 7", "--yes", "--stack=x"); code != 7 || stdout != "--yes --stack=x\n" || stderr != "said\n" {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	// The way leads to the server of one stack, and the command is told which.
	t.Setenv(stackVariable, "staging")
	if _, stdout, stderr := f.connect(t, "sh", "-c", "echo $PULUMI_STACK"); stdout != "prod\n" {
		t.Errorf("the command works on the stack %s%s", stdout, stderr)
	}
	t.Setenv(stackOption, "staging") // which the CLI prefers
	if _, stdout, stderr := f.connect(t, "sh", "-c", "echo $PULUMI_STACK$"+stackOption); stdout != "prod\n" {
		t.Errorf("the command works on the stack %s%s", stdout, stderr)
	}
	if code, _, stderr := f.connect(t, "sh", "-c", "kill -9 $$"); code != 128+9 || stderr != "" {
		t.Errorf("killed: exit code %d: %s", code, stderr)
	}
}

func TestConnectPassesSignalsOn(t *testing.T) {
	f := newFaraway(t)
	started := filepath.Join(t.TempDir(), "started")
	go func() {
		for range 200 {
			if _, err := os.Stat(started); err == nil {
				_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	// The way is open until the command has ended.
	command := f.ask()
	command[2] = `trap '` + strings.ReplaceAll(command[2], `"$0"`, "late") + `; exit 5' TERM; touch ` + started + `; while :; do sleep 0.05; done`
	if code, stdout, stderr := f.connect(t, command...); code != 5 || stdout != "PostgreSQL got late\n" {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

// What is in the way is said, with an exit code of its own, and the command is not run.
func TestConnectFaults(t *testing.T) {
	never := []string{"sh", "-c", "echo ran"}
	for name, tt := range map[string]struct {
		prepare func(t *testing.T, f *faraway)
		command []string
		code    int
		want    string
	}{
		"no command":       {nil, nil, exitFault, "connect needs a command: alorig connect -- pulumi up"},
		"unknown command":  {nil, []string{"nope\x1b[2J"}, 127, `there is no command nope\x1b[2J: executable file not found in $PATH`},
		"another host key": {func(t *testing.T, f *faraway) { f.settings(t, accesstest.NewKey(t).Public) }, never, exitFault, "the server shows the host key SHA256:"},
		"refused": {func(t *testing.T, f *faraway) {
			f.cli(t, "cat "+filepath.Join(f.dir, "other"))
			if err := os.WriteFile(filepath.Join(f.dir, "other"), []byte(accesstest.NewKey(t).Private), 0o600); err != nil {
				t.Fatal(err)
			}
		}, never, exitFault, "add its public key to ~alorig/.ssh/authorized_keys"},
		"no passphrase":  {func(t *testing.T, f *faraway) { f.cli(t, "echo 'error: incorrect passphrase' >&2; exit 255") }, never, exitFault, "pulumi config get: error: incorrect passphrase"},
		"no PostgreSQL":  {func(_ *testing.T, f *faraway) { f.SetContainers() }, never, exitFault, "there is no container alorig_postgres on the server"},
		"it has stopped": {func(_ *testing.T, f *faraway) { f.runs("exited") }, never, exitFault, "start it on the server with `docker start alorig_postgres`"},
		"taken": {func(t *testing.T, f *faraway) {
			other, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(f.port))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = other.Close() })
		}, never, exitFault, "is taken on this machine"},
		"no docker": {func(_ *testing.T, f *faraway) { f.BreakDocker("permission denied\x1b[2J") }, never, exitFault, `permission denied\x1b[2J`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFaraway(t)
			if tt.prepare != nil {
				tt.prepare(t, f)
			}
			code, stdout, stderr := f.connect(t, tt.command...)
			if code != tt.code || stdout != "" || !strings.HasPrefix(stderr, "alorig: ") || !strings.Contains(stderr, tt.want) || strings.Contains(stderr, "\x1b") {
				t.Errorf("exit code %d: %s%s", code, stdout, stderr)
			}
		})
	}
}

// Where PostgreSQL is on this machine there is nothing to open.
func TestConnectWithoutAWay(t *testing.T) {
	w := newWreck(t)
	code, stdout, stderr := alorig(t, "connect", "--stack", "sandbox", "--dir", w.dir, "--", "sh", "-c", "echo ran; exit 3")
	if code != 3 || stdout != "ran\n" || stderr != "PostgreSQL is at 172.30.0.2:5432; the settings of sandbox need no way to it.\n" {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

// Whoever has asked for the end before the command begins does not mean the command.
func TestConnectInterruptedBeforeTheCommand(t *testing.T) {
	w := newWreck(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	code := run(ctx, []string{"connect", "--stack", "sandbox", "--dir", w.dir, "--", "sh", "-c", "echo ran"}, &stdout, &stderr)
	if code != exitFault || stdout.Len() > 0 || !strings.Contains(stderr.String(), "interrupted before sh was started") {
		t.Errorf("exit code %d: %s%s", code, stdout.String(), stderr.String())
	}
}

// A flag of the command is no flag of alorig.
func TestConnectIsNotAskedForJSON(t *testing.T) {
	for _, args := range [][]string{{"connect", "sh", "preview", "--json"}, {"connect", "--", "sh", "preview", "--json"}} {
		args = append([]string{args[0], "--stack", "staging", "--dir", "../.."}, args[1:]...)
		if code, stdout, stderr := alorig(t, args...); code != exitFault || stdout != "" || !strings.HasPrefix(stderr, "alorig: ") {
			t.Errorf("%v: exit code %d: %s%s", args, code, stdout, stderr)
		}
	}
}
