#!/usr/bin/env bash
# Builds and tests against the libraries of other Debian releases, each in a root
# of its own: matrix.sh SUITE… Needs root. The roots are kept below .build/matrix.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/root.sh
. scripts/root.sh

# What depends on the versions of the libraries is tested in full.
packages="./internal/cshim/... ./gnutls ./coap ./examples/demo"

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
		GOFLAGS="-buildvcs=false $flags" GOPROXY=off GOTOOLCHAIN=local REQUIRE_PEERS=1 "$@"
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
	touch "$root.made"
}

test_suite() {
	local suite=$1 flags=
	[ "$suite" != bullseye ] || flags=-tags=libcoap2
	make_root "$suite" || return 1
	# shellcheck disable=SC2086 # a list of words
	in_root "$suite" sh -ec '
		scripts/deps.sh build peers
		echo "-- $(. /etc/os-release && echo $PRETTY_NAME): GnuTLS $(pkg-config --modversion gnutls),$(
			for l in libcoap-3-gnutls libcoap-2-gnutls; do pkg-config --exists $l && echo " $l $(pkg-config --modversion $l)"; done || true)"
		go vet "$@"
		go test "$@"
	' sh $packages
}

need_root matrix
go mod download
failed=
for suite; do
	test_suite "$suite" || failed="$failed $suite"
done
[ -z "$failed" ] || { echo "matrix: failed on$failed" >&2; exit 1; }
