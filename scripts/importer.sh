#!/usr/bin/env bash
# Shows what a program that imports both libraries gets from this module's go.mod: the modules
# that it compiles, those that it verifies (go.sum), those that it downloads, and those that only
# count when versions are chosen (go list -m all).
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:/usr/local/go/bin GOFLAGS=-mod=mod

root=$PWD
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'EOF'
package main

import (
	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/gnutls"
)

func main() { println(gnutls.LibraryVersion(), coap.Version()) }
EOF
cat >go.mod <<EOF
module example.test/importer

go 1.24

require github.com/gnucoap/gnucoap v0.0.0

replace github.com/gnucoap/gnucoap => $root
EOF
go mod tidy
others() { grep -v -e '^$' -e gnucoap/gnucoap -e example.test || true; }
show() {
	echo "$1:"
	sed 's/^/	/'
}

go list -deps -f '{{with .Module}}{{.Path}}{{end}}' . | sort -u | others | show "compiled"
cut -d ' ' -f 1 go.sum | sort -u | others | show "in go.sum, for the tests of gnutls and coap too"
GOMODCACHE=$dir/cache go mod download -json | sed -n 's/^\t"Path": "\(.*\)",$/\1/p' |
	others | show "downloaded"
go list -m all | cut -d ' ' -f 1 | others | show "in the module graph"
