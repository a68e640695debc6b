//go:build cgo

// Package handle lets C carry Go values.
//
// C must not keep Go pointers, so a callback from C cannot be given the Go
// value it is for. A Handle is an opaque pointer that C may keep and pass
// back; Lookup turns it into the value again. It is the only package of this
// module that uses github.com/mattn/go-pointer, and it adds three things to
// it: a type, a comma-ok result for a pointer that is not (or no longer) a
// handle, and a count of the handles that exist.
package handle

import (
	"sync/atomic"
	"unsafe"

	"github.com/mattn/go-pointer"
)

var live atomic.Int64

// Live returns the number of handles that were made and not yet deleted.
// It may be called from any goroutine.
func Live() int64 { return live.Load() }

// A Handle stands for a value of type T in C. The zero Handle stands for
// nothing. The value stays reachable until Delete is called. The methods of
// one Handle must not be called from several goroutines at once.
type Handle[T any] struct {
	p unsafe.Pointer
}

// New returns a handle for v.
func New[T any](v T) Handle[T] {
	live.Add(1)
	return Handle[T]{p: pointer.Save(v)}
}

// Pointer returns what C carries: an address that is unique among the live
// handles and must not be read through.
func (h Handle[T]) Pointer() unsafe.Pointer { return h.p }

// Delete forgets the value. Lookup fails for the handle from then on. A
// second call does nothing.
func (h *Handle[T]) Delete() {
	if h.p == nil {
		return
	}
	pointer.Unref(h.p)
	h.p = nil
	live.Add(-1)
}

// Lookup returns the value that p stands for. It reports false when p is nil,
// was never a handle, was deleted, or stands for a value of another type.
// It may be called from any goroutine.
func Lookup[T any](p unsafe.Pointer) (T, bool) {
	v, ok := pointer.Restore(p).(T)
	return v, ok
}
