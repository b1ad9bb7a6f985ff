package access

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/crypto/ssh"

	"github.com/alorig/fleet/internal/access/accesstest"
)

var postgres = Endpoint{Container: "alorig_postgres", Network: "alorig_net", Port: 5432}

func running(address string) accesstest.Container {
	return accesstest.Container{Name: "alorig_postgres", Network: "alorig_net", Address: address, Status: "running"}
}

func target(s *accesstest.Server) SSH {
	return SSH{User: "alorig", Address: "127.0.0.1", Port: s.Port, HostKey: s.HostKey.Public, PrivateKey: s.Login.Private}
}

func open(t *testing.T, to SSH) *Server {
	t.Helper()
	s, err := Open(t.Context(), Target{SSH: &to})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// echo is a store that answers each line with its own name.
func echo(t *testing.T, name string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				lines := bufio.NewScanner(c)
				for lines.Scan() {
					fmt.Fprintln(c, name, lines.Text())
				}
				fmt.Fprintln(c, "end") // after the other side has said all it had to say
			}()
		}
	}()
	return listener.Addr().String()
}

// ask sends a line, ends its own side, and returns all that is answered.
func ask(t *testing.T, address string) (string, error) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintln(c, "hello")
	_ = c.(*net.TCPConn).CloseWrite()
	said, err := io.ReadAll(c)
	return string(said), err
}

func TestTheWayOverSSH(t *testing.T) {
	t.Parallel()
	behind := accesstest.New(t)
	behind.SetContainers(running("172.30.0.2"))
	behind.Route("172.30.0.2:5432", echo(t, "first"))
	behind.Route("172.30.0.3:5432", echo(t, "second"))
	s := open(t, target(behind))
	if _, err := s.Docker().ContainerList(t.Context(), container.ListOptions{}); err != nil {
		t.Error(err)
	}
	var broken atomic.Bool // then a connection may meet the break; a later one is made anew
	f, err := s.Forward(t.Context(), "127.0.0.1:0", postgres, func(err error) {
		if !broken.Load() {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if said, err := ask(t, f.Address()); said != "first hello\nend\n" || err != nil {
		t.Errorf("%q, %v", said, err)
	}
	behind.SetContainers(running("172.30.0.3")) // replaced meanwhile
	if said, err := ask(t, f.Address()); said != "second hello\nend\n" || err != nil {
		t.Errorf("after the container was replaced: %q, %v", said, err)
	}
	if behind.Logins() != 1 {
		t.Errorf("%d logins", behind.Logins())
	}
	broken.Store(true)
	behind.Disconnect()
	waitFor(t, "a new connection", func() bool {
		said, err := ask(t, f.Address())
		return said == "second hello\nend\n" && err == nil
	})
	if behind.Logins() != 2 {
		t.Errorf("%d logins", behind.Logins())
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := ask(t, f.Address()); err == nil {
		t.Error("the port is still open")
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// An update opens dozens of connections at once, and sshd allows ten sessions.
func TestManyConnectionsAtOnce(t *testing.T) {
	far := accesstest.New(t)
	far.SetContainers(running("172.30.0.2"))
	far.Route("172.30.0.2:5432", echo(t, "PostgreSQL"))
	s := open(t, target(far))
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			c, err := s.Dial(t.Context(), postgres)
			if err != nil {
				t.Error(err)
				return
			}
			_ = c.Close()
		})
	}
	all.Wait()
}

// A connection that says nothing any more is given up, and made anew when it is needed.
func TestASilentServer(t *testing.T) {
	t.Parallel()
	behind := accesstest.New(t)
	tunnel, err := newTunnel(target(behind))
	if err != nil {
		t.Fatal(err)
	}
	tunnel.aliveInterval = 50 * time.Millisecond
	first, err := tunnel.living(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(4 * tunnel.aliveInterval) // answered, it stays
	if again, err := tunnel.living(t.Context()); again != first || err != nil {
		t.Errorf("a living connection is made anew: %v", err)
	}
	behind.Silence()
	waitFor(t, "the end of the silent connection", func() bool {
		tunnel.mu.Lock()
		defer tunnel.mu.Unlock()
		return tunnel.client == nil
	})
	if err := tunnel.close(); err != nil {
		t.Error(err)
	}
	if _, err := tunnel.living(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("after its end: %v", err)
	}
}

func TestWhatIsWrongWithTheWay(t *testing.T) {
	t.Parallel()
	other := accesstest.NewKey(t)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecdsaKey, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	for name, tt := range map[string]struct {
		change func(*SSH, *accesstest.Server)
		want   []string
	}{
		"another server": {
			func(to *SSH, _ *accesstest.Server) { to.HostKey = other.Public },
			[]string{"the server shows the host key SHA256:", "alorig:ssh.hostKey is SHA256:", "before you set alorig:ssh.hostKey"},
		},
		"another kind of key": {
			func(to *SSH, _ *accesstest.Server) {
				to.HostKey = string(ssh.MarshalAuthorizedKey(ecdsaKey))
			},
			[]string{"the server has no host key of the kind of alorig:ssh.hostKey (ecdsa-sha2-nistp256)"},
		},
		"no key": {
			func(to *SSH, _ *accesstest.Server) { to.HostKey = "canary" },
			[]string{"alorig:ssh.hostKey is no public key; accepted: "},
		},
		"no private key": {
			func(to *SSH, _ *accesstest.Server) { to.PrivateKey = "canary" },
			[]string{"alorig:sshPrivateKey cannot be read", "accepted: a private key without a passphrase"},
		},
		"a key that is not let in": {
			func(to *SSH, _ *accesstest.Server) { to.PrivateKey = other.Private },
			[]string{"refuses the key SHA256:", "of alorig:sshPrivateKey; add its public key to ~alorig/.ssh/authorized_keys"},
		},
		"no server": {
			func(to *SSH, _ *accesstest.Server) { to.Port = closed.Addr().(*net.TCPAddr).Port },
			[]string{"connection refused", "is alorig:serverAddress right"},
		},
		"no docker": {
			func(_ *SSH, s *accesstest.Server) { s.BreakDocker("sh: docker: not found") },
			[]string{"reaching Docker on 127.0.0.1 (does `docker version` work there for the user alorig?)", "sh: docker: not found"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			behind := accesstest.New(t)
			to := target(behind)
			tt.change(&to, behind)
			s, err := Open(t.Context(), Target{SSH: &to})
			if err == nil {
				_ = s.Close()
				t.Fatal("there is a way")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("does not say %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "PRIVATE KEY") {
				t.Errorf("shows what it was given: %v", err)
			}
		})
	}
}

// mute is a server that takes the connection and says nothing.
func mute(t *testing.T) (SSH, net.Listener) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	to := target(accesstest.New(t))
	to.Port = l.Addr().(*net.TCPAddr).Port
	return to, l
}

// A server that takes the connection and says nothing does not hold anybody up.
func TestAnInterruptedLogin(t *testing.T) {
	t.Parallel()
	to, _ := mute(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, Target{SSH: &to}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ends with %v", err)
	}
}

// Nor does it hold up the end of a way that is just being made anew.
func TestTheEndWhileConnecting(t *testing.T) {
	t.Parallel()
	to, server := mute(t)
	tunnel, err := newTunnel(to)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := tunnel.living(t.Context())
		ended <- err
	}()
	c, err := server.Accept() // it is connecting
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	if err := tunnel.close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ends with %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestAContainerThatIsNotThere(t *testing.T) {
	t.Parallel()
	behind := accesstest.New(t)
	s := open(t, target(behind))
	for name, tt := range map[string]struct {
		containers []accesstest.Container
		want       string
		absent     bool
	}{
		"missing":     {nil, "there is no container alorig_postgres on the server", true},
		"stopped":     {[]accesstest.Container{{Name: "alorig_postgres", Status: "exited"}}, "the container alorig_postgres is exited: not running; start it on the server with `docker start alorig_postgres`", true},
		"elsewhere":   {[]accesstest.Container{{Name: "alorig_postgres", Network: "bridge", Address: "172.17.0.2", Status: "running"}}, "has no address on the network alorig_net; connect it on the server with `docker network connect alorig_net alorig_postgres`", false},
		"unreachable": {[]accesstest.Container{running("172.30.0.9")}, "connecting from the server to alorig_postgres (172.30.0.9:5432)", false},
		"prohibited":  {[]accesstest.Container{running("172.30.0.8")}, "allow it with AllowTcpForwarding in its sshd_config", false},
	} {
		behind.Route("172.30.0.8:5432", "prohibited")
		behind.SetContainers(tt.containers...)
		_, err := s.Dial(t.Context(), postgres)
		if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, ErrNoContainer) != tt.absent {
			t.Errorf("%s: %v", name, err)
		}
	}
	var mu sync.Mutex
	var failures []error
	f, err := s.Forward(t.Context(), "127.0.0.1:0", postgres, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		failures = append(failures, err)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	behind.SetContainers()
	_, _ = ask(t, f.Address())
	waitFor(t, "the failure", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(failures) == 1 && errors.Is(failures[0], ErrNoContainer)
	})
	behind.SetContainers(running("172.30.0.2"))
	behind.Route("172.30.0.2:5432", echo(t, "back"))
	if said, err := ask(t, f.Address()); said != "back hello\nend\n" || err != nil {
		t.Errorf("the port has not stayed open: %q, %v", said, err)
	}
}

func TestAPortThatIsTaken(t *testing.T) {
	t.Parallel()
	s := open(t, target(accesstest.New(t)))
	taken := echo(t, "somebody else")
	_, err := s.Forward(t.Context(), taken, postgres, func(err error) { t.Error(err) })
	if err == nil || !strings.Contains(err.Error(), taken+" is taken on this machine") || !strings.Contains(err.Error(), "alorig:postgres.port") {
		t.Errorf("%v", err)
	}
	if said, err := ask(t, taken); said != "somebody else hello\nend\n" || err != nil {
		t.Errorf("%q, %v", said, err)
	}
}

// A forward that is closed ends the connections through it.
func TestTheEndOfAForward(t *testing.T) {
	t.Parallel()
	behind := accesstest.New(t)
	behind.SetContainers(running("172.30.0.2"))
	behind.Route("172.30.0.2:5432", echo(t, "store"))
	s := open(t, target(behind))
	f, err := s.Forward(t.Context(), "127.0.0.1:0", postgres, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", f.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintln(c, "hello")
	if line, err := bufio.NewReader(c).ReadString('\n'); line != "store hello\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}

// The same over OpenSSH's own server, to the Docker engine of this machine.
func TestOpenSSH(t *testing.T) {
	t.Parallel()
	const sshd = "/usr/sbin/sshd"
	if _, err := os.Stat(sshd); err != nil {
		t.Skipf("there is no %s (Debian: openssh-server)", sshd)
	}
	if said, err := exec.Command("docker", "version").CombinedOutput(); err != nil {
		t.Skipf("no Docker engine answers here: %v: %s", err, said)
	}
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	host, login, dir := accesstest.NewKey(t), accesstest.NewKey(t), t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	_ = free.Close()
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lines := []string{
		fmt.Sprintf("ListenAddress 127.0.0.1:%d", port), "HostKey " + write("host_key", host.Private), "PidFile none",
		"AuthorizedKeysFile " + write("authorized_keys", login.Public+"\n"), "StrictModes no", "UsePAM no", "PasswordAuthentication no",
		"PermitRootLogin prohibit-password",
	}
	if engine := os.Getenv("DOCKER_HOST"); engine != "" {
		lines = append(lines, "SetEnv DOCKER_HOST="+engine)
	}
	var log bytes.Buffer
	server := exec.Command(sshd, "-D", "-e", "-f", write("sshd_config", strings.Join(lines, "\n")+"\n"))
	server.Stderr = &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	to := SSH{User: self.Username, Address: "127.0.0.1", Port: port, HostKey: host.Public, PrivateKey: login.Private}
	waitFor(t, "sshd", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	s := open(t, to)
	if info, err := s.Docker().Info(t.Context()); err != nil || info.ID == "" {
		t.Errorf("%+v, %v", info.ID, err)
	}
	c, err := s.tunnel.dial(t.Context(), "a store", echo(t, "store"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(c, "hello")
	_ = c.(interface{ CloseWrite() error }).CloseWrite()
	if said, err := io.ReadAll(c); string(said) != "store hello\nend\n" || err != nil {
		t.Errorf("%q, %v", said, err)
	}
	to.PrivateKey = accesstest.NewKey(t).Private
	if _, err := Open(t.Context(), Target{SSH: &to}); err == nil || !strings.Contains(err.Error(), "refuses the key") {
		t.Errorf("another key: %v", err)
	}
	to.HostKey = accesstest.NewKey(t).Public
	if _, err := Open(t.Context(), Target{SSH: &to}); err == nil || !strings.Contains(err.Error(), "shows the host key") {
		t.Errorf("another server: %v", err)
	}
}
