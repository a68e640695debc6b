# Makes Debian root file systems. To be sourced.

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
	apt-get indextargets --format '$(REPO_URI)' "Codename: $1" 'Created-By: Packages' | sort -u | head -n 1
}

# need_root NAME ends the script named so unless it runs as root.
need_root() {
	if [ "$(id -u)" != 0 ]; then
		echo "$1: needs root, for debootstrap and chroot" >&2
		exit 1
	fi
}
