#!/bin/sh
# Prints which libcoap to build with: 3, or 2 where the system has nothing newer. That needs
# the build tag libcoap2.
if pkg-config --exists libcoap-3-gnutls 2>/dev/null; then
	echo 3
elif pkg-config --exists libcoap-2-gnutls 2>/dev/null; then
	echo 2
else # not installed yet: Debian 11 and Ubuntu 22.04 have libcoap 2 alone
	# shellcheck source=/dev/null
	case $(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-}") in
	bullseye | jammy) echo 2 ;;
	*) echo 3 ;;
	esac
fi
