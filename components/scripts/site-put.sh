# The mark is there if a script was killed between the swap and the reload. Then the old file counts.
if [ -e "$sites/.$file.changed" ]; then
	if [ -e "$sites/.$file.old" ]; then
		mv "$sites/.$file.old" "$sites/$file"
	else
		rm -f "$sites/$file"
	fi
	rm -f "$sites/.$file.changed"
fi
cat >"$sites/.$file.new"
# Caddy reads the new file alone first, so that a broken one never reaches the directory.
if ! said=$(docker exec -i "$caddy" caddy adapt --adapter caddyfile --config - <"$sites/.$file.new" 2>&1 >/dev/null); then
	printf '%s\n' "$said" | tail -n 5 >&2
	exit 1
fi
if [ -e "$sites/$file" ]; then
	cp -p "$sites/$file" "$sites/.$file.old"
fi
: >"$sites/.$file.changed"
mv "$sites/.$file.new" "$sites/$file"
load
