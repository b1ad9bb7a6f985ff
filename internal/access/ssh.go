package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// SSH says how a server is reached over SSH. The settings of the same names are in
// Pulumi.yaml.
type SSH struct {
	User       string // alorig:ssh.user
	Address    string // alorig:serverAddress
	Port       int    // alorig:ssh.port
	HostKey    string // alorig:ssh.hostKey, "ssh-ed25519 AAAA…": the only key that is accepted
	PrivateKey string // alorig:sshPrivateKey, without a passphrase
}

func (s SSH) String() string {
	return fmt.Sprintf("%s@%s", s.User, net.JoinHostPort(s.Address, strconv.Itoa(s.Port)))
}

const (
	// aliveInterval is how often the server is asked whether it is still there, and how long
	// it may take to answer. Firewalls forget connections that are silent for minutes.
	aliveInterval = 15 * time.Second
	// handshakeWait is how long connecting and logging in may take.
	handshakeWait = 30 * time.Second
)

// errClosed ends whatever still uses a tunnel that has been closed.
var errClosed = errors.New("the way to the server has been closed")

// tunnel is an SSH connection that is made anew when it has broken.
type tunnel struct {
	to            SSH
	signer        ssh.Signer
	hostKey       ssh.PublicKey
	aliveInterval time.Duration

	ctx  context.Context // ends with the tunnel
	stop context.CancelFunc

	mu     sync.Mutex
	client *ssh.Client // nil when there is none that lives
}

func newTunnel(to SSH) (*tunnel, error) {
	t := &tunnel{to: to, aliveInterval: aliveInterval}
	var err error
	if t.hostKey, _, _, _, err = ssh.ParseAuthorizedKey([]byte(to.HostKey)); err != nil {
		return nil, errors.New("alorig:ssh.hostKey is no public key; accepted: what `ssh-keyscan -t ed25519 SERVER` prints, without the host name")
	}
	if t.signer, err = ssh.ParsePrivateKey([]byte(to.PrivateKey)); err != nil { // the error quotes nothing
		return nil, fmt.Errorf("alorig:sshPrivateKey cannot be read: %w; accepted: a private key without a passphrase", err)
	}
	t.ctx, t.stop = context.WithCancel(context.Background())
	return t, nil
}

// session opens a session, in which one command can run.
func (t *tunnel) session(ctx context.Context) (*ssh.Session, error) {
	c, err := t.living(ctx)
	if err != nil {
		return nil, err
	}
	session, err := c.NewSession()
	if err != nil {
		return nil, fmt.Errorf("opening a session on %s: %w; MaxSessions in its sshd_config may be too low", t.to, err)
	}
	return session, nil
}

// living returns the connection, made anew when it has broken.
func (t *tunnel) living(ctx context.Context) (*ssh.Client, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		return nil, errClosed
	}
	if t.client != nil {
		return t.client, nil
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(t.ctx, stop)()
	made, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	t.client = made
	ended := make(chan struct{})
	go func() {
		_ = made.Wait() // it says only that it has ended
		close(ended)
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.client == made {
			t.client = nil
		}
	}()
	go t.keepAlive(made, ended)
	return made, nil
}

// keepAlive closes a connection over which no answer comes any more.
func (t *tunnel) keepAlive(c *ssh.Client, ended <-chan struct{}) {
	tick := time.NewTicker(t.aliveInterval)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		silent := time.AfterFunc(t.aliveInterval, func() { _ = c.Close() })
		_, _, err := c.SendRequest("keepalive@openssh.com", true, nil)
		silent.Stop()
		if err != nil {
			_ = c.Close()
			return
		}
	}
}

func (t *tunnel) close() error {
	t.stop() // first: whoever connects at this moment holds the lock
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.client == nil {
		return nil
	}
	err := t.client.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// connect connects and logs in.
func (t *tunnel) connect(ctx context.Context) (*ssh.Client, error) {
	ctx, stop := context.WithTimeout(ctx, handshakeWait)
	defer stop()
	address := net.JoinHostPort(t.to.Address, strconv.Itoa(t.to.Port))
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("SSH to %s: %w; is alorig:serverAddress right, and does sshd run there?", t.to, err)
	}
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	var shown ssh.PublicKey // another key than the pinned one
	connection, channels, requests, err := ssh.NewClientConn(raw, address, &ssh.ClientConfig{
		User: t.to.User,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(t.signer)},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if bytes.Equal(key.Marshal(), t.hostKey.Marshal()) {
				return nil
			}
			shown = key
			return errors.New("host key mismatch")
		},
		HostKeyAlgorithms: hostKeyAlgorithms(t.hostKey.Type()),
	})
	if err == nil {
		return ssh.NewClient(connection, channels, requests), nil
	}
	_ = raw.Close()
	var negotiation *ssh.AlgorithmNegotiationError
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("SSH to %s: %w", t.to, ctx.Err())
	case shown != nil:
		return nil, fmt.Errorf("SSH to %s: the server shows the host key %s, and alorig:ssh.hostKey is %s. This is another machine, or its key has changed: compare with what its provider's console shows before you set alorig:ssh.hostKey",
			t.to, fingerprint(shown), fingerprint(t.hostKey))
	case errors.As(err, &negotiation):
		return nil, fmt.Errorf("SSH to %s: the server has no host key of the kind of alorig:ssh.hostKey (%s), or no method that is safe: %w", t.to, t.hostKey.Type(), err)
	case strings.Contains(err.Error(), "unable to authenticate"):
		return nil, fmt.Errorf("SSH to %s: the server refuses the key %s of alorig:sshPrivateKey; add its public key to ~%s/.ssh/authorized_keys there", t.to, fingerprint(t.signer.PublicKey()), t.to.User)
	default:
		return nil, fmt.Errorf("SSH to %s: %w", t.to, err)
	}
}

func fingerprint(key ssh.PublicKey) string {
	return ssh.FingerprintSHA256(key) + " (" + key.Type() + ")"
}

// hostKeyAlgorithms are the signatures that a key of the type makes. Without the list a
// server with several keys would show another one than the pinned.
func hostKeyAlgorithms(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// dial connects from the server to an address that it can reach.
func (t *tunnel) dial(ctx context.Context, name, address string) (net.Conn, error) {
	c, err := t.living(ctx)
	if err != nil {
		return nil, err
	}
	connection, err := c.DialContext(ctx, "tcp", address)
	if err == nil {
		return connection, nil
	}
	var refused *ssh.OpenChannelError
	if errors.As(err, &refused) && refused.Reason == ssh.Prohibited {
		return nil, fmt.Errorf("the SSH server %s does not forward to %s (%s): %s; allow it with AllowTcpForwarding in its sshd_config", t.to.Address, name, address, refused.Message)
	}
	return nil, fmt.Errorf("connecting from the server to %s (%s): %w", name, address, err)
}
