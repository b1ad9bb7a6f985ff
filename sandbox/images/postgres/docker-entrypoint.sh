#!/bin/sh
# Behaves as the official image does: makes the cluster once, with the superuser that
# POSTGRES_USER and POSTGRES_PASSWORD name, and runs it as the user postgres.
set -eu
if [ "$(id -u)" = 0 ]; then
	chown postgres:postgres "$PGDATA"
	chmod 0700 "$PGDATA"
	exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	umask 077
	password=$(mktemp)
	printf '%s' "$POSTGRES_PASSWORD" >"$password"
	initdb --username="${POSTGRES_USER:-postgres}" --pwfile="$password" --encoding=UTF8 --locale=C.UTF-8 \
		--auth-local=trust --auth-host=scram-sha-256
	rm -f "$password"
	echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
	echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
fi
unset POSTGRES_PASSWORD
# The official image asks Docker for SIGINT: with SIGTERM the server waits for its clients.
"$@" &
server=$!
trap 'kill -INT "$server"' TERM INT
while kill -0 "$server" 2>/dev/null; do
	status=0
	wait "$server" || status=$?
done
exit "$status"
