#!/bin/sh
# Builds the image $1 from the packages of this machine's Debian release, or of Debian 12
# where the machine runs something else and a registry is reachable: what all images of the
# sandbox start from. Run as root.
set -eu
image=$1
here=$(cd "$(dirname "$0")" && pwd)
[ "$(id -u)" = 0 ] || { echo "root.sh unpacks packages and changes their owners; run it as root (sudo make up)." >&2; exit 2; }

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# shellcheck source=/dev/null
. /etc/os-release
if [ "$ID" = debian ]; then
	command -v debootstrap >/dev/null || apt-get install --yes --quiet debootstrap
	release=$VERSION_CODENAME
	# The mirrors are those this machine uses itself: one line for each suite.
	# shellcheck disable=SC2016 # apt fills them in
	targets=$(apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) main' 'Created-By: Packages' 'Origin: Debian' | sort -u)
	mirror=$(printf '%s\n' "$targets" | awk -v release="$release" '$3 == release { print $2; exit }')
	[ -n "$mirror" ] || { echo "apt knows no mirror of Debian $release; look at /etc/apt/sources.list.d." >&2; exit 2; }
	debootstrap --variant=minbase "$release" "$root" "$mirror" >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; exit 1; }
	rm -f "$root.log"
	printf '%s\n' "$targets" >"$root/etc/apt/sources.list"
	apt-config dump Acquire::http Acquire::https >"$root/etc/apt/apt.conf.d/99machine"
else
	# What debootstrap makes, with mirrors of its own.
	docker image inspect debian:bookworm >/dev/null 2>&1 || docker pull --quiet debian:bookworm
	container=$(docker create debian:bookworm true)
	docker export "$container" | tar --directory "$root" --extract
	docker rm "$container" >/dev/null
	cp /etc/resolv.conf "$root/etc/resolv.conf"
fi
# Nothing may start while it is unpacked, and no database is made in the image.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"
mkdir -p "$root/etc/postgresql-common"
echo 'create_main_cluster = false' >"$root/etc/postgresql-common/createcluster.conf"
printf 'path-exclude=/usr/share/%s/*\n' doc man locale info >"$root/etc/dpkg/dpkg.cfg.d/slim"

export DEBIAN_FRONTEND=noninteractive LC_ALL=C
chroot "$root" apt-get update --quiet
xargs chroot "$root" apt-get install --yes --quiet --no-install-recommends <"$here/packages"
chroot "$root" apt-get clean
# What the images need besides. Here, because each command of a Dockerfile costs a
# comparison of the whole tree.
chroot "$root" useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin app
chroot "$root" install -d -o postgres -g postgres -m 3777 /var/run/postgresql
chroot "$root" install -d -o redis -g redis /data
ln -s /bin/busybox "$root/usr/local/bin/wget"
rm -rf "$root/var/lib/apt/lists/"* "$root/etc/apt/sources.list" "$root/etc/apt/apt.conf.d/99machine" \
	"$root/usr/sbin/policy-rc.d" "$root/var/log/"*.log "$root/etc/resolv.conf" "$root/etc/hostname"
tar --directory "$root" --create . | docker import - "$image" >/dev/null
