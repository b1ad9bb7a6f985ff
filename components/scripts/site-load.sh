set -eu
# One change at a time: otherwise two changes would validate each other's unfinished state.
exec 9>"$sites/.lock"
flock 9
config=/etc/caddy/Caddyfile

# Keeps the file that is served until Caddy has loaded the change. An empty file stands for
# none.
keep() {
	if [ -e "$sites/$file" ]; then
		cp -p "$sites/$file" "$sites/.$file.copy"
	else
		: >"$sites/.$file.copy"
	fi
	mv "$sites/.$file.copy" "$sites/.$file.old"
}

# Puts the file back that was kept, if there is one.
undo() {
	if [ -s "$sites/.$file.old" ]; then
		mv "$sites/.$file.old" "$sites/$file"
	elif [ -e "$sites/.$file.old" ]; then
		rm -f "$sites/$file"
		rm "$sites/.$file.old"
	fi
}

# Puts the old file back, unless the script succeeds.
restore() {
	status=$?
	trap - EXIT HUP INT TERM
	if [ "$status" -ne 0 ] && [ -e "$sites/.$file.old" ]; then
		undo
		docker exec "$caddy" caddy reload --config "$config" >/dev/null 2>&1 || true
		echo "The site file $file was refused; the one before it is back and still served." >&2
	fi
	rm -f "$sites/.$file.new" "$sites/.$file.copy" "$sites/.$file.old"
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

# What a script that was killed had not finished does not count.
undo
