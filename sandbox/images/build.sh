#!/bin/sh
# Builds the images of the sandbox with the tag $1; $2 is the Caddy binary.
set -eu
tag=$1
caddy=$2
cd "$(dirname "$0")"
export DOCKER_BUILDKIT=0 # the classic builder is in every engine

root=alorig-sandbox/root:$(cat root.sh packages | sha256sum | cut -c1-12)
if ! docker image inspect "$root" >/dev/null 2>&1; then
	echo "Unpacking Debian's packages into $root, once; about five minutes." >&2
	./root.sh "$root" >&2
fi

build() { # image directory
	said=$(docker build --quiet --build-arg "ROOT=$root" --build-arg "VERSION=$tag" --tag "alorig-sandbox/$1:$tag" "$2" 2>&1) ||
		{ printf '%s\n' "$said" >&2; exit 1; }
}
build postgres postgres
build redis redis
build django ../app
build payload ../payload
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
cp caddy/Dockerfile "$caddy" "$context"
build caddy "$context"
