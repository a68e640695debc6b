package ccoap

// #cgo LDFLAGS: -ldl
// #include "stream.h"
import "C"

import "unsafe"

// A Stream knows where the messages of a TCP connection begin.
type Stream struct{ s C.struct_cshim_stream }

// Divide takes what has come over the connection, what was kept first, and returns
// how many bytes of it are ready, and how many are kept until there is more.
func (s *Stream) Divide(bytes []byte) (ready, kept int) {
	n := C.cshim_stream_divide(&s.s, (*C.uint8_t)(unsafe.SliceData(bytes)), C.size_t(len(bytes)))
	return int(n), int(s.s.kept_size)
}

// StreamCalls returns how many times libcoap has read through a Stream. It may be
// called from any goroutine.
func StreamCalls() uint64 { return uint64(C.cshim_stream_calls()) }
