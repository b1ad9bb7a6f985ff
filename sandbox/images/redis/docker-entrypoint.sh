#!/bin/sh
# Behaves as the official image does: gives its directory to the user redis and leaves root.
set -eu
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
	find . ! -user redis -exec chown redis '{}' +
	exec setpriv --reuid=redis --regid=redis --clear-groups "$0" "$@"
fi
umask 0077
exec "$@"
