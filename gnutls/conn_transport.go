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

func getBuffer() *buffer  { return buffers.Get().(*buffer) }
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
		in.err = &net.OpError{Op: "read", Net: in.conn.LocalAddr().Network(), Source: in.conn.LocalAddr(), Addr: in.conn.RemoteAddr(), Err: os.NewSyscallError("read", err)}
	}
	return true
}

// send sends the first n bytes of buf, which it owns, after all output before
// them. The caller holds writer.
func (c *Conn) send(buf *buffer, n int) error {
	if c.unsentBuf != nil {
		// Only after a deadline cut a send off, and then rarely more than an
		// alert: a copy is good enough.
		c.unsent = append(c.unsent[:len(c.unsent):len(c.unsent)], buf[:n]...)
		putBuffer(buf)
		return c.flush()
	}
	c.unsentBuf, c.unsent = buf, buf[:n]
	return c.flush()
}

// flush sends the output that waits. The caller holds writer.
func (c *Conn) flush() error {
	for len(c.unsent) > 0 {
		n, err := c.conn.Write(c.unsent)
		c.unsent = c.unsent[n:]
		if err != nil {
			return c.writeFailure(err)
		}
	}
	if c.unsentBuf != nil {
		putBuffer(c.unsentBuf)
		c.unsentBuf, c.unsent = nil, nil
	}
	return nil
}

// flushNow sends what the socket takes without waiting. The caller holds
// writer and has seen that there is a raw connection.
func (c *Conn) flushNow() {
	err := c.in.raw.Write(func(fd uintptr) bool {
		n, err := syscall.Write(int(fd), c.unsent)
		if err == nil {
			c.unsent = c.unsent[n:]
		}
		return true
	})
	if err == nil && len(c.unsent) == 0 {
		putBuffer(c.unsentBuf)
		c.unsentBuf, c.unsent = nil, nil
	}
}

// writeFailure says what a failed write to the transport means. All but a
// deadline is final.
func (c *Conn) writeFailure(err error) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		c.writeErr = err
	}
	return err
}
