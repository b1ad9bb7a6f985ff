set -eu
# One change at a time: otherwise two changes would validate each other's unfinished state.
exec 9>"$sites/.lock"
flock 9
config=/etc/caddy/Caddyfile

# Puts the old file back, unless the script succeeds.
restore() {
	status=$?
	trap - EXIT HUP INT TERM
	rm -f "$sites/.$file.new"
	if [ "$status" -ne 0 ] && [ -e "$sites/.$file.changed" ]; then
		if [ -e "$sites/.$file.old" ]; then
			mv "$sites/.$file.old" "$sites/$file"
		else
			rm -f "$sites/$file"
		fi
		docker exec "$caddy" caddy reload --config "$config" >/dev/null 2>&1 || true
		echo "The site file $file was refused; the one before it is back and still served." >&2
	fi
	rm -f "$sites/.$file.old" "$sites/.$file.changed"
	exit "$status"
}
trap restore EXIT
trap 'exit 130' HUP INT TERM

# Lets Caddy validate and load its configuration, and shows what it says only if it refuses.
load() {
	for step in validate reload; do
		if ! said=$(docker exec "$caddy" caddy "$step" --config "$config" 2>&1); then
			printf '%s\n' "$said" | tail -n 5 >&2
			return 1
		fi
	done
}
