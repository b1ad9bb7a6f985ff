package caddysite

import "slices"

// The limits of a site file. The measurements behind them are in
// docs/adr/0007-requests-held-websockets-kept.md and docs/adr/0018-handover.md.
const (
	// Larger uploads belong in object storage, by a signed URL.
	maxRequestBody = "25MB"

	// How long a request waits for an upstream that is being replaced.
	holdFor  = "30s"
	retryAt  = "25ms"
	dialTime = "200ms"
	// How long the next version is asked in place of a container that could not be reached,
	// before that is tried again. Where there is no next version either, requests wait this
	// long before the next try.
	failFor = "250ms"

	// Cloudflare gives up after 100 s; nobody waits for an answer later than this.
	responseHeaderTime = "120s"

	// A reload leaves sockets open this long. No socket outlives it, so that the end of
	// the delay never cuts all of them at once.
	streamTime = "24h"
)

// writeCommon writes what all sites of the app share, as a snippet.
func writeCommon(w *writer, snippet string, t TLS) {
	w.block([]string{"(" + snippet + ")"}, func() {
		switch t {
		case Internal:
			w.line("tls", "internal")
		case Cloudflare:
			w.block([]string{"tls"}, func() {
				w.line("dns", "cloudflare", "{env.CLOUDFLARE_API_TOKEN}")
				// The server's own resolver may still hold the zone as it was before the challenge.
				w.line("resolvers", "1.1.1.1")
			})
		}
		w.block([]string{"log"}, func() {
			w.line("output", "stdout")
			w.line("format", "json")
		})
		w.line("log_append", "request_id", "{uuid}")
		w.line("encode", "zstd", "gzip")
		writeHeaders(w, t)
	})
}

// writeHeaders sets defaults, so that an app can say otherwise. One directive per
// header: in one block, a single header the app has set would drop all the defaults.
func writeHeaders(w *writer, t TLS) {
	if t != Internal {
		// Without includeSubDomains: not every name below the zone is ours. Not in the
		// sandbox: a browser that remembers it refuses Caddy's own certificate for good.
		w.line("header", "?Strict-Transport-Security", "max-age=31536000")
	}
	w.line("header", "?X-Content-Type-Options", "nosniff")
	w.line("header", "?X-Frame-Options", "SAMEORIGIN")
	w.line("header", "?Referrer-Policy", "strict-origin-when-cross-origin")
	w.line("header", "?Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	w.block([]string{"header"}, func() {
		w.line("-Server")
		w.line("-Via")
		w.line("-X-Powered-By")
	})
}

func (s Site) write(w *writer, snippet string) {
	w.block([]string{s.Host}, func() {
		w.line("import", snippet)
		for _, h := range s.Handles {
			h.write(w)
		}
		if !slices.ContainsFunc(s.Handles, func(h Handle) bool { return h.Path == "" }) {
			w.line("respond", "404")
		}
	})
}

// write uses `route`, because it keeps the order it is written in: the restriction
// must come before everything, and the prefix must be gone before files are looked for.
func (h Handle) write(w *writer) {
	words := []string{"route"}
	if h.Path != "" {
		w.line(h.matcher(), "path", h.Path, h.Path+"/*")
		words = append(words, h.matcher())
	}
	w.block(words, func() {
		if len(h.Admins) > 0 {
			w.line(append([]string{"@outside", "not", "client_ip"}, prefixWords(h.Admins)...)...)
			w.line("respond", "@outside", "403")
		}
		if h.Root != "" {
			h.writeStatic(w)
		} else {
			h.writeProxy(w)
		}
	})
}

func (h Handle) writeStatic(w *writer) {
	if h.Path != "" {
		// Relative links of index.html resolve only below the slash.
		w.line("@bare", "path", h.Path)
		w.line("redir", "@bare", h.Path+"/{?query}", "308")
		w.line("uri", "strip_prefix", h.Path)
	}
	w.line("root", h.Root)
	// A build names the files below /assets after their content. What lies elsewhere
	// keeps its name and must be asked for again.
	w.line("header", "Cache-Control", "no-cache")
	w.line("@asset", "path", "/assets/*")
	w.block([]string{"header", "@asset"}, func() {
		cache := "public"
		if len(h.Admins) > 0 {
			// Cloudflare would serve its copy to anybody.
			cache = "private"
		}
		w.line("Cache-Control", cache+", max-age=31536000, immutable")
		w.line("match", "status", "200", "206", "304")
	})
	// A page in place of a missing script would be an HTML document that browsers and
	// Cloudflare keep as a script.
	w.block([]string{"@page"}, func() {
		w.line("not", "path", "/assets/*")
		w.line("not", "file")
	})
	w.line("rewrite", "@page", "/index.html")
	w.line("file_server")
}

func (h Handle) writeProxy(w *writer) {
	w.block([]string{"request_body"}, func() { w.line("max_size", maxRequestBody) })
	if h.Path != "" {
		w.line("uri", "strip_prefix", h.Path)
	}
	if h.AddPrefix != "" {
		// The upstream writes links with the prefix in them; those come back as they are.
		w.line("@bare", "not", "path", h.AddPrefix, h.AddPrefix+"/*")
		w.line("rewrite", "@bare", h.AddPrefix+"{uri}")
	}
	w.block([]string{"reverse_proxy", h.Upstream, h.Next}, func() {
		w.line("lb_policy", "first")
		w.line("lb_try_duration", holdFor)
		w.line("lb_try_interval", retryAt)
		w.line("fail_duration", failFor)
		if h.WebSocket {
			w.line("stream_timeout", streamTime)
			w.line("stream_close_delay", streamTime)
		}
		// Servers differ in the header that they believe, and Daphne takes the leftmost address
		// of X-Forwarded-For, which the visitor writes (django/daphne#86): there is one address.
		w.line("header_up", "X-Real-IP", "{client_ip}")
		w.line("header_up", "X-Forwarded-For", "{client_ip}")
		for _, name := range []string{"CF-Connecting-IP", "Forwarded", "True-Client-IP", "X-Client-IP", "X-Cluster-Client-IP"} {
			w.line("header_up", "-"+name)
		}
		w.line("header_up", "X-Request-ID", "{uuid}")
		if h.Path != "" {
			w.line("header_up", "X-Forwarded-Prefix", h.Path)
		} else {
			// Django builds links from it; a client must not choose it.
			w.line("header_up", "-X-Forwarded-Prefix")
		}
		w.block([]string{"transport", "http"}, func() {
			w.line("dial_timeout", dialTime)
			w.line("response_header_timeout", responseHeaderTime)
			// An idle connection may lead to the container that was just replaced.
			w.line("keepalive", "off")
		})
	})
}
