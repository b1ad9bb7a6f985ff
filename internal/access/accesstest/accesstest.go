// Package accesstest stands in for a server of the fleet: a real SSH server in this process,
// behind which a Docker API and containers are made up.
package accesstest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// Key is a key pair for SSH.
type Key struct {
	Private string // as OpenSSH writes it
	Public  string // "ssh-ed25519 AAAA…"
	Signer  ssh.Signer
}

// NewKey makes a key pair.
func NewKey(t testing.TB) Key {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return Key{
		Private: string(pem.EncodeToMemory(block)), Signer: signer,
		Public: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))),
	}
}

// Container is one that the made-up Docker API knows.
type Container struct {
	Name, Network, Address string
	Status                 string // "running", "exited", …
	Labels                 map[string]string
}

// Server is a server of the fleet. Its user is "alorig".
type Server struct {
	Port    int // of SSH, on 127.0.0.1
	HostKey Key
	Login   Key // opens the server

	listener net.Listener
	docker   *httptest.Server

	mu         sync.Mutex
	open       map[ssh.Conn]bool
	silent     bool
	containers []Container
	broken     string            // what `docker` says instead of working
	shell      bool              // other commands are run
	forwards   map[string]string // where addresses of containers really are
	logins     int
	sessions   int // that are open
}

// maxSessions is what sshd allows on one connection unless it is told otherwise.
const maxSessions = 10

// New starts a server, which ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{HostKey: NewKey(t), Login: NewKey(t), open: map[ssh.Conn]bool{}, forwards: map[string]string{}}
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.Port = s.listener.Addr().(*net.TCPAddr).Port
	s.docker = httptest.NewServer(http.HandlerFunc(s.api))
	go s.accept()
	t.Cleanup(func() {
		_ = s.listener.Close()
		s.Disconnect()
		s.docker.Close()
	})
	return s
}

// SetContainers sets what runs on the server.
func (s *Server) SetContainers(containers ...Container) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.containers = containers
}

// Containers are those that are left on the server.
func (s *Server) Containers() []Container {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.containers)
}

// Route says where an address of a container really is.
func (s *Server) Route(address, really string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forwards[address] = really
}

// BreakDocker makes the docker command fail with these words.
func (s *Server) BreakDocker(words string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = words
}

// AllowCommands makes the server run every command, in a shell of this machine.
func (s *Server) AllowCommands() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shell = true
}

// Silence makes the server answer nothing on the connections that are open.
func (s *Server) Silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = true
}

// Disconnect breaks every connection.
func (s *Server) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.Close()
	}
	s.silent = false
}

// Logins is how many connections have logged in.
func (s *Server) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

// api lists, inspects, stops and removes containers. A container's ID is its name.
func (s *Server) api(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.41")
	w.Header().Set("Content-Type", "application/json")
	_, path, _ := strings.Cut(r.URL.Path, "/containers/")
	name, asked, _ := strings.Cut(path, "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.containers, func(c Container) bool { return c.Name == name })
	switch {
	case name == "json":
		list := []any{}
		for _, c := range s.containers {
			list = append(list, map[string]any{"Id": c.Name, "Names": []string{"/" + c.Name}, "Labels": c.Labels})
		}
		_ = json.NewEncoder(w).Encode(list)
	case name == "":
		_, _ = io.WriteString(w, "[]")
	case at < 0:
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": "No such container: " + name})
	case asked == "json":
		c := s.containers[at]
		_ = json.NewEncoder(w).Encode(map[string]any{
			"Id": name, "Name": "/" + name, "State": map[string]any{"Status": c.Status, "Running": c.Status == "running"}, "Config": map[string]any{"Labels": c.Labels},
			"NetworkSettings": map[string]any{"Networks": map[string]any{c.Network: map[string]any{"IPAddress": c.Address}}},
		})
	case asked == "stop":
		s.containers[at].Status = "exited"
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete:
		s.containers = slices.Delete(s.containers, at, at+1)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusNotImplemented)
	}
}

func (s *Server) accept() {
	config := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if c.User() != "alorig" || string(key.Marshal()) != string(s.Login.Signer.PublicKey().Marshal()) {
			return nil, fmt.Errorf("not authorized")
		}
		return nil, nil //nolint:nilnil // no permissions to note
	}}
	config.AddHostKey(s.HostKey.Signer)
	for {
		raw, err := s.listener.Accept()
		if err != nil {
			return
		}
		go s.serve(raw, config)
	}
}

func (s *Server) serve(raw net.Conn, config *ssh.ServerConfig) {
	connection, channels, requests, err := ssh.NewServerConn(raw, config)
	if err != nil {
		_ = raw.Close()
		return
	}
	s.mu.Lock()
	s.open[connection] = true
	s.logins++
	s.mu.Unlock()
	go func() {
		for r := range requests {
			s.mu.Lock()
			silent := s.silent
			s.mu.Unlock()
			if !silent {
				_ = r.Reply(false, nil) // as sshd answers keepalives
			}
		}
	}()
	for c := range channels {
		switch c.ChannelType() {
		case "session":
			go s.session(c)
		case "direct-tcpip":
			go s.forward(c)
		default:
			_ = c.Reject(ssh.UnknownChannelType, "")
		}
	}
	s.mu.Lock()
	delete(s.open, connection)
	s.mu.Unlock()
}

// session runs the one command that is asked for.
func (s *Server) session(c ssh.NewChannel) {
	s.mu.Lock()
	s.sessions++
	tooMany := s.sessions > maxSessions
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sessions--
	}()
	if tooMany {
		_ = c.Reject(ssh.ConnectionFailed, "open failed")
		return
	}
	channel, requests, err := c.Accept()
	if err != nil {
		return
	}
	defer channel.Close() //nolint:errcheck // it is at its end
	for r := range requests {
		if r.Type != "exec" {
			_ = r.Reply(false, nil)
			continue
		}
		var command struct{ Line string }
		_ = ssh.Unmarshal(r.Payload, &command)
		_ = r.Reply(true, nil)
		s.mu.Lock()
		broken, shell := s.broken, s.shell
		s.mu.Unlock()
		other := command.Line != "docker system dial-stdio"
		if other {
			broken = "sh: " + command.Line + ": not found"
		}
		status := struct{ Status uint32 }{}
		if other && shell {
			status.Status = execute(channel, command.Line)
		} else if broken != "" {
			_, _ = fmt.Fprintln(channel.Stderr(), broken)
			status.Status = 1
		} else if engine, err := net.Dial("tcp", s.docker.Listener.Addr().String()); err == nil {
			splice(channel, engine)
		}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(status))
		return
	}
}

// execute runs a command and returns its exit code. Like sshd it does not wait for input that
// the command does not want.
func execute(channel ssh.Channel, line string) uint32 {
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 255
	}
	go func() {
		_, _ = io.Copy(stdin, channel)
		_ = stdin.Close()
	}()
	if err := cmd.Run(); err != nil {
		return uint32(max(cmd.ProcessState.ExitCode(), 1)) //nolint:gosec // an exit code is at most 255
	}
	return 0
}

func (s *Server) forward(c ssh.NewChannel) {
	var to struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	_ = ssh.Unmarshal(c.ExtraData(), &to)
	address := net.JoinHostPort(to.Host, fmt.Sprint(to.Port))
	s.mu.Lock()
	really := s.forwards[address]
	s.mu.Unlock()
	switch really {
	case "":
		_ = c.Reject(ssh.ConnectionFailed, "no route to "+address)
		return
	case "prohibited":
		_ = c.Reject(ssh.Prohibited, "open failed")
		return
	}
	target, err := net.Dial("tcp", really)
	if err != nil {
		_ = c.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	channel, requests, err := c.Accept()
	if err != nil {
		_ = target.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	splice(channel, target)
	_ = channel.Close()
}

// splice copies both directions until both have ended.
func splice(channel ssh.Channel, c net.Conn) {
	defer c.Close() //nolint:errcheck // it is at its end
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(c, channel)
		_ = c.(*net.TCPConn).CloseWrite()
	})
	both.Go(func() {
		_, _ = io.Copy(channel, c)
		_ = channel.CloseWrite()
	})
	both.Wait()
}
