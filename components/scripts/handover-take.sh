# The end of the handover runs when this output changes, so it is another text each time.
cat /proc/sys/kernel/random/uuid
settle
try
# It serves now, so it gets as much of the processor as the old container.
docker update --restart unless-stopped --cpu-shares 1024 "$next" >/dev/null
# Under another name the old container gets no new request. It finishes those that it has.
docker rename "$container" "$previous"
sleep 1
