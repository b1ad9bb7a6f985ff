# What it prints is another text each time, so that the end of the handover runs after it.
cat /proc/sys/kernel/random/uuid
settle
try
# In their place it gets the processor like them.
docker update --restart unless-stopped --cpu-shares 1024 "$next" >/dev/null
# Under another name no new request finds the old container, and those it has it finishes.
docker rename "$container" "$previous"
sleep 1
