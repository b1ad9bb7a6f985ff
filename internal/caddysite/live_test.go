package caddysite_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alorig/fleet/internal/caddysite"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/pinned"
)

// The tests in this file run the real Caddy on loopback. It serves the files that
// Render and RenderMain return, but for what loopback does not have: ports 80 and 443,
// container names and /srv/static.

const (
	direct     = "127.0.0.1" // any client
	edge       = "127.0.0.2" // what the test's main Caddyfile trusts as it would Cloudflare
	admin      = "203.0.113.7"
	foreigner  = "198.51.100.9"
	startLimit = 20 * time.Second
)

func caddyBinary(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the real Caddy, which the first run builds for minutes")
	}
	path, err := pinned.Caddy(t.Context(), "", os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// caddy is a running Caddy and the directory it is configured from.
type caddy struct {
	binary, dir         string
	httpPort, httpsPort string
	roots               *x509.CertPool
	upstreams           map[string]*upstream // by container name
	log                 *syncBuffer
	stop                func() // idempotent
}

// startCaddy serves the apps from TLS of Caddy's own authority.
func startCaddy(t *testing.T, apps ...string) *caddy {
	t.Helper()
	c := &caddy{
		binary: caddyBinary(t), dir: t.TempDir(),
		httpPort: freePort(t), httpsPort: freePort(t),
		upstreams: map[string]*upstream{}, log: &syncBuffer{},
	}
	must(t, os.Mkdir(filepath.Join(c.dir, ledger.SitesDir), 0o755))
	main, err := caddysite.RenderMain(caddysite.MainOptions{
		TLS:            caddysite.Internal,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix(edge + "/32")},
	})
	must(t, err)
	main = replaceOnce(t, main, "admin localhost:2019", strings.Join([]string{
		"admin unix/" + c.adminSocket(),
		"default_bind 127.0.0.1",
		"http_port " + c.httpPort,
		"https_port " + c.httpsPort,
	}, "\n"))
	write(t, filepath.Join(c.dir, "Caddyfile"), main)
	for _, name := range apps {
		c.writeSite(t, name, c.site(t, name))
	}

	cmd := exec.CommandContext(context.Background(), c.binary, "run", "--config", "Caddyfile")
	cmd.Dir, cmd.Env = c.dir, c.environment()
	cmd.Stdout, cmd.Stderr = c.log, c.log
	must(t, cmd.Start())
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
	c.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-exited:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-exited
		}
	})
	t.Cleanup(func() {
		c.stop()
		if t.Failed() {
			t.Logf("Caddy's log:\n%s", c.log)
		}
	})

	deadline := time.Now().Add(startLimit)
	for {
		root, err := os.ReadFile(filepath.Join(c.dir, "data", "caddy", "pki", "authorities", "local", "root.crt"))
		if err == nil {
			c.roots = x509.NewCertPool()
			if c.roots.AppendCertsFromPEM(root) && c.healthy() {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("Caddy does not answer after %s", startLimit)
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, name := range apps {
		app, _ := ledger.Alorig().App(name)
		for _, h := range app.Hosts {
			c.awaitCertificate(t, strings.Replace(h.Name, "*", "any", 1))
		}
	}
	return c
}

// awaitCertificate waits until the host has its certificate, which Caddy gets behind
// the scenes after it has loaded a site.
func (c *caddy) awaitCertificate(t *testing.T, host string) {
	t.Helper()
	deadline := time.Now().Add(startLimit)
	for {
		conn, err := tls.Dial("tcp", net.JoinHostPort(direct, c.httpsPort), &tls.Config{RootCAs: c.roots, ServerName: host})
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has no certificate after %s: %v", host, startLimit, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (c *caddy) adminSocket() string { return filepath.Join(c.dir, "admin") }

func (c *caddy) environment() []string {
	return append(os.Environ(), "HOME="+c.dir, "XDG_DATA_HOME="+filepath.Join(c.dir, "data"), "XDG_CONFIG_HOME="+filepath.Join(c.dir, "config"))
}

func (c *caddy) healthy() bool {
	res, err := http.Get("http://localhost:" + c.httpPort + "/health")
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// site renders the app's site file for loopback: its containers are upstreams of this
// test, its static builds lie below the test's directory.
func (c *caddy) site(t *testing.T, name string) string {
	t.Helper()
	app, ok := ledger.Alorig().App(name)
	if !ok {
		t.Fatalf("no app %s", name)
	}
	text := render(t, app, caddysite.Options{TLS: caddysite.Internal, AdminCIDRs: []netip.Prefix{netip.MustParsePrefix(admin + "/32")}})
	for _, r := range app.Routes {
		if r.Upstream != "" {
			container := ledger.ContainerName(app.Name, r.Upstream)
			booked, _ := app.Container(r.Upstream)
			port := ":" + strconv.Itoa(booked.Port)
			if c.upstreams[container] == nil {
				c.upstreams[container] = startUpstream(t, container)
			}
			text = strings.ReplaceAll(text, container+port, c.upstreams[container].address)
			// Its next version, which does not run unless a test starts it.
			next := ledger.NextName(container)
			if c.upstreams[next] == nil {
				c.upstreams[next] = newUpstream(t, next)
			}
			text = strings.ReplaceAll(text, next+port, c.upstreams[next].address)
			continue
		}
		root := filepath.Join(c.dir, "static", app.Name, r.Static)
		text = strings.ReplaceAll(text, ledger.StaticRoot(app.Name, r.Static), root)
		write(t, filepath.Join(root, "index.html"), "<!doctype html><title>"+r.Static+" of "+app.Name+"</title>"+strings.Repeat("<p>page</p>", 200))
		write(t, filepath.Join(root, "favicon.svg"), "<svg/>")
		write(t, filepath.Join(root, "assets", "app-3f9c.js"), "// "+r.Static+strings.Repeat("console.log('asset');\n", 100))
	}
	return text
}

// writeSite puts the file in place as it must be done on the server.
func (c *caddy) writeSite(t *testing.T, app, text string) {
	t.Helper()
	file := filepath.Join(c.dir, ledger.SitesDir, ledger.SiteFile(app))
	write(t, file+".new", text)
	must(t, os.Rename(file+".new", file))
}

func (c *caddy) reload() error {
	cmd := exec.Command(c.binary, "reload", "--config", "Caddyfile", "--address", "unix/"+c.adminSocket())
	cmd.Dir, cmd.Env = c.dir, c.environment()
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	return nil
}

// client connects to this Caddy whatever the host is called, from an address of its choice.
func (c *caddy) client(t *testing.T, from string, protocols ...string) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(address)
			to := c.httpsPort
			if port == "80" {
				to = c.httpPort
			}
			return dialer.DialContext(ctx, network, net.JoinHostPort(direct, to))
		},
		TLSClientConfig:    &tls.Config{RootCAs: c.roots, NextProtos: protocols},
		ForceAttemptHTTP2:  len(protocols) == 0,
		DisableCompression: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       40 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// upstream stands in for a container: it answers what it has been asked.
type upstream struct {
	name, address string
	mu            sync.Mutex
	server        *http.Server
}

// seen is what an upstream was asked.
type seen struct {
	Container, Method, Host, URI, Body string
	Header                             http.Header
}

func newUpstream(t *testing.T, name string) *upstream {
	t.Helper()
	u := &upstream{name: name, address: net.JoinHostPort(direct, freePort(t))}
	t.Cleanup(u.stop)
	return u
}

func startUpstream(t *testing.T, name string) *upstream {
	t.Helper()
	u := newUpstream(t, name)
	u.start(t)
	return u
}

func (u *upstream) start(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", u.address)
	must(t, err)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.server = &http.Server{Handler: http.HandlerFunc(u.answer), ReadHeaderTimeout: time.Minute}
	go func(s *http.Server) { _ = s.Serve(listener) }(u.server)
}

func (u *upstream) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.server != nil {
		_ = u.server.Close()
	}
}

func (u *upstream) answer(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "websocket" {
		echo(w)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away
	}
	w.Header().Set("Server", "gunicorn")
	w.Header().Set("X-Powered-By", "Payload")
	w.Header().Set("X-Frame-Options", "DENY")
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(seen{u.name, r.Method, r.Host, r.RequestURI, string(body), r.Header})
}

// echo speaks no WebSocket beyond the handshake: Caddy passes on bytes, not frames.
func echo(w http.ResponseWriter) {
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "websocket")
	w.WriteHeader(http.StatusSwitchingProtocols)
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_ = buffered.Flush()
	_, _ = io.Copy(conn, buffered)
}

func openSocket(t *testing.T, c *caddy, url string) io.ReadWriteCloser {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, http.NoBody)
	must(t, err)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	req.Header.Set("Sec-WebSocket-Version", "13")
	req.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	client := c.client(t, direct, "http/1.1")
	client.Timeout = 0         // it would end the socket
	res, err := client.Do(req) //nolint:bodyclose // the socket is the body
	must(t, err)
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%s answers %s", url, res.Status)
	}
	socket, ok := res.Body.(io.ReadWriteCloser)
	if !ok {
		t.Fatalf("%s is no socket", url)
	}
	t.Cleanup(func() { socket.Close() })
	return socket
}

func roundTrip(socket io.ReadWriter, text string) error {
	if _, err := io.WriteString(socket, text); err != nil {
		return err
	}
	back := make([]byte, len(text))
	if _, err := io.ReadFull(socket, back); err != nil {
		return err
	}
	if string(back) != text {
		return fmt.Errorf("sent %q, got %q", text, back)
	}
	return nil
}

type answer struct {
	*http.Response
	body string
}

func (a answer) seen(t *testing.T) seen {
	t.Helper()
	var s seen
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		t.Fatalf("%s %s: answers %s, not the upstream's JSON: %.200s", a.Request.Method, a.Request.URL, a.Status, a.body)
	}
	return s
}

func get(t *testing.T, client *http.Client, url string, headers ...string) answer {
	t.Helper()
	return send(t, client, http.MethodGet, url, http.NoBody, headers...)
}

func send(t *testing.T, client *http.Client, method, url string, body io.Reader, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequest(method, url, body)
	must(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	a, err := do(client, req)
	must(t, err)
	return a
}

func do(client *http.Client, req *http.Request) (answer, error) {
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res, string(text)}, err
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", direct+":0")
	must(t, err)
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	must(t, err)
	return port
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func replaceOnce(t *testing.T, text, old, replacement string) string {
	t.Helper()
	if strings.Count(text, old) != 1 {
		t.Fatalf("%q occurs %d times in\n%s", old, strings.Count(text, old), text)
	}
	return strings.Replace(text, old, replacement, 1)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
