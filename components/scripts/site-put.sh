cat >"$sites/.$file.new"
# Caddy reads the new file alone first, so that a broken one never reaches the directory.
if ! said=$(docker exec -i "$caddy" caddy adapt --adapter caddyfile --config - <"$sites/.$file.new" 2>&1 >/dev/null); then
	printf '%s\n' "$said" | tail -n 5 >&2
	exit 1
fi
keep
mv "$sites/.$file.new" "$sites/$file"
load
