package gnutls

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// A buffer holds two full records of input or output. Connections that wait
// hold none where their transport lets them.
type buffer [max(cgnutls.InputSize, cgnutls.OutputSize)]byte

var buffers = sync.Pool{New: func() any { return new(buffer) }}

func getBuffer() *buffer { return buffers.Get().(*buffer) }

func putBuffer(b *buffer) { buffers.Put(b) }

// input is what came from the transport and GnuTLS has not used up.
type input struct {
	conn       net.Conn
	buf        *buffer
	start, end int
	eof        bool

	// Where raw is not nil, fill waits without a buffer: read is called when
	// the socket is readable, and leaves what it read here.
	raw  syscall.RawConn
	read func(fd uintptr) bool
	err  error
}

// init prepares for reading from conn. Only the standard library's own stream
// sockets are known to do nothing in Read but read.
func (in *input) init(conn net.Conn) {
	in.conn = conn
	var err error
	switch conn := conn.(type) {
	case *net.TCPConn:
		in.raw, err = conn.SyscallConn()
	case *net.UnixConn:
		in.raw, err = conn.SyscallConn()
	}
	if err != nil {
		in.raw = nil
	}
	in.read = in.readSocket
}

func (in *input) bytes() []byte {
	if in.buf == nil {
		return nil
	}
	return in.buf[in.start:in.end]
}

// skip drops n bytes, and the buffer with the last.
func (in *input) skip(n int) {
	in.start += n
	if in.buf != nil && in.start == in.end {
		putBuffer(in.buf)
		in.buf, in.start, in.end = nil, 0, 0
	}
}

// fill waits for input, when all input before it was used up.
func (in *input) fill() error {
	var err error
	if in.raw != nil {
		err = in.raw.Read(in.read)
		if err == nil {
			err = in.err
		} else {
			var failed *net.OpError
			if errors.As(err, &failed) {
				failed.Op = "read" // not "raw-read"
			}
		}
	} else {
		in.buf = getBuffer()
		in.end, err = in.conn.Read(in.buf[:])
	}
	if in.end > 0 {
		return nil
	}
	in.skip(0)
	if errors.Is(err, io.EOF) {
		in.eof = true
		return nil
	}
	return err
}

// fillNow is fill on a raw connection for what is there already, if anything.
func (in *input) fillNow() bool {
	err := in.raw.Control(func(fd uintptr) { in.readSocket(fd) })
	return err == nil && in.end > 0
}

// readSocket reads from fd and reports whether it has not to wait for more.
func (in *input) readSocket(fd uintptr) bool {
	buf := getBuffer()
	n, err := syscall.Read(int(fd), buf[:])
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), buf[:])
	}
	if n > 0 {
		in.buf, in.end, in.err = buf, n, nil
		return true
	}
	putBuffer(buf)
	switch err {
	case syscall.EAGAIN:
		return false
	case nil:
		in.err = io.EOF
	default:
		in.err = &net.OpError{Op: "read", Net: in.conn.LocalAddr().Network(), Source: in.conn.LocalAddr(),
			Addr: in.conn.RemoteAddr(), Err: os.NewSyscallError("read", err)}
	}
	return true
}
