#!/usr/bin/env bash
# Builds everything for another architecture and runs the demo there, with qemu's emulation of
# user programs: cross-check.sh [arm64]. The libraries are this Debian's own, unpacked
# below .build/cross.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/root.sh
. scripts/root.sh

arch=${1:-arm64}
case $arch in
arm64) triple=aarch64-linux-gnu qemu=qemu-aarch64 ;;
*) echo "cross-check: no architecture $arch" >&2; exit 2 ;;
esac
root=$PWD/.build/cross/$arch

# apt for the other architecture, beside the machine's own.
cross_apt() {
	apt-get -qq -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Sandbox::User= \
		-o Dir::State="$root.apt" -o Dir::State::Status=/dev/null -o Dir::Cache="$root.apt" \
		-o Dir::Etc::SourceList="$root.apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@"
}

# Root's files may be links from / on.
relative_links() {
	find "$1" -lname '/*' | while read -r link; do
		ln -sfrn "$1$(readlink "$link")" "$link"
	done
}

if [ ! -e "$root" ]; then
	rm -rf "$root".apt "$root".new
	mkdir -p "$root".apt/{lists,archives}/partial "$root".new
	# shellcheck source=/dev/null
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	echo "deb $(mirror) $codename main" >"$root.apt/sources.list"
	cross_apt update
	cross_apt install -y --no-install-recommends --download-only \
		libc6-dev libgnutls28-dev "libcoap$(scripts/libcoap.sh)-dev" >/dev/null
	for deb in "$root".apt/archives/*.deb; do
		dpkg-deb -x "$deb" "$root".new
	done
	[ -e "$root".new/lib ] || ln -s usr/lib "$root".new/lib
	relative_links "$root".new
	rm -rf "$root".apt
	mv "$root".new "$root"
fi

export GOARCH=$arch CGO_ENABLED=1 CC="$triple-gcc --sysroot=$root"
# The build cache does not see what pkg-config answers.
export GOCACHE=$root.gocache
export PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_PATH=
export PKG_CONFIG_LIBDIR=$root/usr/lib/$triple/pkgconfig:$root/usr/share/pkgconfig
# Libraries that libraries need.
export CGO_LDFLAGS="-O2 -Wl,-rpath-link=$root/usr/lib/$triple"
go build ./...
go vet ./internal/cshim/... ./gnutls ./coap/...
go build -o ".build/cross/demo-$arch" ./examples/demo
"$qemu" -L "$root" ".build/cross/demo-$arch" | tee ".build/cross/demo-$arch.log"
grep -q 'CoAP over libcoap' ".build/cross/demo-$arch.log"
echo "cross-check: $arch: ok"
