#!/usr/bin/env bash
# Builds against private prefixes as pkg-config/README.md tells, with the GnuTLS and the
# libcoap 2 of Debian 11 unpacked below one, and talks CoAP with the result.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/root.sh
. scripts/root.sh

directory=$PWD/.build/prefix
prefix=$directory/usr
server=
finish() { [ -z "$server" ] || kill "$server" 2>/dev/null || true; }
trap finish EXIT
fail() { echo "prefix-check: $*" >&2; exit 1; }

# apt with the packages of Debian 11, beside the machine's own.
bullseye_apt() {
	apt-get -qq -o Dir::State::Lists="$directory/lists" -o Dir::State::Status=/dev/null \
		-o Dir::Cache="$directory/cache" -o APT::Sandbox::User= \
		-o Dir::Etc::SourceList="$directory/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@"
}

if [ ! -e "$prefix" ]; then
	echo "-- the libraries of Debian 11"
	rm -rf "$directory"
	mkdir -p "$directory/lists/partial" "$directory/cache/archives/partial"
	echo "deb $(mirror) bullseye main" >"$directory/sources.list"
	bullseye_apt update
	(cd "$directory" && bullseye_apt download libcoap2 libcoap2-dev libgnutls30 libgnutls28-dev)
	for deb in "$directory"/*.deb; do
		dpkg-deb -x "$deb" "$directory/unpacked"
	done
	mv "$directory/unpacked/usr" "$prefix"
	rm -rf "$directory"/{*.deb,cache,lists,unpacked}
fi

echo "-- make"
with_prefix() { make GNUTLS_PREFIX="$prefix" LIBCOAP_PREFIX="$prefix" BIN="$directory/bin" "$@"; }
with_prefix build

echo "-- CoAP"
key=$(mktemp -u keyXXXXXXXXXX)
"$directory/bin/coap-server" -A 127.0.0.1 -p 0 -v 7 -k "$key" >"$directory/log" 2>&1 &
server=$!
# endpoint PROTOCOL prints where the server listens.
endpoint() { sed -nE "s/.*created $1 +endpoint (.*)/\1/p" "$directory/log"; }
for _ in {1..50}; do
	[ -z "$(endpoint TLS)" ] || break
	sleep 0.1
done
for library in libgnutls.so libcoap-2-gnutls.so; do
	grep -q "$prefix/lib.*/$library" "/proc/$server/maps" ||
		{ cat "$directory/log"; fail "the server does not use the private $library"; }
done
for client in coap-client-gnutls "$directory/bin/coap-client"; do
	for scheme in coap:UDP coaps:DTLS coap+tcp:TCP coaps+tcp:TLS; do
		uri=${scheme%:*}://$(endpoint "${scheme#*:}")/
		timeout 20 "$client" -B 10 -u user -k "$key" "$uri" >"$directory/answer" 2>&1 || true
		grep -q 'This is a test server' "$directory/answer" || {
			cat "$directory/answer" "$directory/log"
			fail "$client has no answer from $uri"
		}
	done
done
kill -TERM "$server"
wait "$server" || { status=$?; cat "$directory/log"; fail "the server ended with status $status"; }
server=

echo "-- libcoap 3"
if [ -e /usr/include/coap3/coap.h ]; then
	[ -z "$(pkg-config/fill.sh "$directory/system" '' /usr)" ] || fail "libcoap 3 gets flags"
	want=$(pkg-config --modversion libcoap-3-gnutls)
	got=$(PKG_CONFIG_PATH=$directory/system pkg-config --modversion libcoap-3-gnutls)
	libs=$(PKG_CONFIG_PATH=$directory/system pkg-config --libs libcoap-3-gnutls)
	[ "$got" = "$want" ] || fail "libcoap is $got, not $want"
	[[ $libs == *-rpath,/usr/lib*-lcoap-3-gnutls* ]] || fail "libcoap 3 is taken with $libs"
fi

echo "-- wrong prefixes"
for name in GNUTLS_PREFIX LIBCOAP_PREFIX; do
	! make "$name=$directory" help >"$directory/answer" 2>&1 || fail "make takes a $name that is empty"
	grep -q "there is no include/.* below $name=$directory" "$directory/answer" ||
		{ cat "$directory/answer"; fail "make does not tell what is wrong"; }
done
echo "prefix-check: ok"
