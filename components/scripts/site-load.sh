set -eu
# One change at a time: two of them would validate each other's half-made state.
exec 9>"$sites/.lock"
flock 9
config=/etc/caddy/Caddyfile

# Puts back what was there, on any way out but success.
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

# Runs what Caddy itself says of its configuration, and shows it only when it refuses.
load() {
	for step in validate reload; do
		if ! said=$(docker exec "$caddy" caddy "$step" --config "$config" 2>&1); then
			printf '%s\n' "$said" | tail -n 5 >&2
			return 1
		fi
	done
}
