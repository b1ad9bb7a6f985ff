# Functions of a handover. $container serves. $next is its next version, which create makes;
# standard input holds its variables. Caddy asks the next version only while it cannot reach
# the container (docs/adr/0018-handover.md).
set -eu
environment=$(cat)
# The script of an update that was killed may still be running.
exec 9>"$lock"
flock 9

exists() { docker container inspect "$1" >/dev/null 2>&1; }

# Prints status and health: "running/healthy", "exited/unhealthy", "missing".
state() {
	said=$(docker container inspect --format '{{.State.Status}}/{{if .State.Health}}{{.State.Health.Status}}{{end}}' "$1" 2>/dev/null) || said=missing
	echo "$said"
}

# Fails if a container is not of this stack: it must be neither renamed nor removed.
ours() {
	[ "$(docker container inspect --format '{{index .Config.Labels "alorig.fleet.stack"}}' "$1")" != "$stack" ] || return 0
	echo "The container $1 stands in the way of a handover and does not belong to the stack $stack; rename or remove it, and run the update again." >&2
	exit 1
}

# Stops a container, with its own signal and grace, and removes it.
end() {
	ours "$1"
	docker stop "$1" >/dev/null
	docker rm "$1" >/dev/null
}

# Finishes or undoes what a killed update has left. Ends the script if no container can be
# handed over.
settle() {
	for c in "$container" "$next" "$previous"; do
		if exists "$c"; then ours "$c"; fi
	done
	if exists "$previous"; then
		if exists "$container"; then
			end "$previous"
		elif [ "$(state "$next")" = running/healthy ] && [ "$(state "$previous")" != running/healthy ]; then
			exit 0
		else
			docker rename "$previous" "$container"
		fi
	fi
	now=$(state "$container")
	if exists "$next"; then
		# The next version serves, because the container cannot. It must stay until the container does.
		if [ "$now" != running/healthy ] && [ "$(state "$next")" = running/healthy ]; then
			exit 0
		fi
		end "$next"
	fi
	case $now in running/*) ;; *) exit 0 ;; esac
}

# Waits until a container is healthy, for $patience seconds at most.
healthy() {
	deadline=$(($(date +%s) + patience))
	while :; do
		case $(state "$1") in
		running/healthy) return 0 ;;
		running/starting | running/ | created/*) ;;
		*) return 1 ;;
		esac
		[ "$(date +%s)" -lt "$deadline" ] || return 1
		sleep 0.5
	done
}

# Starts the next version beside the container. If it fails, it is stopped and kept for inspection.
try() {
	(
		eval "$environment"
		create "$next" >/dev/null
	)
	docker start "$next" >/dev/null && healthy "$next" && return 0
	said=$(state "$next")
	docker stop "$next" >/dev/null
	echo "The next version of $container did not become healthy: $next was $said." >&2
	echo "$container has not been touched and goes on serving. Look at \`docker logs $next\`, mend the cause, and run the update again." >&2
	exit 1
}
