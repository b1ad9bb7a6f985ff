#!/bin/sh
# Makes the image $1: the image $2 with the files of the directory $3 at $4, and the
# changes that follow, in the words of a Dockerfile. One layer: where the engine compares
# whole trees, each instruction of a Dockerfile takes as long as all of this. Does nothing
# when the image is there and was made of the same.
set -eu
image=$1 base=$2 directory=$3 destination=$4
shift 4
made=$({ docker image inspect --format '{{.Id}}' "$base"; printf '%s\n' "$destination" "$@"; cd "$directory"; find . -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum; } | sha256sum | cut -c1-64)
if [ "$(docker image inspect --format '{{index .Config.Labels "alorig.sandbox.made"}}' "$image" 2>/dev/null)" = "$made" ]; then
	exit 0
fi
echo "Making $image." >&2
container=$(docker create "$base" true)
trap 'docker rm "$container" >/dev/null' EXIT
docker cp "$directory/." "$container:$destination"
for change; do
	set -- "$@" --change "$change"
	shift
done
docker commit --change "LABEL alorig.sandbox.made=$made" "$@" "$container" "$image" >/dev/null
