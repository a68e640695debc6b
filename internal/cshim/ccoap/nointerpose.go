//go:build nointerpose

package ccoap

// #cgo CFLAGS: -DCSHIM_NO_INTERPOSITION
import "C"
