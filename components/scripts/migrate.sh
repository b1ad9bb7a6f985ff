# Migrates a database in a container of its own, which create makes. Standard input holds
# its variables.
set -eu
environment=$(cat)
exec 9>"$lock"
flock 9
problems=
for c in $needs; do
	now=$(docker container inspect --format '{{.State.Status}}' "$c" 2>/dev/null) || now=missing
	[ "$now" = running ] || problems="$problems\n- $c is $now: docker start $c"
done
if [ -n "$problems" ]; then
	printf "Nothing of $app was changed, since it could not work without:$problems\nStart what is missing, and run the update again.\n" >&2
	exit 1
fi
# Two migrations never run at the same time. One that a killed update has left finishes first.
if docker container inspect "$migration" >/dev/null 2>&1; then
	if [ "$(docker container inspect --format '{{index .Config.Labels "alorig.fleet.stack"}}' "$migration")" != "$stack" ]; then
		echo "The container $migration stands in the way of a migration and does not belong to the stack $stack; rename or remove it, and run the update again." >&2
		exit 1
	fi
	docker wait "$migration" >/dev/null
	docker rm "$migration" >/dev/null
fi
(
	eval "$environment"
	create "$migration" >/dev/null
)
docker start "$migration" >/dev/null
status=$(docker wait "$migration")
if [ "$status" != 0 ]; then
	echo "The migration of $app ended with exit code $status; its containers were not touched and go on with the version before." >&2
	echo "Look at \`docker logs $migration\`, mend the cause, and run the update again." >&2
	exit 1
fi
docker rm "$migration" >/dev/null
