#!/usr/bin/env bash
# Builds the Dockerfile without a registry or a container engine, starts the
# service from the image and talks to it with gnutls-cli. Needs root.
#
# The base images are made with debootstrap from the machine's own apt mirror;
# SUITE chooses the release, the machine's own by default.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/root.sh
. scripts/root.sh
need_root image-check
# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")

tmp=$(mktemp -d)
server=
quietly() { "$@" >"$tmp/log" 2>&1 || { cat "$tmp/log"; return 1; }; }
b() { buildah --root "$tmp/storage" --runroot "$tmp/run" --storage-driver vfs "$@"; }
finish() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	b umount --all >/dev/null 2>&1 || true
	rm -rf --one-file-system "$tmp"
}
trap finish EXIT

echo "-- base images"
quietly debootstrap --variant=minbase --include=ca-certificates "${SUITE:-$codename}" "$tmp/rootfs" "$(mirror)"
rm -rf "$tmp"/rootfs/var/cache/apt/archives/*.deb
printf 'FROM scratch\nCOPY rootfs /\n' >"$tmp/base"
printf 'FROM base\nCOPY . /usr/local/go\nENV PATH=/usr/local/go/bin:/usr/bin:/bin:/usr/sbin:/sbin GOTOOLCHAIN=local\n' >"$tmp/go"
quietly b bud --isolation chroot -f "$tmp/base" -t base "$tmp"
quietly b bud --isolation chroot -f "$tmp/go" -t go "$(go env GOROOT)"

echo "-- the image"
# A copy with the modules vendored: the build then needs no module proxy.
mkdir "$tmp/src"
tar -c --exclude=./.git --exclude=./.build . | tar -x -C "$tmp/src"
(cd "$tmp/src" && go mod vendor)
quietly b bud --isolation chroot --build-arg GO_IMAGE=localhost/go --build-arg RUNTIME_IMAGE=localhost/base \
	-t tls-serve "$tmp/src"

echo "-- the service"
user=$(b inspect --type image --format '{{.OCIv1.Config.User}}' tls-serve)
program=$(b inspect --type image --format '{{index .OCIv1.Config.Entrypoint 0}}' tls-serve)
case $user in '' | 0* | root*) echo "image-check: the image runs as root" >&2; exit 1 ;; esac
root=$(b mount "$(b from tls-serve)")
if chroot "$root" ldd /usr/local/bin/tls-serve /usr/local/bin/tls-resume | grep 'not found'; then
	exit 1
fi

mkdir "$root/tls"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost \
	-addext subjectAltName=DNS:localhost -keyout "$root/tls/key.pem" -out "$root/tls/cert.pem" 2>/dev/null
chown -R "$user" "$root/tls"
chroot --userspec="$user" "$root" "$program" -listen 127.0.0.1:0 -mode echo -tickets 2 \
	-cert /tls/cert.pem -key /tls/key.pem -ticket-key /tls/ticket.key >"$tmp/log" 2>&1 &
server=$!

port=
for _ in {1..50}; do
	port=$(sed -nE 's/.*127\.0\.0\.1:([0-9]+).*/\1/p' "$tmp/log" | head -n 1)
	[ -z "$port" ] || break
	sleep 0.1
done
[ -n "$port" ] || { cat "$tmp/log"; echo "image-check: the service does not listen" >&2; exit 1; }

# Twice in one call: a full handshake, then one with its ticket.
(echo hello; sleep 1) | timeout 20 gnutls-cli --x509cafile "$root/tls/cert.pem" --verify-hostname localhost \
	--resume --waitresumption -p "$port" 127.0.0.1 >"$tmp/client" 2>&1 || true
for want in 'This is a resumed session' '^hello$'; do
	grep -q "$want" "$tmp/client" || {
		cat "$tmp/client" "$tmp/log"
		echo "image-check: gnutls-cli shows no '$want'" >&2
		exit 1
	}
done
test -s "$root/tls/ticket.key"

kill -TERM "$server"
wait "$server"
server=
echo "image-check: ok"
