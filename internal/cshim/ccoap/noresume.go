//go:build noresume

package ccoap

// #cgo CFLAGS: -DCSHIM_NO_RESUMPTION
import "C"
