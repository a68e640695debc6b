//go:build !cgo

package handle

// The rest of the package needs cgo. This is the one line that go prints without it.
const _ int = "gnucoap needs cgo: install a C compiler, and do not set CGO_ENABLED=0"
