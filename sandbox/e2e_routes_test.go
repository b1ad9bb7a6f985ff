package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alorig/fleet/internal/cloudflaretest"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/settings"
)

// The sandbox's static builds all have one asset of this name (putStaticBuilds).
const asset = "/assets/index-5a4db0c5.js"

// testRoutes asks every route of the ledger through Caddy, as a visitor does.
func (s *suite) testRoutes(t *testing.T) {
	client := browser(t)
	for _, app := range fleet.Apps {
		for _, r := range app.Routes {
			t.Run(r.Key(), func(t *testing.T) {
				switch {
				case r.Restricted:
					s.expectRestricted(t, client, app, r)
				case r.Static != "":
					expectStatic(t, client, app, r)
				case r.Upstream == ledger.Payload:
					expectPayload(t, client, app, r)
				default:
					expectDjango(t, client, app, r)
				}
				if r.WebSocket {
					expectSocket(t, client, r)
				}
			})
		}
	}
	t.Run("hosts of nobody", func(t *testing.T) { expectNothingElse(t, client) })
	t.Run("workers", func(t *testing.T) { expectWorkers(t, client) })
	t.Run("beat", func(t *testing.T) { expectTicks(t, client) })
	t.Run("dns", func(t *testing.T) { s.expectRecords(t) })
}

// site is the address of a route; a wildcard's is that of a site below it.
func site(r ledger.Route) string {
	return "https://" + strings.Replace(r.Host, "*", "a", 1) + r.Path
}

// ask is get with headers, Host among them.
func ask(t *testing.T, client *http.Client, address string, header http.Header) (int, string, http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		request.Header, request.Host = header, header.Get("Host")
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Errorf("%s: %v", address, err)
		return 0, "", nil
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Errorf("%s: %v", address, err)
	}
	return answer.StatusCode, string(body), answer.Header
}

// page is a text that the index of a static build holds and nothing else does.
func page(app ledger.App, r ledger.Route) string {
	return "<title>" + app.Name + " " + r.Static + "</title>"
}

// expectStatic expects a single-page application: the page for every path that is no
// file, and assets that browsers may keep.
func expectStatic(t *testing.T, client *http.Client, app ledger.App, r ledger.Route) {
	t.Helper()
	expectSPA(t, app, r, func(path string) (int, string, http.Header) { return get(t, client, site(r)+path) })
	expectHeaders(t, client, site(r)+"/")
	expectHTTPS(t, client, r.Host)
	if r.Path == "" {
		return
	}
	// A page that is served below a path needs the slash for its relative links.
	status, _, header := get(t, client, site(r)+"?from=mail")
	if where := header.Get("Location"); status != http.StatusPermanentRedirect || where != r.Path+"/?from=mail" {
		t.Errorf("without the slash: %d to %q, want %d to %q", status, where, http.StatusPermanentRedirect, r.Path+"/?from=mail")
	}
	expectOnlyPath(t, client, r)
}

func expectSPA(t *testing.T, app ledger.App, r ledger.Route, fetch func(path string) (int, string, http.Header)) {
	t.Helper()
	const kept, asked = "max-age=31536000, immutable", "no-cache"
	who := "public, "
	if r.Restricted {
		who = "private, " // or Cloudflare would serve its copy to anybody
	}
	for _, want := range []struct {
		path   string
		status int
		holds  string
		cache  string
		kind   string
	}{
		{"/", http.StatusOK, page(app, r), asked, "text/html"},
		{"/index.html", http.StatusOK, page(app, r), asked, "text/html"},
		{"/some/page/deep?of=the&app", http.StatusOK, page(app, r), asked, "text/html"},
		{asset, http.StatusOK, `console.log("` + app.Name + " " + r.Static + `")`, who + kept, "text/javascript"},
		{"/assets/index-00000000.js", http.StatusNotFound, "", asked, ""},
	} {
		status, body, header := fetch(want.path)
		if status != want.status || !strings.Contains(body, want.holds) {
			t.Errorf("%s: %d %.200q, want %d and %q", want.path, status, body, want.status, want.holds)
		}
		if want.status != http.StatusOK && strings.Contains(body, page(app, r)) {
			t.Errorf("%s: the page stands in for a missing asset", want.path)
		}
		if got := header.Get("Cache-Control"); got != want.cache {
			t.Errorf("%s: Cache-Control is %q, want %q", want.path, got, want.cache)
		}
		if got := header.Get("Content-Type"); !strings.HasPrefix(got, want.kind) {
			t.Errorf("%s: Content-Type is %q, want %q", want.path, got, want.kind)
		}
	}
}

// expectHeaders expects the defaults that Caddy gives every site, and nothing of its own.
func expectHeaders(t *testing.T, client *http.Client, address string) {
	t.Helper()
	_, _, header := get(t, client, address)
	for name, value := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "", "X-Frame-Options": "", "Permissions-Policy": "",
	} {
		got := header.Get(name)
		if got == "" || value != "" && got != value {
			t.Errorf("%s: %s is %q", address, name, got)
		}
	}
	for _, name := range []string{"Server", "Via", "X-Powered-By"} {
		if got := header.Values(name); len(got) > 0 {
			t.Errorf("%s: tells %s: %q", address, name, got)
		}
	}
}

// expectHTTPS expects that the host sends plain HTTP on.
func expectHTTPS(t *testing.T, client *http.Client, host string) {
	t.Helper()
	host = strings.Replace(host, "*", "a", 1)
	status, _, header := get(t, client, "http://"+host+"/some/page?x=1")
	if want := "https://" + host + "/some/page?x=1"; status != http.StatusPermanentRedirect || header.Get("Location") != want {
		t.Errorf("plain HTTP: %d to %q, want %d to %q", status, header.Get("Location"), http.StatusPermanentRedirect, want)
	}
}

// expectOnlyPath expects that a route below a path answers for nothing beside it.
func expectOnlyPath(t *testing.T, client *http.Client, r ledger.Route) {
	t.Helper()
	for _, path := range []string{"/", r.Path + "foo", r.Path + "foo/", "/x" + r.Path + "/", "/health"} {
		if status, body, _ := get(t, client, "https://"+r.Host+path); status != http.StatusNotFound {
			t.Errorf("%s%s: %d %.200q, want 404", r.Host, path, status, body)
		}
	}
}

// index is what the demo project says of a request.
type index struct{ App, URL, Client, Tick, Version string }

func getIndex(t *testing.T, client *http.Client, address string, header http.Header) index {
	t.Helper()
	var found index
	status, body, _ := ask(t, client, address, header)
	if err := json.Unmarshal([]byte(body), &found); err != nil || status != http.StatusOK {
		t.Errorf("%s: %d %.200q, want the index", address, status, body)
	}
	return found
}

func expectDjango(t *testing.T, client *http.Client, app ledger.App, r ledger.Route) {
	t.Helper()
	// Django makes the URL from what it is told of the request: host, scheme, prefix.
	for _, path := range []string{"/", r.AddPrefix + "/"} {
		found := getIndex(t, client, site(r)+path+"?q=%20x", nil)
		if want := site(r) + r.AddPrefix + "/?q=%20x"; found.App != app.Name || found.URL != want || found.Version == "" {
			t.Errorf("%s: %+v, want %s at %s", path, found, app.Name, want)
		}
	}
	for path, want := range map[string]int{"/health": http.StatusOK, r.AddPrefix + "/health": http.StatusOK, "/no/such/page": http.StatusNotFound} {
		if status, body, _ := get(t, client, site(r)+path); status != want || want == http.StatusOK && body != "ok" {
			t.Errorf("%s: %d %.200q, want %d", path, status, body, want)
		}
	}
	expectHeaders(t, client, site(r)+"/")
	expectHTTPS(t, client, r.Host)

	// Only Cloudflare may say whom it speaks for, and nobody under which prefix.
	own := getIndex(t, client, site(r)+"/", nil)
	forged := getIndex(t, client, site(r)+"/", http.Header{
		"X-Forwarded-For": {"203.0.113.9"}, "Cf-Connecting-Ip": {"203.0.113.9"}, "X-Real-Ip": {"203.0.113.9"},
		"X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Prefix": {"/evil"}, "X-Forwarded-Proto": {"http"},
	})
	own.Tick, forged.Tick = "", "" // beat goes on
	if own.Client == "" || forged != own {
		t.Errorf("with forged headers the app sees %+v, without %+v", forged, own)
	}
	if r.Path != "" {
		if found := getIndex(t, client, site(r), nil); found.URL != site(r)+"/" {
			t.Errorf("without the slash: %+v", found)
		}
		expectOnlyPath(t, client, r)
	}
}

func expectPayload(t *testing.T, client *http.Client, app ledger.App, r ledger.Route) {
	t.Helper()
	hosts := []string{r.Host}
	if rest, wildcard := strings.CutPrefix(r.Host, "*"); wildcard {
		hosts = []string{"a" + rest, "b" + rest}
	}
	for _, host := range hosts {
		var found struct{ App, Host, Path string }
		status, body, _ := get(t, client, "https://"+host+"/some/page?x=1")
		if err := json.Unmarshal([]byte(body), &found); err != nil || status != http.StatusOK ||
			found.App != app.Name || found.Host != host || found.Path != "/some/page?x=1" {
			t.Errorf("%s: %d %.200q", host, status, body)
		}
		if status, body, _ := get(t, client, "https://"+host+"/health"); status != http.StatusOK || !strings.Contains(body, `"ok"`) {
			t.Errorf("%s/health: %d %.200q", host, status, body)
		}
		expectHeaders(t, client, "https://"+host+"/")
		expectHTTPS(t, client, host)
	}
}

func expectSocket(t *testing.T, client *http.Client, r ledger.Route) {
	t.Helper()
	if r.Host != "ws.psydge.com" {
		t.Fatalf("the suite's socket goes to ws.psydge.com; nothing tries %s", r.Host)
	}
	socket := openSocket(t, client)
	waitFor(t, "five echoes", func() error {
		if n := socket.echoes.Load(); n < 5 {
			return fmt.Errorf("%d came", n)
		}
		return nil
	})
	socket.close(t)
}

// expectNothingElse expects that Caddy knows no host but the ledger's: it has no
// certificate for another, and so ends the handshake.
func expectNothingElse(t *testing.T, client *http.Client) {
	t.Helper()
	for _, host := range []string{
		"www.psydge.com", "ws.snapify.pk", "portainer.alorig.com", "sites.alorig.com", "a.b.sites.alorig.com",
		"alorig_redis", "localhost", "example.com",
	} {
		answer, err := client.Get("https://" + host + "/")
		if err == nil {
			answer.Body.Close()
			t.Errorf("%s answers %s", host, answer.Status)
			continue
		}
		if !strings.Contains(err.Error(), "tls: internal error") {
			t.Errorf("%s: %v, want the handshake refused", host, err)
		}
	}
}

// backends are the addresses of all Django projects, each by its app's first route to it.
func backends(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, app := range fleet.Apps {
		for _, r := range app.Routes {
			if r.Upstream == ledger.Backend && found[app.Name] == "" {
				found[app.Name] = site(r)
			}
		}
		if found[app.Name] == "" {
			t.Errorf("no route leads to the backend of %s", app.Name)
		}
	}
	return found
}

// expectWorkers gives every app's worker a task, through Redis, and expects what it
// writes into the database.
func expectWorkers(t *testing.T, client *http.Client) {
	t.Helper()
	tasks := map[string]int{}
	for app, address := range backends(t) {
		// A connection from before PostgreSQL was away fails once.
		waitFor(t, "a task of "+app, func() (err error) {
			tasks[app], err = tryTask(client, address, 0)
			return err
		})
	}
	for app, address := range backends(t) {
		expectDone(t, client, address, tasks[app])
	}
}

// expectTicks expects that every app's beat has sent another tick, which its worker has
// put into the cache. Beat sends one each 30 seconds.
func expectTicks(t *testing.T, client *http.Client) {
	t.Helper()
	first := map[string]string{}
	for app, address := range backends(t) {
		first[app] = getIndex(t, client, address+"/", nil).Tick
	}
	for app, address := range backends(t) {
		waitFor(t, "a tick of "+app, func() error {
			tick := getIndex(t, client, address+"/", nil).Tick
			at, err := time.Parse(time.RFC3339, tick)
			switch {
			case err != nil:
				return err
			case tick == first[app]:
				return fmt.Errorf("the last one is of %s", tick)
			case time.Since(at) > 90*time.Second:
				return fmt.Errorf("%s is too old", tick)
			}
			return nil
		})
	}
}

// committed are the settings of the sandbox.
func (s *suite) committed(t *testing.T) settings.Settings {
	t.Helper()
	read, err := s.settings()
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// expectRestricted expects that a host lets administrators in and nobody else. This
// machine is no administrator: Caddy sees it at the gateway of the network.
func (s *suite) expectRestricted(t *testing.T, client *http.Client, app ledger.App, r ledger.Route) {
	t.Helper()
	ranges := s.committed(t).AdminCIDRs
	if len(ranges) == 0 {
		t.Fatal("there are no administrators")
	}
	inside := ranges[0].Masked().Addr().Next().Next().Next().Next().Next().Next()
	outside := ranges[0].Masked().Addr().Prev().Prev().Prev().Prev()
	for _, p := range ranges {
		if p.Contains(outside) {
			t.Fatalf("%s is meant to be outside and is in %s", outside, p)
		}
	}
	forgeries := []http.Header{nil}
	for _, name := range []string{"X-Forwarded-For", "Cf-Connecting-Ip", "X-Real-Ip", "True-Client-Ip", "X-Client-Ip"} {
		forgeries = append(forgeries, http.Header{name: {inside.String()}})
	}
	forgeries = append(forgeries,
		http.Header{"Forwarded": {"for=" + inside.String()}},
		http.Header{"X-Forwarded-For": {inside.String() + ", 173.245.48.5"}, "Cf-Connecting-Ip": {inside.String()}},
		http.Header{"X-Forwarded-For": {"173.245.48.5", inside.String()}})
	refused := func(t *testing.T, what string, status int, body string) {
		t.Helper()
		if status != http.StatusForbidden || body != "" {
			t.Errorf("%s: %d %.200q, want an empty 403", what, status, body)
		}
	}
	for _, forged := range forgeries {
		for _, path := range []string{"/", asset, "/index.html", "/some/page", "//", "/assets/../index.html"} {
			status, body, _ := ask(t, client, site(r)+path, forged.Clone())
			refused(t, fmt.Sprintf("%s with %v", path, forged), status, body)
		}
	}
	// The same on a connection that was opened for another host, and for a host that is
	// written in another way, which may be nobody's.
	for _, through := range []string{app.Hosts[0].Name, r.Host} {
		for _, host := range []string{r.Host, strings.ToUpper(r.Host), r.Host + ".", r.Host + ":443"} {
			status, body, _ := ask(t, client, "https://"+through+"/", http.Header{"Host": {host}})
			if status == http.StatusOK && strings.Contains(body, page(app, r)) || host == r.Host && status != http.StatusForbidden {
				t.Errorf("%s on a connection to %s: %d %.200q", host, through, status, body)
			}
		}
	}

	t.Run("inside", func(t *testing.T) {
		expectSPA(t, app, r, func(path string) (int, string, http.Header) {
			return askFrom(t, inside, r.Host, path, nil)
		})
		// What an administrator's browser claims is not believed either.
		status, body, _ := askFrom(t, inside, r.Host, "/", map[string]string{"CF-Connecting-IP": outside.String(), "X-Forwarded-For": outside.String()})
		if status != http.StatusOK || !strings.Contains(body, page(app, r)) {
			t.Errorf("with a foreign address in its headers: %d %.200q", status, body)
		}
	})
	t.Run("outside", func(t *testing.T) {
		for _, header := range []map[string]string{nil, {"CF-Connecting-IP": inside.String()}, {"X-Forwarded-For": inside.String()}} {
			status, body, _ := askFrom(t, outside, r.Host, "/", header)
			refused(t, fmt.Sprintf("with %v", header), status, body)
		}
	})
	expectHTTPS(t, client, r.Host)
}

// visitor asks Caddy for a page of a host over TLS; its arguments and its answer are JSON.
const visitor = `
import http.client, json, ssl, socket, sys
want = json.load(sys.stdin)
class Connection(http.client.HTTPSConnection):
    def connect(self):
        context = ssl.create_default_context(cadata=want["authority"])
        self.sock = context.wrap_socket(socket.create_connection(("alorig_caddy", 443), 10), server_hostname=self.host)
connection = Connection(want["host"], timeout=20)
connection.request("GET", want["path"], headers=want["header"])
answer = connection.getresponse()
print(json.dumps({"status": answer.status, "body": answer.read().decode(), "header": dict(answer.getheaders())}))
`

// askFrom asks from a container that has the address on the fleet's network.
func askFrom(t *testing.T, from netip.Addr, host, path string, header map[string]string) (int, string, http.Header) {
	t.Helper()
	if header == nil {
		header = map[string]string{}
	}
	var answer struct {
		Status int
		Body   string
		Header map[string]string
	}
	python(t, visitor, map[string]any{
		"authority": docker(t, "exec", "alorig_caddy", "cat", "/data/caddy/pki/authorities/local/root.crt"),
		"host":      host, "path": path, "header": header,
	}, &answer, "--network", fleet.Server.Network, "--ip", from.String())
	all := http.Header{}
	for name, value := range answer.Header {
		all.Set(name, value)
	}
	return answer.Status, answer.Body, all
}

// python runs a script in a container that is nobody's and is gone afterwards.
func python(t *testing.T, script string, in, out any, options ...string) {
	t.Helper()
	question, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"run", "--rm", "--interactive", "--pull", "never", "--memory", "256m"}, options...)
	cmd := exec.CommandContext(t.Context(), "docker", append(args, "--entrypoint", "python3", "alorig-sandbox/redis:1", "-c", script)...)
	cmd.Stdin = bytes.NewReader(question)
	answer, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
}

// expectRecords holds what the emulated Cloudflare API has against the ledger.
func (s *suite) expectRecords(t *testing.T) {
	t.Helper()
	read := s.committed(t)
	address, zones := read.Address, read.Zones
	type record struct {
		Zone, Name, Type, Content, Comment string
		Proxied                            bool
		TTL                                int
	}
	var want, got []record
	for _, app := range fleet.Apps {
		for _, h := range app.Hosts {
			r := record{Zone: h.Zone, Name: h.Name, Type: "A", Content: address, Comment: "alorig fleet: " + app.Name, Proxied: h.Proxied, TTL: 300}
			if h.Proxied {
				r.TTL = 1
			}
			want = append(want, r)
		}
	}
	authority, err := os.ReadFile(s.file("authorities.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		t.Fatal("the emulated API has no certificate")
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	for _, zone := range slices.Sorted(maps.Keys(zones)) {
		status, body, _ := ask(t, client, (&url.URL{Scheme: "https", Host: apiAddress, Path: "/client/v4/zones/" + zones[zone] + "/dns_records"}).String(),
			http.Header{"Authorization": {"Bearer " + s.own.Values["cloudflareApiToken"]}})
		var answer struct{ Result []cloudflaretest.Record }
		if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %.200q", zone, status, body)
		}
		for _, r := range answer.Result {
			got = append(got, record{Zone: r.ZoneName, Name: r.Name, Type: r.Type, Content: r.Content, Comment: r.Comment, Proxied: r.Proxied, TTL: r.TTL})
		}
	}
	for _, r := range want {
		if !slices.Contains(got, r) {
			t.Errorf("missing: %+v", r)
		}
	}
	for _, r := range got {
		if !slices.Contains(want, r) {
			t.Errorf("not the ledger's: %+v", r)
		}
	}
	if len(got) != len(want) {
		t.Errorf("there are %d records, want %d", len(got), len(want))
	}
}

// testPorts tries to reach what is not published.
func (s *suite) testPorts(t *testing.T) {
	table := fleet
	found := inspectStack(t)
	t.Run("published", func(t *testing.T) { expectPublished(t, table, found) })
	t.Run("listening", func(t *testing.T) { expectListening(t, table, found) })
	t.Run("network", func(t *testing.T) { expectNoStrangers(t, table, found) })
	t.Run("outside", func(t *testing.T) { expectUnreachable(t, table, found) })
	t.Run("admin endpoint", func(t *testing.T) { expectNoAdmin(t, table) })
}

// inspected is what the engine knows of a container.
type inspected struct {
	Name         string
	Image        string
	RestartCount int
	State        struct {
		Status    string
		OOMKilled bool
	}
	Config struct {
		Image string
		Env   []string
	}
	HostConfig struct {
		NetworkMode     string
		PublishAllPorts bool
		PortBindings    map[string][]struct{ HostIP, HostPort string }
	}
	NetworkSettings struct {
		Ports    map[string][]struct{ HostIP, HostPort string }
		Networks map[string]struct{ IPAddress string }
	}
}

// inspectStack is that of every container of the stack, by name.
func inspectStack(t *testing.T) map[string]inspected {
	t.Helper()
	names := lines(docker(t, "ps", "--all", "--format", "{{.Names}}", "--filter", "label="+ledger.LabelStack+"="+stack))
	if want := len(ledgerMemory()); len(names) < want {
		t.Fatalf("%d containers are there, the ledger has %d", len(names), want)
	}
	var all []inspected
	if err := json.Unmarshal([]byte(docker(t, append([]string{"container", "inspect"}, names...)...)), &all); err != nil {
		t.Fatal(err)
	}
	found := map[string]inspected{}
	for _, c := range all {
		c.Name = strings.TrimPrefix(c.Name, "/")
		found[c.Name] = c
	}
	return found
}

// expectPublished expects that Caddy alone has ports on the server.
func expectPublished(t *testing.T, table ledger.Ledger, found map[string]inspected) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(found)) {
		c := found[name]
		want := map[string]string{}
		for _, service := range table.Services {
			if service.Container == name {
				for _, port := range service.HostPorts {
					want[fmt.Sprintf("%d/tcp", port)] = strconv.Itoa(port)
				}
			}
		}
		for kind, ports := range map[string]map[string][]struct{ HostIP, HostPort string }{"declares": c.HostConfig.PortBindings, "has": c.NetworkSettings.Ports} {
			got := map[string]string{}
			for port, at := range ports {
				for _, binding := range at {
					got[port] = binding.HostPort
				}
			}
			if !maps.Equal(got, want) {
				t.Errorf("%s %s %v on the server, want %v", name, kind, got, want)
			}
		}
		if c.HostConfig.PublishAllPorts {
			t.Errorf("%s publishes whatever its image exposes", name)
		}
		if c.HostConfig.NetworkMode == "host" || len(c.NetworkSettings.Networks) != 1 || c.NetworkSettings.Networks[table.Server.Network].IPAddress == "" {
			t.Errorf("%s is on %v in mode %s, want %s alone", name, slices.Sorted(maps.Keys(c.NetworkSettings.Networks)), c.HostConfig.NetworkMode, table.Server.Network)
		}
	}
}

// ledgerPorts are where each container listens.
func ledgerPorts(table ledger.Ledger) map[string][]int {
	ports := map[string][]int{}
	for _, service := range table.Services {
		ports[service.Container] = append(service.HostPorts, service.Port)
	}
	for _, app := range table.Apps {
		for _, c := range app.Containers {
			name := ledger.ContainerName(app.Name, c.Role)
			ports[name] = nil
			if c.Port != 0 {
				ports[name] = []int{c.Port}
			}
		}
	}
	for name := range ports {
		slices.Sort(ports[name])
		ports[name] = slices.Compact(ports[name])
	}
	return ports
}

// expectListening expects that every container listens where the ledger says and nowhere
// else, but for its own loopback.
func expectListening(t *testing.T, table ledger.Ledger, found map[string]inspected) {
	t.Helper()
	for name, want := range ledgerPorts(table) {
		if _, there := found[name]; !there {
			continue // expectHealthy says which must be
		}
		var got []int
		for _, line := range lines(docker(t, "exec", name, "sh", "-c", "cat /proc/net/tcp /proc/net/tcp6")) {
			fields := strings.Fields(line)
			if len(fields) < 4 || fields[3] != "0A" { // LISTEN
				continue
			}
			address, port, _ := strings.Cut(fields[1], ":")
			if strings.HasSuffix(address, "7F") && len(address) == 8 || address == "00000000000000000000000001000000" {
				continue
			}
			n, err := strconv.ParseInt(port, 16, 32)
			if err != nil {
				t.Fatalf("%s: %q", name, line)
			}
			got = append(got, int(n))
		}
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, want) {
			t.Errorf("%s listens on %v, want %v", name, got, want)
		}
	}
}

// expectNoStrangers expects that only the stack's containers are on its network.
func expectNoStrangers(t *testing.T, table ledger.Ledger, found map[string]inspected) {
	t.Helper()
	var networks []struct {
		Containers map[string]struct{ Name string }
	}
	if err := json.Unmarshal([]byte(docker(t, "network", "inspect", table.Server.Network)), &networks); err != nil || len(networks) != 1 {
		t.Fatalf("%d networks, %v", len(networks), err)
	}
	if len(networks[0].Containers) < len(ledgerMemory()) {
		t.Errorf("%d containers are on %s", len(networks[0].Containers), table.Server.Network)
	}
	for _, c := range networks[0].Containers {
		if _, ours := found[c.Name]; !ours {
			t.Errorf("%s is on %s and belongs to nobody", c.Name, table.Server.Network)
		}
	}
}

// scanner tries to connect to addresses and ports and answers those that let it.
const scanner = `
import asyncio, json, sys
want = json.load(sys.stdin)
free = asyncio.Semaphore(200)
async def attempt(host, port):
    async with free:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), want["seconds"])
        except (OSError, asyncio.TimeoutError):
            return None
        writer.close()
        return f"{host}:{port}"
async def main():
    found = await asyncio.gather(*(attempt(host, port) for host in want["hosts"] for port in want["ports"]))
    print(json.dumps(sorted(f for f in found if f)))
asyncio.run(main())
`

func scan(t *testing.T, network string, hosts []string, ports []int) []string {
	t.Helper()
	var open []string
	python(t, scanner, map[string]any{"hosts": hosts, "ports": ports, "seconds": 3}, &open, "--network", network)
	return open
}

// expectUnreachable expects that a container of another network reaches none of the
// fleet's addresses. Docker isolates its bridges from each other. A process on the server
// itself is not outside: the server routes to all of its containers, as the update of
// databases relies on; who can start one there is an operator.
func expectUnreachable(t *testing.T, table ledger.Ledger, found map[string]inspected) {
	t.Helper()
	ports := []int{2019} // Caddy's admin endpoint
	for _, of := range ledgerPorts(table) {
		ports = append(ports, of...)
	}
	for _, r := range table.Reserved {
		if r.Port != 0 {
			ports = append(ports, r.Port)
		}
	}
	slices.Sort(ports)
	ports = slices.Compact(ports)
	var addresses, names, served []string
	for _, name := range slices.Sorted(maps.Keys(found)) {
		address := found[name].NetworkSettings.Networks[table.Server.Network].IPAddress
		addresses, names = append(addresses, address), append(names, name)
		for _, port := range ledgerPorts(table)[name] {
			served = append(served, fmt.Sprintf("%s:%d", address, port))
		}
	}
	slices.Sort(served)
	// Inside, the same scan finds all that is served and nothing else.
	if open := scan(t, table.Server.Network, addresses, ports); !slices.Equal(open, served) {
		t.Errorf("from inside open: %v, want %v", open, served)
	}

	const elsewhere = "alorig_sandbox_elsewhere"
	docker(t, "network", "create", elsewhere)
	defer docker(t, "network", "rm", elsewhere)
	if open := scan(t, elsewhere, append(addresses, names...), ports); len(open) > 0 {
		t.Errorf("from another network open: %v", open)
	}
	// The server's own address is what a visitor sees: there the same scan finds Caddy.
	gateway := docker(t, "network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", elsewhere)
	caddy, _ := table.Service(ledger.Caddy)
	var published []string
	for _, port := range caddy.HostPorts {
		published = append(published, fmt.Sprintf("%s:%d", gateway, port))
	}
	slices.Sort(published)
	if open := scan(t, elsewhere, []string{gateway}, ports); !slices.Equal(open, published) {
		t.Errorf("at the server's address open: %v, want %v", open, published)
	}
}

// expectNoAdmin expects that Caddy's admin endpoint, by which anybody can change every
// route, answers inside its container alone.
func expectNoAdmin(t *testing.T, table ledger.Ledger) {
	t.Helper()
	if said := docker(t, "exec", "alorig_caddy", "wget", "-q", "-O", "-", "http://localhost:2019/config/apps/http/servers"); !strings.Contains(said, "psydge.com") {
		t.Errorf("inside its container the admin endpoint says %.200q", said)
	}
	open := scan(t, table.Server.Network, []string{"alorig_caddy"}, []int{443, 2019})
	if want := []string{"alorig_caddy:443"}; !slices.Equal(open, want) {
		t.Errorf("open at Caddy: %v, want %v", open, want)
	}
	for app := range backends(t) {
		c := ledger.ContainerName(app, ledger.Backend)
		for _, address := range []string{"http://alorig_caddy:2019/config/", "http://localhost:2019/config/"} {
			if said, err := tryDocker("exec", c, "wget", "-q", "-T", "3", "-O", "-", address); err == nil {
				t.Errorf("%s reaches %s: %.200q", c, address, said)
			}
		}
	}
}
