package gnutls

import (
	"net"
	"syscall"
)

// output is what GnuTLS has made and the transport has not yet taken.
type output struct {
	conn net.Conn
	buf  *buffer // of which data are the rest
	data []byte
}

// add adds the first n bytes of buf, which it owns from now on.
func (o *output) add(buf *buffer, n int) {
	if o.buf == nil {
		o.buf, o.data = buf, buf[:n]
		return
	}
	// Only after a deadline has cut a send off, and then it is rarely more than an
	// alert: a copy is good enough.
	o.data = append(o.data[:len(o.data):len(o.data)], buf[:n]...)
	putBuffer(buf)
}

// waiting returns how many bytes there are.
func (o *output) waiting() int { return len(o.data) }

// flush sends all of it. After an error the rest stays.
func (o *output) flush() error {
	for len(o.data) > 0 {
		n, err := o.conn.Write(o.data)
		o.data = o.data[n:]
		if err != nil {
			return err
		}
	}
	o.release()
	return nil
}

// flushNow sends what a socket takes without waiting.
func (o *output) flushNow(socket syscall.RawConn) {
	err := socket.Write(func(fd uintptr) bool {
		n, err := syscall.Write(int(fd), o.data)
		if err == nil {
			o.data = o.data[n:]
		}
		return true
	})
	if err == nil && len(o.data) == 0 {
		o.release()
	}
}

func (o *output) release() {
	if o.buf != nil {
		putBuffer(o.buf)
		o.buf, o.data = nil, nil
	}
}
