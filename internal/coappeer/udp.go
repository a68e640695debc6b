package coappeer

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// loopback is where peers live: no name, and no port before one is given.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// A UDP is a UDP socket that takes part in CoAP as a client, as a server or as
// both.
type UDP struct {
	*inbox
	t     testing.TB
	conn  *net.UDPConn
	work  sync.WaitGroup
	pings sync.Map // from the ID of a ping to a func() that its answer calls
}

// NewUDP opens a socket on a free port.
func NewUDP(t testing.TB) *UDP {
	t.Helper()
	p := &UDP{inbox: newInbox(), t: t, conn: listenUDP(t)}
	p.work.Add(1)
	go func() {
		defer p.work.Done()
		p.inbox.close(readUDP(p.conn, func(b []byte, from netip.AddrPort) {
			if m, err := ParseUDP(b); err != nil || !p.isPong(m) {
				p.put(Received{Message: m, Err: err, Data: b, From: from, Time: time.Now()})
			}
		}))
	}()
	t.Cleanup(p.Close)
	return p
}

func listenUDP(t testing.TB) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// readUDP gives every datagram to f, until the socket is closed.
func readUDP(conn *net.UDPConn, f func(b []byte, from netip.AddrPort)) error {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err == nil {
			f(append([]byte{}, buf[:n]...), from)
		}
	}
}

// Addr is the address of the socket.
func (p *UDP) Addr() netip.AddrPort { return p.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// Close closes the socket. The kernel then refuses what is sent to it, until
// another socket gets its port.
func (p *UDP) Close() {
	p.conn.Close()
	p.work.Wait()
}

// Send sends messages, each in a datagram.
func (p *UDP) Send(to netip.AddrPort, messages ...Message) {
	p.t.Helper()
	for _, m := range messages {
		p.SendRaw(to, m.AppendUDP(nil))
	}
}

// SendRaw sends a datagram.
func (p *UDP) SendRaw(to netip.AddrPort, b []byte) {
	p.t.Helper()
	if _, err := p.conn.WriteToUDPAddrPort(b, to); err != nil && !errors.Is(err, net.ErrClosed) {
		p.t.Error(err)
	}
}

// Answer calls f for every message that has not been received yet, in order, and sends what it
// returns to the sender of the message. It continues until the socket is closed; nothing else
// should receive meanwhile.
func (p *UDP) Answer(f func(Received) []Message) {
	p.work.Add(1)
	go func() {
		defer p.work.Done()
		p.answer(func(r Received) { p.Send(r.From, f(r)...) })
	}()
}

// Expect is Receive for a message with a type and a code.
func (p *UDP) Expect(t testing.TB, typ Type, code Code) Received {
	t.Helper()
	return p.expect(t, describe(typ, code),
		func(r Received) bool { return r.Type == typ && r.Code == code })
}

// ExpectReply is Expect for the message that acknowledges or rejects the one
// with an ID.
func (p *UDP) ExpectReply(t testing.TB, typ Type, code Code, id uint16) Received {
	t.Helper()
	want := Message{Type: typ, Code: code, ID: id}
	return p.expect(t, want.String(), func(r Received) bool {
		return r.Type == typ && r.Code == code && r.ID == id
	})
}

// ExpectNothing pings the other side (RFC 7252, 4.3) with an ID that the test
// uses for nothing else, and fails the test if anything came before the answer:
// the other side has then done with all that it got before, as far as it does
// things in order. The answer itself is neither received nor captured. libcoap
// answers at most 4 pings a second.
func (p *UDP) ExpectNothing(t testing.TB, to netip.AddrPort, id uint16) {
	t.Helper()
	pong := make(chan struct{})
	p.pings.Store(id, sync.OnceFunc(func() { close(pong) }))
	timeout := time.After(wait)
	for again := true; again; {
		p.Send(to, Message{Type: CON, ID: id})
		select {
		case <-pong:
			again = false
		case <-time.After(300 * time.Millisecond):
		case <-timeout:
			t.Fatalf("%v does not answer pings", to)
		}
	}
	if r, news, err := p.take(); news == nil && err == nil {
		t.Fatalf("waiting for nothing: %v came", r.Message)
	}
}

// isPong reports whether a message answers a ping of ExpectNothing.
func (p *UDP) isPong(m Message) bool {
	ponged, ok := p.pings.Load(m.ID)
	if !ok || m.Type != RST {
		return false
	}
	ponged.(func())()
	return true
}
