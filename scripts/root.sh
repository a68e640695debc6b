# shellcheck shell=bash
# Makes Debian root file systems. To be sourced in the root of the checkout.

# base_root SUITE prints a tar file with the minimal root of a Debian release, in
# .build/roots.
base_root() {
	local tar=.build/roots/$1.tar
	local tmp=.build/roots/$1.tmp
	if [ ! -e "$tar" ]; then
		rm -rf --one-file-system "$tmp"
		mkdir -p "$tmp"
		debootstrap --variant=minbase --include=ca-certificates "$1" "$tmp" "$(mirror)" \
			>"$tmp.log" 2>&1 || { tail "$tmp.log" >&2; return 1; }
		rm -rf "$tmp"/var/cache/apt/archives/*.deb "$tmp"/var/lib/apt/lists/*
		tar -c --numeric-owner -f "$tar.new" -C "$tmp" --exclude='./dev/*' . || return 1
		mv "$tar.new" "$tar"
		rm -rf --one-file-system "$tmp" "$tmp.log"
	fi
	echo "$tar"
}

# mirror prints where the machine's own apt gets its packages.
mirror() {
	local codename found
	# shellcheck source=/dev/null
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	found=$(apt_mirror "$codename")
	if [ -z "$found" ]; then # apt lists nothing before its first update
		apt-get update -qq
		found=$(apt_mirror "$codename")
	fi
	echo "$found"
}

apt_mirror() {
	# shellcheck disable=SC2016 # apt's own placeholder
	apt-get indextargets --format '$(REPO_URI)' "Codename: $1" 'Created-By: Packages' |
		sort -u | head -n 1
}

# need_root NAME ends the script named so unless it runs as root.
need_root() {
	if [ "$(id -u)" != 0 ]; then
		echo "$1: needs root, for debootstrap and chroot" >&2
		exit 1
	fi
}
