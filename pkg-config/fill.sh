#!/bin/sh
# Fills in the templates for libraries below private prefixes, for the Makefile:
#   fill.sh DIRECTORY GNUTLS_PREFIX LIBCOAP_PREFIX
# A prefix may be empty. Prints the flags that go needs for the libcoap it finds.
set -eu
directory=$1
templates=$(dirname "$0")
mkdir -p "$directory"

fail() { echo "$*" >&2; exit 1; }

# fill TEMPLATE VARIABLE PREFIX LIBRARY HEADER MACRO prints the pkg-config file of a library, whose
# version is a macro in the header.
fill() {
	version=$(sed -n "s/^.define $6 \"\(.*\)\"/\1/p" "$3/include/$5" 2>/dev/null) || true
	[ -n "$version" ] || fail "there is no include/$5 below $2=$3"
	prefix=$(cd "$3" && pwd)
	found=
	for so in "$prefix/lib/$4.so" "$prefix/lib64/$4.so" "$prefix"/lib/*/"$4.so"; do
		[ -n "$found" ] || [ ! -e "$so" ] || found=$(dirname "$so")
	done
	[ -n "$found" ] || fail "there is no lib/$4.so below $2=$3"
	sed "s|@PREFIX@|$prefix|; s|@LIBDIR@|$found|; s|@LIBRARY@|${4#lib}|; s|@VERSION@|$version|" \
		"$templates/$1"
}

if [ -n "$2" ]; then
	fill gnutls.pc.in GNUTLS_PREFIX "$2" libgnutls gnutls/gnutls.h GNUTLS_VERSION \
		>"$directory/gnutls.pc"
fi
if [ -n "$3" ]; then
	api=3
	[ -e "$3/include/coap3/coap.h" ] || [ ! -e "$3/include/coap2/coap.h" ] || api=2
	fill libcoap.pc.in LIBCOAP_PREFIX "$3" "libcoap-$api-gnutls" "coap$api/coap.h" \
		LIBCOAP_PACKAGE_VERSION >"$directory/libcoap-$api-gnutls.pc"
	[ "$api" = 3 ] || echo "-tags=libcoap$api"
fi
