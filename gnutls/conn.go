package gnutls

import (
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
)

// A Conn is a TLS connection over any net.Conn. It is a net.Conn itself.
//
// All methods may be called from any goroutine. Read, Write and Close may run
// at the same time; of several Reads, or several Writes, one runs at a time.
// GnuTLS never waits inside C: all waiting is Go's, so deadlines, Close and
// contexts end it.
//
// A Conn must be closed. If it is dropped instead, the garbage collector frees
// it some time later.
type Conn struct {
	// These do not change after the start of the handshake.
	conn       net.Conn
	config     *Config
	native     *native // shared by the connections of config
	client     bool
	serverName string // of a client
	cacheKey   string // of the server in a client's cache
	racing     int    // connections that a Dialer tries at once, 0 for one

	// These have their own locks.
	tls       tlsSession
	deadlines deadlines
	kept      keptData

	failed        atomic.Pointer[failure] // after the handshake; set with tls locked
	state         atomic.Pointer[ConnectionState]
	handshakeDone atomic.Bool

	// The turns are taken in this order. A reader or a writer takes its own, and the
	// handshake takes all of them.
	shaking turn // of the goroutine that runs the handshake
	reading readSide
	writing writeSide

	// These are guarded by the turns of reading and writing together.
	handshaking  *handshake // nil when the handshake is over
	handshakeErr error
	resumption   *resumption // of a client; after the handshake reading alone guards it
	after        followUp
}

// Client returns the client side of a TLS connection over conn. The handshake
// runs with the first Read, Write or call of HandshakeContext. Config needs
// ServerName, InsecureSkipVerify or a pre-shared key; nil is not enough. Errors
// in config are returned by the handshake.
func Client(conn net.Conn, config *Config) *Conn { return newConn(conn, config, true) }

// Server returns the server side of a TLS connection over conn. The handshake
// runs with the first Read, Write or call of HandshakeContext. Config needs
// Certificates or GetPSK. Errors in config are returned by the handshake.
func Server(conn net.Conn, config *Config) *Conn { return newConn(conn, config, false) }

func newConn(conn net.Conn, config *Config, client bool) *Conn {
	if config == nil {
		config = new(Config)
	}
	c := &Conn{
		conn:        conn,
		config:      config,
		client:      client,
		deadlines:   deadlines{conn: conn},
		shaking:     newTurn(),
		handshaking: new(handshake),
	}
	c.reading.init(conn)
	c.writing.init(conn)
	c.state.Store(new(ConnectionState))
	if client {
		c.resumption = new(resumption)
		c.setServerName(config.ServerName)
	}
	return c
}

func (c *Conn) setServerName(name string) {
	c.serverName = normalizeName(name)
	c.cacheKey = cacheKey(c.serverName, c.conn.RemoteAddr())
}

// normalizeName drops the dot that ends an absolute name and the brackets and
// zone of an IPv6 address.
func normalizeName(name string) string {
	name = strings.TrimSuffix(name, ".")
	if inner, ok := strings.CutPrefix(name, "["); ok {
		name = strings.TrimSuffix(inner, "]")
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.WithZone("").String()
	}
	return name
}

// LocalAddr returns the local address of the underlying connection.
func (c *Conn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// RemoteAddr returns the remote address of the underlying connection.
func (c *Conn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// NetConn returns the underlying connection. Reading from it or writing to it
// breaks the TLS connection.
func (c *Conn) NetConn() net.Conn { return c.conn }

// ConnectionState returns what the handshake has settled. Before it is over,
// HandshakeComplete is false and nothing else is set.
func (c *Conn) ConnectionState() ConnectionState { return *c.state.Load() }
