package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// dialCommand connects its own standard input and output to the Docker engine. It is what
// Docker's provider runs too, so that both reach the same engine, and needs no more than the
// right to use docker.
const dialCommand = "docker system dial-stdio"

// dialDocker connects to the server's Docker engine.
func (t *tunnel) dialDocker(ctx context.Context, _, _ string) (net.Conn, error) {
	session, err := t.session(ctx)
	if err != nil {
		return nil, err
	}
	d := &dialed{session: session, to: t.to}
	session.Stderr = &d.stderr
	if d.stdin, err = session.StdinPipe(); err == nil {
		d.stdout, err = session.StdoutPipe()
	}
	if err == nil {
		err = session.Start(dialCommand)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("running `%s` on %s: %w", dialCommand, t.to, err), session.Close())
	}
	return d, nil
}

// dialed is a connection to the Docker engine through a command on the server. It has no
// deadlines: requests to Docker have contexts.
type dialed struct {
	to      SSH
	session *ssh.Session
	stdin   io.WriteCloser
	stdout  io.Reader
	stderr  bytes.Buffer // complete when the session has ended
	ended   sync.Once
	failure error // why the command has ended
}

func (d *dialed) Read(p []byte) (int, error) {
	n, err := d.stdout.Read(p)
	return n, d.explain(err)
}

func (d *dialed) Write(p []byte) (int, error) {
	n, err := d.stdin.Write(p)
	return n, d.explain(err)
}

// explain says at the end why the command has failed, if it has.
func (d *dialed) explain(err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	d.ended.Do(func() {
		d.failure = io.EOF
		if err := d.session.Wait(); err != nil {
			if said := strings.TrimSpace(d.stderr.String()); said != "" {
				d.failure = fmt.Errorf("`%s` on %s: %s", dialCommand, d.to, said)
			}
		}
	})
	return d.failure
}

// CloseWrite tells the engine that nothing more is written.
func (d *dialed) CloseWrite() error { return d.stdin.Close() }

func (d *dialed) Close() error {
	err := d.session.Close()
	if errors.Is(err, io.EOF) { // it has ended by itself
		return nil
	}
	return err
}

func (d *dialed) LocalAddr() net.Addr              { return sshAddress(d.to.String()) }
func (d *dialed) RemoteAddr() net.Addr             { return sshAddress(d.to.String()) }
func (d *dialed) SetDeadline(time.Time) error      { return nil }
func (d *dialed) SetReadDeadline(time.Time) error  { return nil }
func (d *dialed) SetWriteDeadline(time.Time) error { return nil }

type sshAddress string

func (sshAddress) Network() string  { return "ssh" }
func (a sshAddress) String() string { return string(a) }
