#!/bin/sh
# Makes the images of the sandbox with the tag $1; $2 is the Caddy binary. PostgreSQL and
# Redis are the official images where a registry is reachable, and the distribution's
# packages where none is.
set -eu
tag=$1
caddy=$2
cd "$(dirname "$0")"

root=alorig-sandbox/root:$(cat root.sh packages | sha256sum | cut -c1-12)
if ! docker image inspect "$root" >/dev/null 2>&1; then
	echo "Unpacking Debian's packages into $root, once; about five minutes." >&2
	./root.sh "$root" >&2
fi

# Gives our name to an official image.
official() {
	docker image inspect "alorig-sandbox/$1:$tag" >/dev/null 2>&1 && return 1
	docker pull --quiet "$2" >/dev/null 2>&1 && docker tag "$2" "alorig-sandbox/$1:$tag"
}

official postgres postgres:16 || ./layer.sh "alorig-sandbox/postgres:$tag" "$root" postgres /usr/local/bin \
	'ENV PGDATA=/var/lib/postgresql/data PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
	'ENTRYPOINT ["docker-entrypoint.sh"]' 'CMD ["postgres"]'
official redis redis:7 || ./layer.sh "alorig-sandbox/redis:$tag" "$root" redis /usr/local/bin \
	'WORKDIR /data' 'ENTRYPOINT ["docker-entrypoint.sh"]' 'CMD ["redis-server"]'
./layer.sh "alorig-sandbox/django:$tag" "$root" ../app /app \
	"ENV PYTHONUNBUFFERED=1 DEMO_VERSION=$tag" 'WORKDIR /app' 'USER app'
./layer.sh "alorig-sandbox/payload:$tag" "$root" ../payload /app \
	"ENV NODE_PATH=/usr/share/nodejs DEMO_VERSION=$tag" 'WORKDIR /app' 'USER app'
binary=$(mktemp -d)
trap 'rm -rf "$binary"' EXIT
mkdir -p "$binary/usr/bin" "$binary/data" # root's, not Redis'
cp "$caddy" "$binary/usr/bin"
./layer.sh "alorig-sandbox/caddy:$tag" "$root" "$binary" / \
	'ENV XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data' 'WORKDIR /srv' 'CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile"]'
