# Checks what every app needs, and reports all problems at once.
set -eu
problems=
for c in $postgres $redis $caddy; do
	docker inspect --format '{{.State.Running}} {{range $n, $_ := .NetworkSettings.Networks}}{{$n}} {{end}}' "$c" 2>/dev/null |
		grep -qE "^true (.* )?$network " || problems="$problems\n- $c does not run on the network $network"
done
docker exec "$caddy" caddy list-modules 2>/dev/null | grep -qx dns.providers.cloudflare ||
	problems="$problems\n- the Caddy in $caddy has no dns.providers.cloudflare: no certificate by the DNS challenge"
[ -d "$sites" ] && [ -w "$sites" ] ||
	problems="$problems\n- $sites is no directory this user may write to; Caddy's site files go there"
command -v flock >/dev/null || problems="$problems\n- flock is missing on the server (Debian: util-linux)"
if [ -n "$problems" ]; then
	printf "The shared services are not what the apps need:$problems\nSee docs/runbook.md, What Phase 0 must provide.\n" >&2
	exit 1
fi
