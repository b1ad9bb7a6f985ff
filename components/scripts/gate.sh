# Waits until all of $containers are running and healthy at once, for $patience seconds at most.
set -eu
deadline=$(($(date +%s) + patience))
while :; do
	waiting=
	for c in $containers; do
		state=$(docker inspect --format '{{.State.Status}}/{{if .State.Health}}{{.State.Health.Status}}{{else}}no health check{{end}}' "$c" 2>/dev/null) || state=missing
		[ "$state" = running/healthy ] || waiting="$waiting $c is $state;"
	done
	[ -n "$waiting" ] || exit 0
	if [ "$(date +%s)" -ge "$deadline" ]; then
		echo "Not healthy after $patience seconds:$waiting the next app was not started." >&2
		echo "Look at \`docker logs\` of each, mend the cause, and run the update again." >&2
		exit 1
	fi
	sleep 2
done
