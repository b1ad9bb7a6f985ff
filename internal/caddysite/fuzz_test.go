package caddysite_test

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/alorig/fleet/internal/caddysite"
	"github.com/alorig/fleet/internal/ledger"
)

// FuzzRender holds every name from outside against Caddyfile injection: Render refuses
// it, or returns a file of the lines that Render writes, with one site block per host.
func FuzzRender(f *testing.F) {
	for _, app := range ledger.Alorig().Apps {
		for _, r := range app.Routes {
			c, _ := app.Container(r.Upstream)
			f.Add(app.Name, r.Host, r.Path, r.Static, string(r.Upstream), c.Port, r.AddPrefix, r.WebSocket, r.Restricted)
		}
	}
	f.Add("x\n}\nevil.com {", "a.com", "", "web", "", 0, "", false, false)
	f.Add("x", "a.com {\n respond hi\n}\nb.com", "", "web", "", 0, "", false, false)
	f.Add("x", "{$PATH}.com", "/{env.HOME}", "", "backend", 80, "/`", true, true)
	f.Add("x", "a.com", "/a\" {", "", "backend\"", 80, "/<<EOF", false, false)
	f.Add("x", "a.com", "/a", "", "backend", 80, "/b\\", false, true)
	f.Add("import", "(snippet)", "/#", "import", "import", 80, "", false, false)
	f.Fuzz(func(t *testing.T, name, host, path, static, upstream string, port int, prefix string, socket, restricted bool) {
		app := ledger.App{Name: name, Containers: []ledger.Container{{Role: ledger.Role(upstream), Port: port}}, Routes: []ledger.Route{
			{Host: host, Path: path, Static: static, Upstream: ledger.Role(upstream), AddPrefix: prefix, WebSocket: socket, Restricted: restricted},
			{Host: "second.example.com", Static: "web"},
		}}
		o := caddysite.Options{TLS: caddysite.Cloudflare, AdminCIDRs: []netip.Prefix{netip.MustParsePrefix("203.0.113.7/32")}}
		text, err := caddysite.Render(app, o)
		if err != nil {
			return
		}
		hosts := 2
		if host == "second.example.com" {
			hosts = 1 // two routes of one host
		}
		checkStructure(t, text, hosts)
	})
}

// knownLine matches every line a site file can have. A name takes the place of \S+, so
// it can neither end the line nor add a word to it.
var knownLine = regexp.MustCompile(`^(` + strings.Join([]string{
	``,
	`# [a-z0-9_-]+: rendered from the ledger, do not edit\.`,
	`\([a-z0-9_-]+_site\) \{`,
	`(\*\.)?[a-z0-9.-]+ \{`,
	`\t+\}`, `\}`,
	`\t(tls|log|header|route|route @/\S+) \{`,
	`\t\tdns cloudflare \{env\.CLOUDFLARE_API_TOKEN\}`,
	`\t\tresolvers 1\.1\.1\.1`,
	`\t\t(output stdout|format json)`,
	`\tlog_append request_id \{uuid\}`,
	`\tencode zstd gzip`,
	`\theader \?[A-Za-z-]+ ([a-zA-Z0-9=-]+|"[a-z0-9=(), -]+")`,
	`\t\t-(Server|Via|X-Powered-By)`,
	`\timport [a-z0-9_-]+_site`,
	`\trespond 404`,
	`\t@/[^\s{}"\x60]+ path /[^\s{}"\x60]+ /[^\s{}"\x60]+/\*`,
	`\t\t@outside not client_ip 203\.0\.113\.7/32`,
	`\t\trespond @outside 403`,
	`\t\t@bare path /[^\s{}"\x60]+`,
	`\t\tredir @bare /[^\s{}"\x60]+/\{\?query\} 308`,
	`\t\turi strip_prefix /[^\s{}"\x60]+`,
	`\t\troot /srv/static/[a-z0-9_-]+/[a-z0-9_-]+`,
	`\t\theader Cache-Control no-cache`,
	`\t\t@asset path /assets/\*`,
	`\t\theader @asset \{`,
	`\t\t\tCache-Control "(public|private), max-age=31536000, immutable"`,
	`\t\t\tmatch status 200 206 304`,
	`\t\t@page \{`, `\t\t\tnot path /assets/\*`, `\t\t\tnot file`,
	`\t\trewrite @page /index\.html`,
	`\t\tfile_server`,
	`\t\trequest_body \{`, `\t\t\tmax_size 25MB`,
	`\t\t@bare not path /[^\s{}"\x60]+ /[^\s{}"\x60]+/\*`,
	`\t\trewrite @bare /[^\s{}"\x60]+\{uri\}`,
	`\t\treverse_proxy [a-z0-9_-]+:[0-9]{1,5} [a-z0-9_-]+_next:[0-9]{1,5} \{`,
	`\t\t\t(lb_policy first|lb_try_duration 30s|lb_try_interval 25ms|fail_duration 250ms|stream_timeout 24h|stream_close_delay 24h)`,
	`\t\t\theader_up (X-Real-IP \{client_ip\}|X-Forwarded-For \{client_ip\}|-(CF-Connecting-IP|Forwarded|True-Client-IP|X-Client-IP|X-Cluster-Client-IP)|X-Request-ID \{uuid\}|-X-Forwarded-Prefix|X-Forwarded-Prefix /[^\s{}"\x60]+)`,
	`\t\t\ttransport http \{`,
	`\t\t\t\t(dial_timeout 200ms|response_header_timeout 120s|keepalive off)`,
}, `|`) + `)$`)

func checkStructure(t *testing.T, text string, hosts int) {
	t.Helper()
	sites, depth := 0, 0
	for _, line := range strings.Split(text, "\n") {
		if !knownLine.MatchString(line) {
			t.Fatalf("Render does not write the line %q:\n%s", line, text)
		}
		if words := strings.Fields(line); len(words) == 4 && words[0] == "reverse_proxy" && words[2] != strings.Replace(words[1], ":", "_next:", 1) {
			t.Fatalf("%s is no next version of %s", words[2], words[1])
		}
		if depth == 0 && strings.HasSuffix(line, " {") && !strings.HasPrefix(line, "(") {
			sites++
		}
		switch {
		case strings.HasSuffix(line, " {"):
			depth++
		case strings.HasSuffix(line, "\t}") || line == "}":
			depth--
		}
	}
	if sites != hosts || depth != 0 {
		t.Fatalf("%d site blocks for %d hosts, %d blocks left open:\n%s", sites, hosts, depth, text)
	}
}

func TestTheGoldenFilesHaveTheStructure(t *testing.T) {
	for _, app := range ledger.Alorig().Apps {
		text := render(t, app, caddysite.Options{TLS: caddysite.Cloudflare, AdminCIDRs: []netip.Prefix{netip.MustParsePrefix("203.0.113.7/32")}})
		checkStructure(t, text, len(app.Hosts))
	}
}
