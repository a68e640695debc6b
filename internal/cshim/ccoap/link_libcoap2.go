//go:build libcoap2

package ccoap

// #cgo pkg-config: libcoap-2-gnutls
// #cgo CFLAGS: -DCSHIM_LIBCOAP2
import "C"
