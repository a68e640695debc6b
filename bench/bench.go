// Package bench compares package gnutls with crypto/tls: the same work with
// the same cipher and group, both ends in this process, over TCP on loopback.
package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// A Conn is a TLS connection of either implementation.
type Conn interface {
	net.Conn
	HandshakeContext(context.Context) error
}

// A Stack is a TLS implementation whose clients and servers are set up to
// speak TLS 1.3 with TLS_AES_128_GCM_SHA256, a P-256 certificate and the same
// group. Clients verify the certificate.
type Stack struct {
	Name   string
	Client func(net.Conn) Conn
	Server func(net.Conn) Conn
	// Resumed tells whether a connection of Client resumed a session.
	Resumed func(Conn) bool
}

// A Group is a key exchange group.
type Group struct {
	Name     string
	curve    tls.CurveID
	priority string
}

// The groups.
var (
	X25519 = Group{"X25519", tls.X25519, "+GROUP-X25519"}
	P256   = Group{"P-256", tls.CurveP256, "+GROUP-SECP256R1"}
)

// Tickets says what a server sends after a handshake, and what a client does
// with it.
type Tickets int

// The choices.
const (
	NoTickets  Tickets = iota // the server sends none
	DropTicket                // it sends one, and the client's cache drops it
	UseTicket                 // it sends one, and the client's next connection resumes
)

// GnuTLS returns package gnutls.
func GnuTLS(g Group, tickets Tickets) (*Stack, error) {
	cert, err := gnutls.LoadX509KeyPair(testenv.File("server.pem"), testenv.File("server.key"))
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(testenv.File("ca.pem"))
	if err != nil {
		return nil, err
	}
	roots := gnutls.NewCertPool()
	if err := roots.AppendCertsFromPEM(pem); err != nil {
		return nil, err
	}
	priority := "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:-GROUP-ALL:" + g.priority
	server := &gnutls.Config{
		Certificates:           []gnutls.Certificate{cert},
		Priority:               priority,
		SessionTicketsDisabled: tickets == NoTickets,
		SessionTickets:         1,
	}
	client := &gnutls.Config{
		RootCAs:                roots,
		ServerName:             "localhost",
		Priority:               priority,
		SessionTicketsDisabled: tickets == NoTickets,
	}
	switch tickets {
	case DropTicket:
		client.ClientSessionCache = dropGnuTLS{}
	case UseTicket:
		client.ClientSessionCache = gnutls.NewClientSessionCache(0)
	}
	return &Stack{
		Name:    "gnutls",
		Client:  func(c net.Conn) Conn { return gnutls.Client(c, client) },
		Server:  func(c net.Conn) Conn { return gnutls.Server(c, server) },
		Resumed: func(c Conn) bool { return c.(*gnutls.Conn).ConnectionState().DidResume },
	}, nil
}

// CryptoTLS returns package crypto/tls.
func CryptoTLS(g Group, tickets Tickets) (*Stack, error) {
	cert, err := tls.LoadX509KeyPair(testenv.File("server.pem"), testenv.File("server.key"))
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(testenv.File("ca.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in ca.pem")
	}
	curves := []tls.CurveID{g.curve}
	server := &tls.Config{
		Certificates:           []tls.Certificate{cert},
		MinVersion:             tls.VersionTLS13,
		CurvePreferences:       curves,
		SessionTicketsDisabled: tickets == NoTickets,
	}
	client := &tls.Config{
		RootCAs:          roots,
		ServerName:       "localhost",
		MinVersion:       tls.VersionTLS13,
		CurvePreferences: curves,
	}
	switch tickets {
	case DropTicket:
		client.ClientSessionCache = dropCryptoTLS{}
	case UseTicket:
		client.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	return &Stack{
		Name:    "crypto/tls",
		Client:  func(c net.Conn) Conn { return tls.Client(c, client) },
		Server:  func(c net.Conn) Conn { return tls.Server(c, server) },
		Resumed: func(c Conn) bool { return c.(*tls.Conn).ConnectionState().DidResume },
	}, nil
}

// Plain returns TCP without TLS.
func Plain() *Stack {
	newConn := func(c net.Conn) Conn { return plain{c} }
	return &Stack{Name: "TCP", Client: newConn, Server: newConn}
}

type plain struct{ net.Conn }

func (plain) HandshakeContext(context.Context) error { return nil }

type dropGnuTLS struct{}

func (dropGnuTLS) Get(string) *gnutls.SessionData  { return nil }
func (dropGnuTLS) Put(string, *gnutls.SessionData) {}

type dropCryptoTLS struct{}

func (dropCryptoTLS) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (dropCryptoTLS) Put(string, *tls.ClientSessionState)        {}

// A Timer is told when the work that counts begins and ends. A *testing.B is
// one.
type Timer interface {
	StartTimer()
	StopTimer()
}

// A Clock is a Timer that adds up time, and the processor time of the whole
// process.
type Clock struct {
	Elapsed, CPU time.Duration

	start    time.Time
	startCPU time.Duration
}

// StartTimer begins to count.
func (c *Clock) StartTimer() {
	c.startCPU = cpuTime()
	c.start = time.Now()
}

// StopTimer ends what StartTimer began.
func (c *Clock) StopTimer() {
	c.Elapsed += time.Since(c.start)
	c.CPU += cpuTime() - c.startCPU
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ChunkSize is the size of the reads and writes of Bulk.
const ChunkSize = 32 << 10

// Bulk sends chunks from a client to a server that reads them.
func (s *Stack) Bulk(t Timer, chunks int) error {
	c, sc, err := s.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	defer sc.Close()
	received := make(chan error, 1)
	t.StartTimer()
	go func() {
		buf := make([]byte, ChunkSize)
		for left := chunks * ChunkSize; left > 0; {
			n, err := sc.Read(buf)
			if err != nil {
				received <- err
				return
			}
			left -= n
		}
		received <- nil
	}()
	chunk := make([]byte, ChunkSize)
	for range chunks {
		if _, err := c.Write(chunk); err != nil {
			return err
		}
	}
	err = <-received
	t.StopTimer()
	return err
}

// MessageSize is the size of the messages of PingPong.
const MessageSize = 64

// PingPong sends a message from a client to a server and back, n times.
func (s *Stack) PingPong(t Timer, n int) error {
	c, sc, err := s.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	defer sc.Close()
	echoed := make(chan error, 1)
	go func() { echoed <- answer(sc, n) }()
	buf := make([]byte, MessageSize)
	t.StartTimer()
	for range n {
		if _, err := c.Write(buf); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			return err
		}
	}
	t.StopTimer()
	return <-echoed
}

func answer(c net.Conn, n int) error {
	buf := make([]byte, MessageSize)
	for range n {
		if _, err := io.ReadFull(c, buf); err != nil {
			return err
		}
		if _, err := c.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

// batch is the number of TCP connections that are made ahead of handshakes.
const batch = 64

// Handshakes makes n connections, one after the other: the handshake, one byte
// from the server (and the ticket before it), and the end of both sides. The
// TCP connections are there beforehand. It fails when resumed is not what
// happened.
func (s *Stack) Handshakes(t Timer, n int, resumed bool) error {
	// One port all along: clients keep sessions by server and port.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ln.Close()
	if resumed { // get a ticket
		p, err := tcpPair(ln)
		if err != nil {
			return err
		}
		if _, err := s.visit(p); err != nil {
			return err
		}
	}
	for ; n > 0; n -= batch {
		if err := s.visits(t, ln, min(n, batch), resumed); err != nil {
			return err
		}
	}
	return nil
}

// visits makes the n connections of one batch.
func (s *Stack) visits(t Timer, ln net.Listener, n int, resumed bool) error {
	pairs := make([]pair, n)
	for i := range pairs {
		var err error
		if pairs[i], err = tcpPair(ln); err != nil {
			return err
		}
	}
	t.StartTimer()
	defer t.StopTimer()
	for _, p := range pairs {
		did, err := s.visit(p)
		if err != nil {
			return err
		}
		if did != resumed {
			return fmt.Errorf("resumed: %t, not %t", did, resumed)
		}
	}
	return nil
}

// visit is one connection of Handshakes. It reports whether it was resumed.
func (s *Stack) visit(p pair) (resumed bool, err error) {
	served := make(chan error, 1)
	go func() {
		sc := s.Server(p.server)
		defer sc.Close()
		_, err := sc.Write([]byte{1})
		served <- err
	}()
	c := s.Client(p.client)
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		return false, err
	}
	return s.Resumed(c), <-served
}

type pair struct{ client, server net.Conn }

// tcpPair returns both ends of a TCP connection.
func tcpPair(ln net.Listener) (p pair, err error) {
	if p.client, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		return p, err
	}
	p.server, err = ln.Accept()
	return p, err
}

// ends returns both ends of a connection before the handshake.
func (s *Stack) ends() (client, server Conn, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	p, err := tcpPair(ln)
	if err != nil {
		return nil, nil, err
	}
	return s.Client(p.client), s.Server(p.server), nil
}

// connect returns both ends of a connection after the handshake.
func (s *Stack) connect() (client, server Conn, err error) {
	if client, server, err = s.ends(); err != nil {
		return nil, nil, err
	}
	shaken := make(chan error, 1)
	go func() { shaken <- server.HandshakeContext(context.Background()) }()
	if err = errors.Join(client.HandshakeContext(context.Background()), <-shaken); err != nil {
		client.Close()
		server.Close()
	}
	return client, server, err
}
