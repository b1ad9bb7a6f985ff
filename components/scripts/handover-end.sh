# If the update has not replaced the container, the old one gets its name back.
if exists "$previous" && ! exists "$container"; then
	ours "$previous"
	docker rename "$previous" "$container"
fi
exists "$next" || exit 0
if ! healthy "$container"; then
	echo "$container is $(state "$container"), so $next goes on serving in its place." >&2
	echo "Look at \`docker logs $container\`, mend the cause, and run the update again." >&2
	exit 1
fi
# After its fail_duration, which is shorter, Caddy asks the container again.
sleep 1
end "$next"
