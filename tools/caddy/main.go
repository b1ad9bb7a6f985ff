// Command caddy is the Caddy that serves the fleet: the standard modules and the
// Cloudflare DNS module, without which wildcard certificates cannot be had.
package main

import (
	_ "github.com/caddy-dns/cloudflare"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() {
	caddycmd.Main()
}
