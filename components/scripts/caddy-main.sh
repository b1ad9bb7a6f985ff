# Puts the main Caddyfile in place. If a running Caddy does not accept it, the old one comes back.
set -eu
mkdir -p "$directory/sites"
cat >"$directory/.Caddyfile.new"
if [ "$(docker inspect --format '{{.State.Running}}' "$caddy" 2>/dev/null)" != true ]; then
	mv "$directory/.Caddyfile.new" "$directory/Caddyfile"
	rm -f "$directory/.Caddyfile.old"
	exit 0
fi
# A script that was killed has left the old one, and in its place one that Caddy may not accept.
if [ ! -e "$directory/.Caddyfile.old" ]; then
	cp -p "$directory/Caddyfile" "$directory/.Caddyfile.copy"
	mv "$directory/.Caddyfile.copy" "$directory/.Caddyfile.old"
fi
mv "$directory/.Caddyfile.new" "$directory/Caddyfile"
for step in validate reload; do
	if ! said=$(docker exec "$caddy" caddy "$step" --config /etc/caddy/Caddyfile 2>&1); then
		printf '%s\n' "$said" | tail -n 5 >&2
		mv "$directory/.Caddyfile.old" "$directory/Caddyfile"
		exit 1
	fi
done
rm -f "$directory/.Caddyfile.old"
