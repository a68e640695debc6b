package coappeer

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// A TCP is one side of a CoAP connection over TCP. It sends no CSM by itself.
type TCP struct {
	*inbox
	t    testing.TB
	conn *net.TCPConn
	work sync.WaitGroup
}

// DialTCP connects to a server.
func DialTCP(t testing.TB, to netip.AddrPort) *TCP {
	t.Helper()
	conn, err := net.DialTimeout("tcp", to.String(), wait)
	if err != nil {
		t.Fatal(err)
	}
	return newTCP(t, conn)
}

// A Listener waits for clients.
type Listener struct{ *net.TCPListener }

// ListenTCP listens on a free port.
func ListenTCP(t testing.TB) Listener {
	t.Helper()
	ln, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return Listener{ln}
}

// Addr is where the listener listens.
func (l Listener) Addr() netip.AddrPort { return l.TCPListener.Addr().(*net.TCPAddr).AddrPort() }

// Accept waits for a client.
func (l Listener) Accept(t testing.TB) *TCP {
	t.Helper()
	l.SetDeadline(time.Now().Add(wait))
	conn, err := l.TCPListener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return newTCP(t, conn)
}

func newTCP(t testing.TB, conn net.Conn) *TCP {
	p := &TCP{inbox: newInbox(), t: t, conn: conn.(*net.TCPConn)}
	p.work.Add(1)
	go func() {
		defer p.work.Done()
		p.inbox.close(p.read())
	}()
	t.Cleanup(p.Close)
	return p
}

// read splits the input into messages. If it cannot tell how long one is,
// that and all that follows are put as they come.
func (p *TCP) read() error {
	from := p.conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	buf := make([]byte, 1<<16)
	var rest []byte
	var lost error
	for {
		n, err := p.conn.Read(buf)
		rest = append(rest, buf[:n]...)
		for len(rest) > 0 {
			m, n, err := Message{}, 0, lost
			if lost == nil {
				m, n, err = ParseTCP(rest)
			}
			if errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			if n == 0 {
				n, lost = len(rest), err
			}
			p.put(Received{Message: m, Err: err, Data: rest[:n:n], From: from, Time: time.Now()})
			rest = rest[n:]
		}
		if err != nil {
			return err
		}
	}
}

// Addr is the address of this side.
func (p *TCP) Addr() netip.AddrPort { return p.conn.LocalAddr().(*net.TCPAddr).AddrPort() }

// Close closes the connection.
func (p *TCP) Close() {
	p.conn.Close()
	p.work.Wait()
}

// CloseWrite ends what this side sends.
func (p *TCP) CloseWrite() { p.conn.CloseWrite() }

// Abandon closes the connection so that the other side sees a reset.
func (p *TCP) Abandon() {
	p.conn.SetLinger(0)
	p.Close()
}

// Send sends messages.
func (p *TCP) Send(messages ...Message) {
	p.t.Helper()
	var b []byte
	for _, m := range messages {
		b = m.AppendTCP(b)
	}
	if err := p.SendRaw(b); err != nil && !errors.Is(err, net.ErrClosed) {
		p.t.Error(err)
	}
}

// SendRaw sends bytes. An error means that the connection has ended, which who
// sends garbage should expect.
func (p *TCP) SendRaw(b []byte) error {
	p.conn.SetWriteDeadline(time.Now().Add(wait))
	_, err := p.conn.Write(b)
	return err
}

// ExchangeCSM sends a CSM with options and returns that of the other side,
// which must come first (RFC 8323, 5.3).
func (p *TCP) ExchangeCSM(t testing.TB, options ...Option) Received {
	t.Helper()
	p.Send(Message{Code: CSM, Options: options})
	return p.Expect(t, CSM)
}

// Answer calls f for every message that has not been received yet, in order, and
// sends what it returns. It continues until the connection ends; nothing else
// should receive.
func (p *TCP) Answer(f func(Received) []Message) {
	p.work.Add(1)
	go func() {
		defer p.work.Done()
		p.answer(func(r Received) {
			var b []byte
			for _, m := range f(r) {
				b = m.AppendTCP(b)
			}
			p.SendRaw(b) // the other side may have hung up
		})
	}()
}

// Expect is Receive for a message with a code.
func (p *TCP) Expect(t testing.TB, code Code) Received {
	t.Helper()
	return p.expect(t, code.String(), func(r Received) bool { return r.Code == code })
}

// ExpectNothing sends a Ping, whose Pong must come next: the other
// side has then done with all that it got before, as far as it does things in
// order.
func (p *TCP) ExpectNothing(t testing.TB) {
	t.Helper()
	p.Send(Message{Code: Ping})
	p.Expect(t, Pong)
}

// ExpectClosed waits until the other side ends the connection, before which
// nothing may come. It returns io.EOF, or how else it ended.
func (p *TCP) ExpectClosed(t testing.TB) error {
	t.Helper()
	r, err := p.next(time.After(wait))
	switch {
	case err == nil:
		t.Fatalf("waiting for the end: %v came", r.Message)
	case errors.Is(err, errNothing):
		t.Fatal("the connection does not end")
	}
	return err
}
