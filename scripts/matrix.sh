#!/usr/bin/env bash
# Runs `make vet` and the tests on other Debian releases, each in a root of its own, and
# scripts/cross-check.sh for the suite "arm64": matrix.sh SUITE… Needs root. The roots are kept
# below .build/matrix.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/root.sh
. scripts/root.sh

# in_root SUITE COMMAND… runs a command in the checkout inside a root.
in_root() {
	local root=$PWD/.build/matrix/$1
	shift
	mkdir -p "$root/src" "$root/go" "$root/modules" "$root/cache"
	unshare --mount --propagation private -- sh -c '
		set -e
		root=$1 checkout=$2 goroot=$3 modules=$4
		shift 4
		mount --bind "$checkout" "$root/src"
		mount --bind "$goroot" "$root/go"
		mount --bind "$modules" "$root/modules"
		mount --bind /dev "$root/dev"
		mount --bind /dev/pts "$root/dev/pts"
		mount -t proc proc "$root/proc"
		exec chroot "$root" sh -c "cd /src && exec \"\$@\"" sh "$@"
	' sh "$root" "$PWD" "$(go env GOROOT)" "$(go env GOMODCACHE)" \
		env -i PATH=/go/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root GOCACHE=/cache GOMODCACHE=/modules \
		GOFLAGS=-buildvcs=false GOPROXY=off GOTOOLCHAIN=local REQUIRE_PEERS=1 "$@"
}

make_root() {
	local root=.build/matrix/$1 tar
	[ ! -e "$root.made" ] || return 0
	tar=$(base_root "$1") || return 1
	rm -rf --one-file-system "$root"
	mkdir -p "$root"
	tar -x --numeric-owner -f "$tar" -C "$root" || return 1
	cp /etc/resolv.conf "$root/etc/resolv.conf"
	echo "127.0.0.1 localhost" >"$root/etc/hosts"
	# A mirror's index of sid may be past its date.
	echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/99matrix"
	touch "$root.made"
}

test_suite() {
	if [ "$1" = arm64 ]; then
		scripts/cross-check.sh "$1"
		return
	fi
	make_root "$1" || return 1
	in_root "$1" sh -ec '
		command -v make >/dev/null || { apt-get update -qq && apt-get install -qq -y make >/dev/null; }
		make deps
		echo "-- $(. /etc/os-release && echo $PRETTY_NAME): GnuTLS $(
			pkg-config --modversion gnutls), libcoap $(
			pkg-config --modversion "libcoap-$(scripts/libcoap.sh)-gnutls")"
		make vet
		[ "$(scripts/libcoap.sh)" = 3 ] || export GOFLAGS="$GOFLAGS -tags=libcoap2"
		go test -timeout 30m $(go list ./... | grep -v /docs\$)
	'
}

need_root matrix
for module in . bench contrib/*/; do
	(cd "$module" && go mod download)
done
failed=
for suite; do
	test_suite "$suite" || failed="$failed $suite"
done
[ -z "$failed" ] || { echo "matrix: failed on$failed" >&2; exit 1; }
