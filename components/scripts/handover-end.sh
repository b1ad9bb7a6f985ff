# An update that did not replace the container after all leaves the old one in its place.
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
# Caddy finds the container again within its fail_duration.
sleep 1
end "$next"
