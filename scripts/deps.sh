#!/bin/sh
# Installs what is missing of the named groups of system packages:
#   deps.sh build   what `go build` needs
#   deps.sh peers   the programs the tests talk to
#   deps.sh matrix  what `make matrix` needs
#   deps.sh image   what `make image-check` needs
set -eu

coap=$("$(dirname "$0")/libcoap.sh")

packages=
for group; do
	case $group in
	build)
		packages="$packages ca-certificates gcc libc6-dev pkg-config"
		[ -n "${GNUTLS_PREFIX:-}" ] || packages="$packages libgnutls28-dev"
		[ -n "${LIBCOAP_PREFIX:-}" ] || packages="$packages libcoap$coap-dev"
		;;
	# redis-tools has the server too, as redis-check-rdb, and starts no service.
	peers) packages="$packages curl gnutls-bin libcoap$coap-bin openssl redis-tools" ;;
	matrix) packages="$packages debootstrap gcc-aarch64-linux-gnu qemu-user" ;;
	image) packages="$packages buildah debootstrap gnutls-bin iproute2 libcoap$coap-bin openssl" ;;
	*) echo "deps: no group $group" >&2; exit 2 ;;
	esac
done

if ! command -v go >/dev/null; then
	echo "deps: Go 1.24 or later is needed: https://go.dev/dl/" >&2
	exit 1
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	case " $* " in *" build "*)
		if ${CC:-cc} --version >/dev/null 2>&1 && pkg-config --exists gnutls 2>/dev/null; then
			exit 0 # the build can go on; tests skip the peers they do not find
		fi
	esac
	cat >&2 <<-END
	deps: this is no Debian. Please install, with your own package manager,
	  to build: a C compiler, pkg-config, GnuTLS with its headers
	            (Fedora: gcc pkgconf gnutls-devel, Alpine: build-base pkgconf gnutls-dev,
	            Arch: base-devel gnutls, Homebrew: pkgconf gnutls)
	            and, for package coap, libcoap 4.3 built with GnuTLS
	  to test:  gnutls-cli, openssl, curl, redis-check-rdb and libcoap's programs
	            (Fedora, Alpine: gnutls-utils openssl curl redis)
	END
	exit 1
fi

missing=
for p in $packages; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] ||
		missing="$missing $p"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "deps: please run: sudo apt-get update &&" \
		"sudo apt-get install -y --no-install-recommends$missing" >&2
	exit 1
fi

echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# A broken third-party source is no reason to stop: the install tells.
apt-get update -qq || true
# shellcheck disable=SC2086 # a list of words
apt-get install -qq -y --no-install-recommends $missing >/dev/null
