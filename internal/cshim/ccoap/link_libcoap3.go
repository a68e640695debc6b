//go:build !libcoap2

package ccoap

// #cgo pkg-config: libcoap-3-gnutls
import "C"
