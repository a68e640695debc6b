#!/bin/sh
# Runs every Fuzz target of the module, each for FUZZTIME (10s).
set -eu

# `go test -list` prints the names of a package's targets and then "ok  package  time".
list=$(go test -list '^Fuzz' ./...)
targets=$(echo "$list" |
	awk '/^Fuzz/ { names[n++] = $1 } $1 == "ok" { for (i = 0; i < n; i++) print $2, names[i]; n = 0 }')

echo "$targets" | while read -r pkg name; do
	[ -n "$name" ] || continue
	echo "== $name ($pkg)"
	go test -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-10s}" "$pkg"
done
