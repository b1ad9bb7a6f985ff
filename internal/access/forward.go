package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// Forward is an open port of this machine that leads to a container of the server.
type Forward struct {
	server   *Server
	to       Endpoint
	listener net.Listener
	failed   func(error)
	ctx      context.Context
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// Forward opens a port of this machine, given as host:port. Each connection to it looks up
// the container's address anew. One that fails is told to failed and closed; the port stays
// open. Close ends it.
func (s *Server) Forward(ctx context.Context, address string, to Endpoint, failed func(error)) (*Forward, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is taken on this machine, perhaps by another `alorig connect` or `ssh -L` that is still open (`ss -ltnp` shows it); end that, or choose another port in alorig:postgres.port", address)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s on this machine: %w; alorig:postgres.host and alorig:postgres.port name it", address, err)
	}
	f := &Forward{server: s, to: to, listener: listener, failed: failed}
	f.ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	f.running.Go(f.accept)
	return f, nil
}

// Address is where the forward listens.
func (f *Forward) Address() string { return f.listener.Addr().String() }

// Close closes the port and the connections through it.
func (f *Forward) Close() error {
	f.stop()
	err := f.listener.Close()
	f.running.Wait()
	return err
}

// acceptPause is how long accepting rests after a failure, such as too many open files.
const acceptPause = time.Second

func (f *Forward) accept() {
	for {
		near, err := f.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			f.failed(fmt.Errorf("taking a connection on %s: %w", f.Address(), err))
			select {
			case <-f.ctx.Done():
				return
			case <-time.After(acceptPause):
				continue
			}
		}
		f.running.Go(func() { f.connect(near) })
	}
}

func (f *Forward) connect(near net.Conn) {
	defer near.Close() //nolint:errcheck // it is at its end
	far, err := f.server.Dial(f.ctx, f.to)
	if err != nil {
		if f.ctx.Err() == nil {
			f.failed(err)
		}
		return
	}
	defer far.Close() //nolint:errcheck // it is at its end
	defer context.AfterFunc(f.ctx, func() { _, _ = near.Close(), far.Close() })()
	var both sync.WaitGroup
	both.Go(func() { pass(far, near) })
	both.Go(func() { pass(near, far) })
	both.Wait()
}

// pass copies one direction to its end, and tells the other side of the end.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	half, ok := to.(interface{ CloseWrite() error })
	if err != nil || !ok {
		_, _ = to.Close(), from.Close()
		return
	}
	_ = half.CloseWrite() // the other side may have gone
}
