#!/usr/bin/env bash
# Builds the Dockerfile for Debian releases, trixie and bullseye by default, without a
# registry or a container engine: image-check.sh [SUITE…]. Runs the image's programs
# as the image says, in a network of their own, and talks to them with libcoap's and
# GnuTLS's programs. Needs root. Go's build cache is kept in .build/image.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/root.sh
. scripts/root.sh
need_root image-check
# What is mounted goes with the script.
[ -n "${IMAGE_CHECK_MOUNTS:-}" ] ||
	IMAGE_CHECK_MOUNTS=private exec unshare --mount scripts/image-check.sh "$@"

programs=(coap-client coap-probe coap-server tls-resume tls-serve)
tmp=$(mktemp -d)
root= # of the container
server=
fail() { echo "image-check: $*" >&2; exit 1; }
quietly() { "$@" >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; return 1; }; }
b() { buildah --root "$tmp/storage" --runroot "$tmp/run" --storage-driver vfs "$@"; }
finish() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	[ -z "$root" ] || umount "$root/proc" 2>/dev/null || true
	! mountpoint -q "$tmp/net" || umount "$tmp/net"
	b umount --all >/dev/null 2>&1 || true
	rm -rf --one-file-system "$tmp"
}
trap finish EXIT

# build SUITE LIBCOAP makes the image libcoapLIBCOAP.
build() {
	local tar
	tar=$(base_root "$1")
	printf 'FROM scratch\nADD %s /\n' "$(basename "$tar")" >"$tmp/base"
	quietly b bud --isolation chroot -f "$tmp/base" -t base "$(dirname "$tar")"
	quietly b bud --isolation chroot --format docker --build-arg GO_IMAGE=localhost/go \
		-v "$PWD/.build/image:/root/.cache/go-build" --build-arg BASE=localhost/base \
		--build-arg LIBCOAP="$2" -t "libcoap$2" "$tmp/src"
}

# config IMAGE TEMPLATE prints a part of an image's configuration.
config() { b inspect --type image --format "{{with .Docker.Config}}$2{{end}}" "$1"; }

# in_image COMMAND… runs a command as a container would: with the image's files, user and
# environment, and a network of its own.
in_image() { env -i "${environment[@]}" "${enter[@]}" "$@"; }

# peer COMMAND… runs a program of this machine beside the container.
peer() { nsenter --net="$tmp/net" timeout 20 "$@"; }

# start COMMAND… starts a server in the image.
start() {
	env -i "${environment[@]}" "${enter[@]}" "$@" >"$tmp/server" 2>&1 &
	server=$!
}

stop() {
	kill -TERM "$server"
	wait "$server" || fail "the server ended with status $?"
	server=
}

# healthy [URIS] runs the image's health check, for other servers than its own.
healthy() {
	env -i "${environment[@]}" ${1:+COAP_PROBE="$1"} "${enter[@]}" "${health[@]}" \
		>"$tmp/health" 2>&1
}

become_healthy() {
	for _ in {1..50}; do
		! healthy "$@" || return 0
		sleep 0.1
	done
	cat "$tmp/server" "$tmp/health" >&2
	fail "the server does not become healthy"
}

# expect TEXT COMMAND… fails unless a peer prints a text.
expect() {
	local text=$1
	shift
	peer "$@" </dev/null >"$tmp/peer" 2>&1 || true
	grep -q "$text" "$tmp/peer" || {
		cat "$tmp/peer" "$tmp/server" >&2
		fail "no '$text' from $*"
	}
}

# check_files: the programs, the libraries they load, certificate authorities, licences and
# nothing else.
check_files() {
	local loader program licence
	loader=$(cd "$root" && find . -name 'ld-linux*' | sed 's/^\.//')
	{
		echo /etc/ssl/certs/ca-certificates.crt
		for program in "${programs[@]}"; do
			echo "/usr/local/bin/$program"
			chroot "$root" "$loader" --list "/usr/local/bin/$program" | grep -o '/[^ ]* (' | tr -d ' ('
		done
	} | sort -u >"$tmp/expected"
	(cd "$root" && find . ! -type d | sed 's/^\.//' | sort) >"$tmp/all"
	grep -v '^/usr/share/\(doc\|common-licenses\)/' "$tmp/all" >"$tmp/files"
	diff "$tmp/expected" "$tmp/files" || fail "other files (>) than expected (<)"
	for licence in doc/libc6/copyright 'doc/libcoap.*/copyright' 'doc/libgnutls.*/copyright' \
		doc/ca-certificates/copyright \
		common-licenses/LGPL-2.1 doc/go/LICENSE doc/gnucoap/LICENSE 'doc/gnucoap/.*pflag.*/LICENSE'; do
		grep -q "^/usr/share/$licence$" "$tmp/all" || fail "there is no $licence in the image"
	done
	! grep -v '/\(LICENSE[^/]*\|copyright\)$' "$tmp/all" | grep '^/usr/share/doc/' ||
		fail "no licences"
}

# check_coap runs the server as the image has it.
check_coap() {
	local scheme
	start "${command[@]}"
	become_healthy
	[ "$(stat -c %u "/proc/$server")" != 0 ] || fail "the server runs as root"
	grep -q "libcoap-$1-gnutls" "/proc/$server/maps" || fail "the server does not use libcoap $1"
	for scheme in coap coaps coap+tcp coaps+tcp; do
		expect 'This is a test server' \
			coap-client-gnutls -B 10 -C "$tmp/tls/cert.pem" "$scheme://127.0.0.1/"
	done
	expect 'Handshake was completed' gnutls-cli --alpn coap --x509cafile "$tmp/tls/cert.pem" \
		--verify-hostname localhost -p 5684 127.0.0.1
	in_image coap-client -B 10 coap://127.0.0.1/ >"$tmp/peer" 2>&1 || true
	grep -q 'This is a test server' "$tmp/peer" ||
		fail "the image's coap-client has no answer: $(cat "$tmp/peer")"
	stop
	! healthy || fail "the health check passes without a server"

	start coap-server # without TLS
	become_healthy coap://127.0.0.1
	! healthy || fail "the health check passes without TLS"
	grep -q 'tls://127.0.0.1:5684' "$tmp/health" || fail "the health check does not tell what is wrong"
	stop
}

# check_tls runs the image's other server.
check_tls() {
	start tls-serve -listen 127.0.0.1:8443 -mode echo -tickets 2 \
		-cert /tls/cert.pem -key /tls/key.pem -ticket-key /tls/ticket.key
	become_healthy tls://127.0.0.1:8443
	# Twice in one call: a full handshake, then one with its ticket.
	(echo hello; sleep 1) | peer gnutls-cli --x509cafile "$tmp/tls/cert.pem" \
		--verify-hostname localhost --resume --waitresumption -p 8443 127.0.0.1 >"$tmp/peer" 2>&1 || true
	if ! grep -q 'This is a resumed session' "$tmp/peer" || ! grep -q '^hello$' "$tmp/peer"; then
		cat "$tmp/peer" "$tmp/server" >&2
		fail "gnutls-cli does not resume, or gets no echo"
	fi
	test -s "$root/tls/ticket.key"
	stop
}

# check LIBCOAP runs the image.
check() {
	local image=libcoap$1 size
	user=$(config "$image" '{{.User}}')
	mapfile -t environment < <(config "$image" '{{range .Env}}{{println .}}{{end}}' | sed '/^$/d')
	mapfile -t command < <(config "$image" \
		'{{range .Entrypoint}}{{println .}}{{end}}{{range .Cmd}}{{println .}}{{end}}' | sed '/^$/d')
	mapfile -t health < <(config "$image" '{{range .Healthcheck.Test}}{{println .}}{{end}}' |
		sed '/^$/d; /^CMD$/d')
	case $user in '' | 0* | root*) fail "the image runs as root" ;; esac
	root=$(b mount "$(b from "$image")")
	enter=("$(command -v nsenter)" --net="$tmp/net" "$(command -v chroot)" --userspec="$user" "$root")
	check_files
	size=$(du -s --apparent-size --block-size=1M "$root" | cut -f 1)
	! in_image "${command[@]}" >"$tmp/server" 2>&1 || fail "the server starts without a certificate"
	grep -q '"/tls/cert.pem"' "$tmp/server" ||
		fail "the server does not say that it lacks /tls/cert.pem: $(cat "$tmp/server")"
	mkdir "$root/tls" "$root/proc"
	mount -t proc proc "$root/proc"
	cp "$tmp"/tls/* "$root/tls"
	chown -R "$user" "$root/tls"
	check_coap "$1"
	check_tls
	umount "$root/proc"
	echo "image-check: libcoap $1: ok, $size MB in $(wc -l <"$tmp/all") files"
}

mkdir -p "$tmp/src" "$tmp/tls" .build/image
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost \
	-addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
	-keyout "$tmp/tls/key.pem" -out "$tmp/tls/cert.pem" 2>/dev/null
touch "$tmp/net"
unshare --net="$tmp/net" ip link set lo up
# A copy with the modules vendored: the build then needs no module proxy.
tar -c --exclude=./.git --exclude=./.build . | tar -x -C "$tmp/src"
(cd "$tmp/src" && go mod vendor)
printf 'FROM scratch\nCOPY . /usr/local/go\n' >"$tmp/go"
quietly b bud --isolation chroot -f "$tmp/go" -t go "$(go env GOROOT)"

[ $# != 0 ] || set -- trixie bullseye
for suite; do
	libcoap=3
	[ "$suite" != bullseye ] || libcoap=2
	echo "-- Debian's $suite with libcoap $libcoap"
	build "$suite" "$libcoap"
	check "$libcoap"
done
