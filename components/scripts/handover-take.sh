settle
prove
docker update --restart unless-stopped "$successor" >/dev/null
# Under another name no new request finds the old container, and those it has it finishes.
docker rename "$container" "$predecessor"
sleep 1
