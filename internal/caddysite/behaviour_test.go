package caddysite_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alorig/fleet/internal/caddysite"
	"github.com/alorig/fleet/internal/ledger"
)

// TestCaddyAcceptsTheGoldenFiles loads every golden file with the Caddy that serves it.
func TestCaddyAcceptsTheGoldenFiles(t *testing.T) {
	binary := caddyBinary(t)
	run := func(t *testing.T, dir string, args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), binary, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir,
			"CLOUDFLARE_API_TOKEN="+strings.Repeat("0", 40))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		output, err := cmd.Output()
		if err != nil {
			t.Fatalf("caddy %s: %v\n%s%s", strings.Join(args, " "), err, stderr.Bytes(), output)
		}
		return output
	}
	load := func(t *testing.T, main string, sites ...string) (dir string) {
		t.Helper()
		dir = t.TempDir()
		must(t, os.Mkdir(filepath.Join(dir, ledger.SitesDir), 0o755))
		must(t, os.CopyFS(filepath.Join(dir, "golden"), os.DirFS("testdata")))
		must(t, os.Rename(filepath.Join(dir, "golden", main), filepath.Join(dir, "Caddyfile")))
		for _, s := range sites {
			must(t, os.Rename(filepath.Join(dir, "golden", s), filepath.Join(dir, ledger.SitesDir, s)))
		}
		run(t, dir, "validate", "--config", "Caddyfile")
		for _, file := range append([]string{"Caddyfile"}, prefixed(ledger.SitesDir+"/", sites)...) {
			run(t, dir, "fmt", file) // fails on a file it would write differently
		}
		return dir
	}

	var all, want []string
	for _, app := range ledger.Alorig().Apps {
		file := ledger.SiteFile(app.Name)
		all = append(all, file)
		for _, h := range app.Hosts {
			want = append(want, h.Name)
		}
		t.Run(file, func(t *testing.T) { load(t, "Caddyfile", file) })
	}
	t.Run("sitebuilder.internal.caddy", func(t *testing.T) { load(t, "internal.Caddyfile", "sitebuilder.internal.caddy") })
	t.Run("no apps yet", func(t *testing.T) { load(t, "Caddyfile") })
	t.Run("the fleet", func(t *testing.T) {
		config := run(t, load(t, "Caddyfile", all...), "adapt", "--config", "Caddyfile")
		got := hostsOf(t, config)
		want = append(want, "localhost")
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("Caddy serves\n%s\nand the ledger has\n%s", got, want)
		}
	})
}

func prefixed(prefix string, names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = prefix + n
	}
	return out
}

func hostsOf(t *testing.T, config []byte) []string {
	t.Helper()
	var c struct {
		Apps struct {
			HTTP struct {
				Servers map[string]struct {
					Routes []struct {
						Match []struct{ Host []string }
					}
				}
			}
		}
	}
	must(t, json.Unmarshal(config, &c))
	var hosts []string
	for _, s := range c.Apps.HTTP.Servers {
		for _, r := range s.Routes {
			for _, m := range r.Match {
				hosts = append(hosts, m.Host...)
			}
		}
	}
	slices.Sort(hosts)
	return hosts
}

func TestRouting(t *testing.T) {
	c := startCaddy(t, "psydge", "snapify", "sitebuilder")
	client := c.client(t, direct)

	t.Run("static", func(t *testing.T) {
		const (
			revalidate = "no-cache"
			forever    = "public, max-age=31536000, immutable"
		)
		for _, x := range []struct {
			url, content, cache string
			status              int
		}{
			{"https://psydge.com/", "web of psydge", revalidate, 200},
			{"https://psydge.com/trades/17?tab=log", "web of psydge", revalidate, 200},
			{"https://psydge.com/favicon.svg", "<svg/>", revalidate, 200},
			{"https://psydge.com/assets/app-3f9c.js", "// web", forever, 200},
			{"https://psydge.com/assets/app-0000.js", "", revalidate, 404},
			{"https://psydge.com/assets/../trades", "web of psydge", revalidate, 200},
			{"https://psydge.com/%2e%2e/%2e%2e/Caddyfile", "web of psydge", revalidate, 200},
			{"https://app.snapify.pk/orders", "app of snapify", revalidate, 200},
			{"https://alorig.com/builder/", "builder of sitebuilder", revalidate, 200},
			{"https://alorig.com/builder/site/3/edit", "builder of sitebuilder", revalidate, 200},
			{"https://alorig.com/builder/assets/app-3f9c.js", "// builder", forever, 200},
			{"https://alorig.com/builder/assets/app-0000.js", "", revalidate, 404},
			{"https://alorig.com/builderfoo", "", "", 404},
			{"https://alorig.com/builderfoo/", "", "", 404},
			{"https://alorig.com/", "", "", 404},
			{"https://alorig.com/assets/app-3f9c.js", "", "", 404},
		} {
			a := get(t, client, x.url)
			if a.StatusCode != x.status || !strings.Contains(a.body, x.content) || (x.content == "" && a.body != "") {
				t.Errorf("%s answers %s and %.60q, not %d and %q", x.url, a.Status, a.body, x.status, x.content)
			}
			if got := a.Header.Get("Cache-Control"); got != x.cache {
				t.Errorf("%s has Cache-Control %q, not %q", x.url, got, x.cache)
			}
		}
		for _, query := range []string{"", "?plan=pro&next=%2Fx"} {
			a := get(t, client, "https://alorig.com/builder"+query)
			if got := a.Header.Get("Location"); a.StatusCode != http.StatusPermanentRedirect || got != "/builder/"+query {
				t.Errorf("/builder%s answers %s to %q", query, a.Status, got)
			}
		}
	})

	t.Run("upstream", func(t *testing.T) {
		for _, x := range []struct{ url, container, uri, prefix string }{
			{"https://api.psydge.com/v1/trades?from=2026-01-01&q=a%20b", "psydge_backend", "/v1/trades?from=2026-01-01&q=a%20b", ""},
			{"https://ws.psydge.com/prices/", "psydge_channels", "/prices/", ""},
			{"https://snapify.pk/my-store", "snapify_backend", "/my-store", ""},
			{"https://cms.alorig.com/admin", "sitebuilder_payload", "/admin", ""},
			{"https://shop.sites.alorig.com/about", "sitebuilder_payload", "/about", ""},

			{"https://api.alorig.com/builder", "sitebuilder_backend", "/", "/builder"},
			{"https://api.alorig.com/builder/", "sitebuilder_backend", "/", "/builder"},
			{"https://api.alorig.com/builder/v1/sites/?page=2", "sitebuilder_backend", "/v1/sites/?page=2", "/builder"},
			{"https://api.alorig.com/builder/builder/x", "sitebuilder_backend", "/builder/x", "/builder"},
			{"https://api.alorig.com/builder/a%2Fb", "sitebuilder_backend", "/a%2Fb", "/builder"},

			{"https://api.snapify.pk/", "snapify_backend", "/api/", ""},
			{"https://api.snapify.pk/v1/orders/?page=2&q=a%20b%26c", "snapify_backend", "/api/v1/orders/?page=2&q=a%20b%26c", ""},
			{"https://api.snapify.pk/api/v1/orders/?page=3", "snapify_backend", "/api/v1/orders/?page=3", ""},
			{"https://api.snapify.pk/apiary", "snapify_backend", "/api/apiary", ""},
			{"https://api.snapify.pk/a%20b%3Fc", "snapify_backend", "/api/a%20b%3Fc", ""},
			{"https://api.snapify.pk/{env.HOME}?x={env.HOME}", "snapify_backend", "/api/%7Benv.HOME%7D?x=%7Benv.HOME%7D", ""},
		} {
			s := get(t, client, x.url, "X-Forwarded-Prefix", "/evil").seen(t)
			if s.Container != x.container || s.URI != x.uri {
				t.Errorf("%s reaches %s as %s, not %s as %s", x.url, s.Container, s.URI, x.container, x.uri)
			}
			if got := s.Header.Get("X-Forwarded-Prefix"); got != x.prefix {
				t.Errorf("%s arrives with X-Forwarded-Prefix %q, not %q", x.url, got, x.prefix)
			}
			if want := strings.Split(strings.TrimPrefix(x.url, "https://"), "/")[0]; s.Host != want {
				t.Errorf("%s arrives with Host %s", x.url, s.Host)
			}
			if s.Header.Get("X-Forwarded-Proto") != "https" || s.Header.Get("X-Real-Ip") != direct || s.Header.Get("X-Request-Id") == "" {
				t.Errorf("%s arrives with %v", x.url, s.Header)
			}
		}
		for _, url := range []string{"https://api.alorig.com/builderfoo", "https://api.alorig.com/", "https://api.alorig.com/v1"} {
			if a := get(t, client, url); a.StatusCode != http.StatusNotFound || a.body != "" {
				t.Errorf("%s answers %s and %q", url, a.Status, a.body)
			}
		}
	})

	t.Run("names without a site", func(t *testing.T) {
		for _, url := range []string{"https://a.b.sites.alorig.com/", "https://sites.alorig.com/", "https://igny8.com/"} {
			req, err := http.NewRequest(http.MethodGet, url, http.NoBody)
			must(t, err)
			if a, err := do(client, req); err == nil || !strings.Contains(err.Error(), "remote error: tls: internal error") {
				t.Errorf("%s: the handshake is not refused, but %v, %v", url, a.Response, err)
			}
		}
	})

	t.Run("plain HTTP", func(t *testing.T) {
		a := get(t, client, "http://api.psydge.com/v1?x=1")
		if a.StatusCode != http.StatusPermanentRedirect || !strings.HasPrefix(a.Header.Get("Location"), "https://api.psydge.com") {
			t.Errorf("answers %s to %q", a.Status, a.Header.Get("Location"))
		}
	})

	t.Run("headers", func(t *testing.T) {
		common := map[string]string{
			"X-Content-Type-Options": "nosniff",
			"Referrer-Policy":        "strict-origin-when-cross-origin",
			"Permissions-Policy":     "camera=(), geolocation=(), microphone=()",
			"Server":                 "",
			"Via":                    "",
			"X-Powered-By":           "",
		}
		for url, frames := range map[string]string{
			"https://psydge.com/":        "SAMEORIGIN",
			"https://api.psydge.com/":    "DENY", // the app's own word
			"https://alorig.com/nowhere": "SAMEORIGIN",
		} {
			h := get(t, client, url).Header
			if got := h.Values("X-Frame-Options"); !slices.Equal(got, []string{frames}) {
				t.Errorf("%s has X-Frame-Options %q, not %q", url, got, frames)
			}
			for name, want := range common {
				if got := strings.Join(h.Values(name), "|"); got != want {
					t.Errorf("%s has %s %q, not %q", url, name, got, want)
				}
			}
		}
	})

	t.Run("compression", func(t *testing.T) {
		for _, encoding := range []string{"gzip", "zstd"} {
			a := get(t, client, "https://psydge.com/", "Accept-Encoding", encoding)
			if got := a.Header.Get("Content-Encoding"); got != encoding || len(a.body) > 500 {
				t.Errorf("%s asked for: encoded as %q, %d bytes", encoding, got, len(a.body))
			}
			if encoding == "gzip" {
				r, err := gzip.NewReader(strings.NewReader(a.body))
				must(t, err)
				text, err := io.ReadAll(r)
				must(t, err)
				if !bytes.Contains(text, []byte("web of psydge")) {
					t.Errorf("unpacks to %.60q", text)
				}
			}
		}
	})

	t.Run("request body", func(t *testing.T) {
		const limit = 25_000_000
		if s := send(t, client, http.MethodPost, "https://api.psydge.com/upload", strings.NewReader(strings.Repeat("x", limit))).seen(t); len(s.Body) != limit {
			t.Errorf("%d bytes arrive of %d", len(s.Body), limit)
		}
		if a := send(t, client, http.MethodPost, "https://api.psydge.com/upload", strings.NewReader(strings.Repeat("x", limit+1))); a.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("a byte above the limit: %s", a.Status)
		}
	})
}

// TestRestriction plays a client that connects itself, and Cloudflare: the main
// Caddyfile of the test trusts one loopback address and not the other.
func TestRestriction(t *testing.T) {
	c := startCaddy(t, "snapify")
	for _, x := range []struct {
		name, from string
		headers    []string
		status     int
	}{
		{"an administrator through Cloudflare", edge, []string{"CF-Connecting-IP", admin}, 200},
		{"anybody else through Cloudflare", edge, []string{"CF-Connecting-IP", foreigner}, 403},
		{"Cloudflare itself", edge, nil, 403},
		{"a header Cloudflare only passes on", edge, []string{"CF-Connecting-IP", foreigner, "X-Forwarded-For", admin}, 403},
		{"anybody, past Cloudflare", direct, nil, 403},
		{"anybody who claims to be Cloudflare", direct, []string{"CF-Connecting-IP", admin}, 403},
		{"anybody who claims to be a proxy", direct, []string{"X-Forwarded-For", admin}, 403},
	} {
		t.Run(x.name, func(t *testing.T) {
			client := c.client(t, x.from)
			for _, path := range []string{"/", "/index.html", "/assets/app-3f9c.js", "/assets/none.js"} {
				a := get(t, client, "https://admin.snapify.pk"+path, x.headers...)
				want := x.status
				if path == "/assets/none.js" && want == 200 {
					want = 404
				}
				if a.StatusCode != want || (want == 403 && a.body != "") {
					t.Errorf("%s: %s and %.60q, not %d", path, a.Status, a.body, want)
				}
			}
		})
	}

	administrator := c.client(t, edge)
	a := get(t, administrator, "https://admin.snapify.pk/assets/app-3f9c.js", "CF-Connecting-IP", admin)
	if got := a.Header.Get("Cache-Control"); got != "private, max-age=31536000, immutable" {
		t.Errorf("an asset behind the restriction has Cache-Control %q; Cloudflare must not keep it", got)
	}
	if s := get(t, administrator, "https://api.snapify.pk/", "CF-Connecting-IP", foreigner).seen(t); s.Header.Get("X-Real-Ip") != foreigner {
		t.Errorf("the app sees the client as %q", s.Header.Get("X-Real-Ip"))
	}
	if s := get(t, c.client(t, direct), "https://api.snapify.pk/", "CF-Connecting-IP", foreigner).seen(t); s.Header.Get("X-Real-Ip") != direct {
		t.Errorf("a client that names itself is believed: the app sees %q", s.Header.Get("X-Real-Ip"))
	}
}

// uploads are a request of each kind, with a body of a megabyte where it has one.
func uploads(t *testing.T, c *caddy) map[string]func() (answer, error) {
	t.Helper()
	request := func(method string, body func() io.Reader, protocols ...string) func() (answer, error) {
		client := c.client(t, direct, protocols...)
		return func() (answer, error) {
			req, err := http.NewRequest(method, "https://api.psydge.com/orders", body())
			if err != nil {
				return answer{}, err
			}
			return do(client, req)
		}
	}
	megabyte := func() io.Reader { return strings.NewReader(strings.Repeat("p", 1<<20)) }
	return map[string]func() (answer, error){
		"GET over HTTP/2":        request(http.MethodGet, func() io.Reader { return http.NoBody }),
		"GET over HTTP/1.1":      request(http.MethodGet, func() io.Reader { return http.NoBody }, "http/1.1"),
		"POST over HTTP/2":       request(http.MethodPost, megabyte),
		"POST over HTTP/1.1":     request(http.MethodPost, megabyte, "http/1.1"),
		"POST of unknown length": request(http.MethodPost, func() io.Reader { return io.MultiReader(megabyte()) }, "http/1.1"),
	}
}

// answeredBy sends one request of each kind and asserts who answers it, whole and soon.
func answeredBy(t *testing.T, requests map[string]func() (answer, error), container string, within time.Duration) {
	t.Helper()
	for name, request := range requests {
		begun := time.Now()
		a, err := request()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s := a.seen(t)
		if s.Container != container {
			t.Errorf("%s is answered by %s, not %s", name, s.Container, container)
		}
		if strings.HasPrefix(name, "POST") && s.Body != strings.Repeat("p", 1<<20) {
			t.Errorf("%s arrives with %d bytes", name, len(s.Body))
		}
		if took := time.Since(begun); took > within {
			t.Errorf("%s takes %s", name, took)
		}
	}
}

// A handover as Caddy sees it (ADR 18). Bounds are wide: what must not happen is that a
// request waits for something that is not there, which takes the 30 seconds it is held.
// Daphne takes the leftmost address of X-Forwarded-For, and other servers other headers: whatever a
// visitor writes there, an upstream gets one address, which is the visitor's.
func TestTheUpstreamKnowsOneVisitor(t *testing.T) {
	c := startCaddy(t, "psydge")
	const forged, six = "203.0.113.99", "2001:db8::7"
	forgeries := []string{
		"X-Forwarded-For", forged, "X-Real-IP", forged, "Forwarded", "for=" + forged, "True-Client-IP", forged, "X-Client-IP", forged, "X-Cluster-Client-IP", forged,
	}
	for _, x := range []struct {
		name, from string
		headers    []string
		visitor    string
	}{
		{"who connects directly", direct, append([]string{"CF-Connecting-IP", forged}, forgeries...), direct},
		{"through Cloudflare", edge, append([]string{"CF-Connecting-IP", foreigner}, forgeries...), foreigner},
		{"through Cloudflare, over IPv6", edge, append([]string{"CF-Connecting-IP", six}, forgeries...), six},
		{"through Cloudflare, which has added the address", edge, []string{"X-Forwarded-For", forged + ", " + foreigner, "CF-Connecting-IP", foreigner}, foreigner},
	} {
		t.Run(x.name, func(t *testing.T) {
			client := c.client(t, x.from)
			for _, url := range []string{"https://api.psydge.com/", "https://ws.psydge.com/ws"} {
				s := get(t, client, url, x.headers...).seen(t)
				for _, name := range []string{"X-Forwarded-For", "X-Real-Ip"} {
					if got := s.Header.Values(name); len(got) != 1 || got[0] != x.visitor {
						t.Errorf("%s: the upstream has %s %q, not %q", url, name, got, x.visitor)
					}
				}
				for _, name := range []string{"Cf-Connecting-Ip", "Forwarded", "True-Client-Ip", "X-Client-Ip", "X-Cluster-Client-Ip"} {
					if got := s.Header.Values(name); len(got) > 0 {
						t.Errorf("%s: the upstream has %s %q", url, name, got)
					}
				}
			}
		})
	}
}

func TestHandover(t *testing.T) {
	const soon = 5 * time.Second
	c := startCaddy(t, "psydge")
	container, next := c.upstreams["psydge_backend"], c.upstreams["psydge_backend_next"]
	requests := uploads(t, c)

	next.start(t)
	for range 10 {
		answeredBy(t, requests, "psydge_backend", soon)
	}

	container.stop()
	for range 3 {
		answeredBy(t, requests, "psydge_backend_next", soon)
	}

	container.start(t)
	back := time.Now()
	client := c.client(t, direct)
	for get(t, client, "https://api.psydge.com/").seen(t).Container != "psydge_backend" {
		if time.Since(back) > soon {
			t.Fatalf("the container is not asked again after %s", soon)
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("asked again after %s", time.Since(back))
	for range 10 {
		answeredBy(t, requests, "psydge_backend", soon)
	}

	// The end of the handover: nobody is asked but the container.
	next.stop()
	for range 3 {
		answeredBy(t, requests, "psydge_backend", soon)
	}

	// Neither: held, until either is there.
	for _, who := range []*upstream{next, container} {
		container.stop()
		next.stop()
		type result struct {
			name string
			answer
			err error
		}
		results := make(chan result, len(requests))
		for name, request := range requests {
			go func() {
				a, err := request()
				results <- result{name, a, err}
			}()
		}
		select {
		case r := <-results:
			t.Fatalf("%s is not held: %v, %v", r.name, r.answer, r.err)
		case <-time.After(1500 * time.Millisecond):
		}
		who.start(t)
		started := time.Now()
		for range requests {
			r := <-results
			if r.err != nil {
				t.Errorf("%s: %v", r.name, r.err)
				continue
			}
			if s := r.seen(t); s.Container != who.name || strings.HasPrefix(r.name, "POST") && len(s.Body) != 1<<20 {
				t.Errorf("%s is answered by %s, and arrives with %d bytes", r.name, s.Container, len(s.Body))
			}
		}
		if waited := time.Since(started); waited > soon {
			t.Errorf("the held requests are answered %s after %s is there", waited, who.name)
		}
	}
}

// A socket is opened wherever requests go, and stays there when they go elsewhere.
func TestSocketsDuringAHandover(t *testing.T) {
	c := startCaddy(t, "psydge")
	container, next := c.upstreams["psydge_channels"], c.upstreams["psydge_channels_next"]
	old := openSocket(t, c, "https://ws.psydge.com/prices/")
	must(t, roundTrip(old, "before"))
	next.start(t)
	must(t, roundTrip(old, "beside the next version"))

	container.stop() // as http.Server does it: open sockets are not its own any more
	opened := openSocket(t, c, "https://ws.psydge.com/prices/")
	must(t, roundTrip(opened, "on the next version"))

	container.start(t)
	c.writeSite(t, "snapify", c.site(t, "snapify"))
	must(t, c.reload())
	must(t, roundTrip(opened, "after the container is back, and after a reload"))
}

func TestReload(t *testing.T) {
	c := startCaddy(t, "psydge")
	client := c.client(t, direct)

	t.Run("of another app keeps WebSockets", func(t *testing.T) {
		socket := openSocket(t, c, "https://ws.psydge.com/prices/")
		must(t, roundTrip(socket, "before"))
		c.writeSite(t, "snapify", c.site(t, "snapify"))
		must(t, c.reload())
		c.awaitCertificate(t, "snapify.pk")
		get(t, client, "https://snapify.pk/").seen(t)
		must(t, roundTrip(socket, "after"))
	})

	// A limit of Caddy, which the order of the rollout makes up for (ADR 7). When this
	// test fails, the limit is gone.
	t.Run("of another app ends held requests", func(t *testing.T) {
		backend := c.upstreams["psydge_backend"]
		backend.stop()
		held := make(chan error, 1)
		var a answer
		req, err := http.NewRequest(http.MethodPost, "https://api.psydge.com/held", strings.NewReader("body"))
		must(t, err)
		go func() {
			var err error
			a, err = do(client, req)
			held <- err
		}()
		select {
		case err := <-held:
			t.Fatalf("the request is not held: %v, %v", a.Response, err)
		case <-time.After(300 * time.Millisecond):
		}
		c.writeSite(t, "astrotiming", c.site(t, "astrotiming"))
		must(t, c.reload())
		must(t, <-held)
		if a.StatusCode != http.StatusBadGateway {
			t.Errorf("the held request answers %s", a.Status)
		}
		backend.start(t)
	})

	// What the setting is for, so that this test fails when Caddy no longer needs it.
	t.Run("without stream_close_delay closes WebSockets", func(t *testing.T) {
		site := c.site(t, "psydge")
		c.writeSite(t, "psydge", replaceOnce(t, site, "stream_close_delay 24h", ""))
		must(t, c.reload())
		socket := openSocket(t, c, "https://ws.psydge.com/prices/")
		must(t, roundTrip(socket, "before"))
		c.writeSite(t, "psydge", site)
		must(t, c.reload())
		if err := roundTrip(socket, "after"); err == nil {
			t.Error("the socket is open; stream_close_delay has become idle")
		}
	})

	t.Run("of a broken file keeps what is served", func(t *testing.T) {
		site := c.site(t, "snapify")
		c.writeSite(t, "snapify", strings.Replace(site, "reverse_proxy", "reverse_porxy", 1))
		if err := c.reload(); err == nil || !strings.Contains(err.Error(), "reverse_porxy") {
			t.Errorf("the reload says %v", err)
		}
		get(t, client, "https://api.psydge.com/").seen(t)
		c.writeSite(t, "snapify", site)
		must(t, c.reload())
	})
}

// An app whose hosts mix all kinds of routes: the ledger has none so far.
func TestMixedHost(t *testing.T) {
	c := startCaddy(t, "observer")
	api := startUpstream(t, "seventh_backend")
	app := ledger.App{Name: "seventh", Containers: []ledger.Container{{Role: ledger.Backend, Port: 8099}}, Routes: []ledger.Route{
		{Host: "seventh.example.com", Static: "web"},
		{Host: "seventh.example.com", Path: "/api", Upstream: ledger.Backend},
		{Host: "seventh.example.com", Path: "/bare", Static: "bare"},
		{Host: "seventh.example.com", Path: "/outside", Static: "bare", Restricted: true},
		{Host: "seventh.example.com", Path: "/api/admin", Upstream: ledger.Backend, Restricted: true, AddPrefix: "/admin"},
	}}
	text := render(t, app, caddysite.Options{TLS: caddysite.Internal, AdminCIDRs: []netip.Prefix{netip.MustParsePrefix(admin + "/32")}})
	text = strings.ReplaceAll(text, "seventh_backend:8099", api.address)
	root := filepath.Join(c.dir, "static")
	text = strings.ReplaceAll(text, ledger.StaticRoot("seventh", "web"), root)
	write(t, filepath.Join(root, "index.html"), "web of seventh")
	bare := filepath.Join(c.dir, "bare")
	text = strings.ReplaceAll(text, ledger.StaticRoot("seventh", "bare"), bare)
	write(t, filepath.Join(bare, "index.html"), "bare of seventh")
	c.writeSite(t, "seventh", text)
	must(t, c.reload())
	c.awaitCertificate(t, "seventh.example.com")

	outside, inside := c.client(t, direct), c.client(t, edge)
	if a := get(t, outside, "https://seventh.example.com/any"); a.body != "web of seventh" {
		t.Errorf("/any answers %s and %q", a.Status, a.body)
	}
	for url, status := range map[string]int{"bare": 308, "bare/": 200, "bare/x": 200, "outside": 403, "outside/x": 403} {
		if a := get(t, outside, "https://seventh.example.com/"+url); a.StatusCode != status || (status == 200 && a.body != "bare of seventh") {
			t.Errorf("/%s answers %s and %q", url, a.Status, a.body)
		}
	}
	if s := get(t, outside, "https://seventh.example.com/api/x").seen(t); s.URI != "/x" {
		t.Errorf("/api/x arrives as %s", s.URI)
	}
	for _, path := range []string{"/api/admin", "/api/admin/users", "/api//admin/users", "/API/Admin/users", "/api/%61dmin/users", "/api/x/../admin/users"} {
		if a := get(t, outside, "https://seventh.example.com"+path); a.StatusCode != http.StatusForbidden {
			t.Errorf("%s answers %s and %q to anybody", path, a.Status, a.body)
		}
	}
	if s := get(t, inside, "https://seventh.example.com/api/admin/users", "CF-Connecting-IP", admin).seen(t); s.URI != "/admin/users" {
		t.Errorf("/api/admin/users arrives as %s", s.URI)
	}
}
