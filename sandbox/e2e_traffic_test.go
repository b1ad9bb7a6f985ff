package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// browser is a client that finds every host at this machine's Caddy and believes no
// certificate but those of Caddy's own authority.
func browser(t *testing.T) *http.Client {
	t.Helper()
	authority := docker(t, "exec", "alorig_caddy", "cat", "/data/caddy/pki/authorities/local/root.crt")
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(authority)) {
		t.Fatalf("Caddy's authority reads %q", authority)
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return &http.Client{
		Timeout: 40 * time.Second, // longer than Caddy holds a request
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: true,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				_, port, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				return dialer.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// get returns the status and the body of an answer.
func get(t *testing.T, client *http.Client, address string) (int, string, http.Header) {
	t.Helper()
	return ask(t, client, address, nil)
}

// attack is a constant stream of requests.
type attack struct {
	attacker *vegeta.Attacker
	ended    chan struct{}

	metrics  vegeta.Metrics
	failures []string
	slow     []vegeta.Result // the longest waits, from the longest
	posted   atomic.Int64    // requests with a body that were answered with 201
}

// startAttack sends requests at a constant rate until stop is called. What posts gives are
// POSTed, each with a text of its own; gets are asked in turn.
func startAttack(client *http.Client, perSecond int, gets, posts []string) *attack {
	a := &attack{ended: make(chan struct{})}
	a.attacker = vegeta.NewAttacker(vegeta.Client(client), vegeta.Workers(20), vegeta.MaxWorkers(500))
	var number atomic.Int64
	all := len(gets) + len(posts)
	targeter := func(target *vegeta.Target) error {
		n := int(number.Add(1))
		*target = vegeta.Target{Method: http.MethodGet}
		if i := n % all; i < len(gets) {
			target.URL = gets[i]
		} else {
			form := url.Values{"text": {fmt.Sprintf("attack %d %d", time.Now().UnixNano(), n)}}
			target.Method, target.URL = http.MethodPost, posts[i-len(gets)]
			target.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
			target.Body = []byte(form.Encode())
		}
		return nil
	}
	results := a.attacker.Attack(targeter, vegeta.Rate{Freq: perSecond, Per: time.Second}, 0, "")
	go func() {
		defer close(a.ended)
		for r := range results {
			a.metrics.Add(r)
			a.keepSlow(*r)
			if r.Code == http.StatusCreated {
				a.posted.Add(1)
			}
			if r.Error != "" || r.Code < 200 || r.Code > 299 {
				a.failures = append(a.failures, fmt.Sprintf("%s %s %s after %s: %d %s %.200s", r.Timestamp.Format(time.StampMilli), r.Method, r.URL, r.Latency.Round(time.Millisecond), r.Code, r.Error, r.Body))
			}
		}
	}()
	return a
}

// keepSlow keeps the five that waited longest: what they have in common tells why.
func (a *attack) keepSlow(r vegeta.Result) {
	r.Body, r.Headers = nil, nil
	a.slow = append(a.slow, r)
	slices.SortFunc(a.slow, func(a, b vegeta.Result) int { return cmp.Compare(b.Latency, a.Latency) })
	a.slow = a.slow[:min(len(a.slow), 5)]
}

// stop ends the stream and waits for the last answers.
func (a *attack) stop() {
	a.attacker.Stop()
	<-a.ended
	a.metrics.Close()
}

func (a *attack) String() string {
	var slow []string
	for _, r := range a.slow {
		slow = append(slow, fmt.Sprintf("%s %s %s at %s", r.Latency.Round(time.Millisecond), r.Method, r.URL, r.Timestamp.Format("15:04:05.000")))
	}
	return fmt.Sprintf("%d requests, %d failed, 99 of 100 within %s; longest waits: %s",
		a.metrics.Requests, len(a.failures), a.metrics.Latencies.P99.Round(time.Millisecond), strings.Join(slow, ", "))
}

// expectClean reports every failed request. How long they waited depends on the machine and
// what else it does: that is measured, and promised nowhere.
func (a *attack) expectClean(t *testing.T) {
	t.Helper()
	t.Logf("%s", a)
	if a.metrics.Requests == 0 {
		t.Error("no request was sent")
	}
	for i, f := range a.failures {
		if i == 20 {
			t.Errorf("and %d more", len(a.failures)-i)
			break
		}
		t.Error(f)
	}
}

// socket is a WebSocket to Psydge that is used all the time.
type socket struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup
	echoes atomic.Int64
	failed atomic.Pointer[error]
}

// openSocket keeps a WebSocket open and sends something through it five times a second.
func openSocket(t *testing.T, client *http.Client) *socket {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &socket{cancel: cancel}
	upgrading := *client
	upgrading.Timeout = 0 // it would end the socket
	transport := client.Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2 = false // a WebSocket begins with an HTTP/1.1 request
	transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
	upgrading.Transport = transport
	c, _, err := websocket.Dial(ctx, "wss://ws.psydge.com/ws", &websocket.DialOptions{ //nolint:bodyclose // it is the socket
		HTTPClient: &upgrading, HTTPHeader: http.Header{"Origin": {"https://psydge.com"}},
	})
	if err != nil {
		t.Fatalf("opening a WebSocket: %v", err)
	}
	s.ended.Go(func() {
		defer c.CloseNow()
		for n := 0; ctx.Err() == nil; n++ {
			text := fmt.Sprintf("echo %d", n)
			err := c.Write(ctx, websocket.MessageText, []byte(text))
			var answer []byte
			if err == nil {
				_, answer, err = c.Read(ctx)
			}
			if err == nil && string(answer) != text {
				err = fmt.Errorf("%q came back as %q", text, answer)
			}
			if err != nil {
				if ctx.Err() == nil {
					s.failed.Store(&err)
				}
				return
			}
			s.echoes.Add(1)
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
	waitFor(t, "the first echo", func() error {
		if s.echoes.Load() == 0 && s.failed.Load() == nil {
			return errors.New("nothing came back")
		}
		return nil
	})
	return s
}

// close closes the socket and expects that nothing else had.
func (s *socket) close(t *testing.T) {
	t.Helper()
	s.cancel()
	s.ended.Wait()
	if err := s.failed.Load(); err != nil {
		t.Errorf("the WebSocket dropped after %d echoes: %v", s.echoes.Load(), *err)
	}
}

// otherApps are addresses of every app but one.
func otherApps(app string) []string {
	var addresses []string
	for name, address := range map[string]string{
		"psydge": "https://api.psydge.com/", "snapify": "https://snapify.pk/", "sitebuilder": "https://api.alorig.com/builder/",
		"observer": "https://api.observeros.app/", "astrotiming": "https://api.astrotiming.com/", "asms": "https://api.schools.alorig.com/",
	} {
		if _, up := fleet.App(name); up && name != app {
			addresses = append(addresses, address)
		}
	}
	return addresses
}

// lines are the lines of a text that are not empty.
func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}
