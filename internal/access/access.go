// Package access is the one door to a server of the fleet from outside. It reaches the
// Docker engine and the containers of a server: over SSH, with the pinned key of the server
// and the private key of the settings, or on this machine.
//
// Nothing of the operator's own SSH configuration is read: which server is reached, and who
// it must be, stands in the settings alone (docs/adr/0021-one-door.md).
package access

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/client"
)

// Target says which server is reached, and how.
type Target struct {
	SSH    *SSH   // nil reaches the Docker engine of this machine
	Socket string // of that engine: unix:///var/run/docker.sock
}

// Server is a way to a server. It stays open until Close; a connection that has broken is
// made anew when it is needed.
type Server struct {
	tunnel *tunnel // nil on this machine
	docker *client.Client
}

// answerWait is how long a server may take for one answer.
const answerWait = 15 * time.Second

// Open reaches the server and its Docker engine, so that what is wrong is said at once.
func Open(ctx context.Context, to Target) (*Server, error) {
	s := &Server{}
	options := []client.Opt{client.WithAPIVersionNegotiation()}
	// Over SSH each connection to Docker is a session, of which sshd allows ten.
	transport := &http.Transport{MaxConnsPerHost: 2}
	engine := "the Docker engine at " + to.Socket
	if to.SSH == nil {
		options = append(options, client.WithHost(to.Socket))
	} else {
		var err error
		if s.tunnel, err = newTunnel(*to.SSH); err != nil {
			return nil, err
		}
		if _, err := s.tunnel.living(ctx); err != nil {
			return nil, err
		}
		engine = fmt.Sprintf("Docker on %s (does `docker version` work there for the user %s?)", to.SSH.Address, to.SSH.User)
		options = append(options, client.WithHTTPClient(&http.Client{Transport: transport}),
			client.WithHost("http://docker"), client.WithDialContext(s.tunnel.dialDocker))
	}
	var err error
	if s.docker, err = client.NewClientWithOpts(options...); err != nil {
		return nil, errors.Join(fmt.Errorf("reaching %s: %w", engine, err), s.Close())
	}
	transport.Proxy = nil // WithHost takes one from the environment; the way is SSH
	waited, stop := context.WithTimeout(ctx, answerWait)
	defer stop()
	if _, err := s.docker.Ping(waited); err != nil {
		return nil, errors.Join(fmt.Errorf("reaching %s: %w", engine, err), s.Close())
	}
	return s, nil
}

// Docker is the API of the server's Docker engine.
func (s *Server) Docker() *client.Client { return s.docker }

// Close closes every connection to the server.
func (s *Server) Close() error {
	var err error
	if s.docker != nil {
		err = s.docker.Close()
	}
	if s.tunnel != nil {
		err = errors.Join(err, s.tunnel.close())
	}
	return err
}

// Endpoint is a port of a container on a Docker network.
type Endpoint struct {
	Container, Network string
	Port               int
}

// ErrNoContainer says that the server has no container of the name, or that it does not run.
var ErrNoContainer = errors.New("not running")

// Dial connects to a port of a container. Its address is looked up each time: a container
// that is replaced gets another one.
func (s *Server) Dial(ctx context.Context, to Endpoint) (net.Conn, error) {
	ctx, stop := context.WithTimeout(ctx, answerWait)
	defer stop()
	found, err := s.docker.ContainerInspect(ctx, to.Container)
	switch {
	case cerrdefs.IsNotFound(err):
		return nil, fmt.Errorf("there is no container %s on the server: %w", to.Container, ErrNoContainer)
	case err != nil:
		return nil, fmt.Errorf("looking for the container %s: %w", to.Container, err)
	case !found.State.Running:
		return nil, fmt.Errorf("the container %s is %s: %w; start it on the server with `docker start %[1]s`", to.Container, found.State.Status, ErrNoContainer)
	}
	endpoint := found.NetworkSettings.Networks[to.Network]
	if endpoint == nil || endpoint.IPAddress == "" {
		return nil, fmt.Errorf("the container %s has no address on the network %s; connect it on the server with `docker network connect %[2]s %[1]s`", to.Container, to.Network)
	}
	address := net.JoinHostPort(endpoint.IPAddress, strconv.Itoa(to.Port))
	if s.tunnel != nil {
		return s.tunnel.dial(ctx, to.Container, address)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", to.Container, err)
	}
	return c, nil
}
