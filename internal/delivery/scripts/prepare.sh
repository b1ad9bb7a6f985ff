case $(uname -m) in
x86_64) machine=amd64 ;;
aarch64 | arm64) machine=arm64 ;;
*) fail "This server is a $(uname -m), and its program can be built for amd64 and arm64 alone." ;;
esac
[ "$machine" = "$architecture" ] ||
	fail "The server's program is built for $architecture, and this server is $machine; run \`pulumi config set alorig:serverArchitecture $machine\`, and the update again."
probe=$program.probe.new
trap 'rm -f "$probe"' EXIT
{ mkdir -p "$directory" && echo '#!/bin/sh' >"$probe" && chmod 0755 "$probe"; } ||
	fail "$(id -un) cannot write to $directory, which is to hold the server's program; mount it writable or run \`sudo install -d -o $(id -un) $directory\` on the server, and run the update again."
"$probe" ||
	fail "Nothing runs from $directory, for the reason above: its file system is probably mounted with noexec. Mount it without, or set alorig:serverDirectory to another directory, and run the update again."
head -c 33554432 /dev/zero >"$probe" ||
	fail "There is no room for the server's program in $directory, which takes 32 MiB; make room, and run the update again."
rm "$probe"
