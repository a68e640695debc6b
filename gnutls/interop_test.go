package gnutls_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// The tests of interoperability run this package against other
// implementations: as a server in interop_server_test.go and
// interop_curl_test.go, as a client in interop_client_test.go.

const (
	testIdentity = "client1" // in psk.txt
	testKeyHex   = "9e32cf7786321a828ef7668f09fb35db"
)

// wait bounds what a test waits for; nothing takes this long.
const wait = 20 * time.Second

var testKey = []byte{0x9e, 0x32, 0xcf, 0x77, 0x86, 0x32, 0x1a, 0x82, 0x8e, 0xf7, 0x66, 0x8f, 0x09,
	0xfb, 0x35, 0xdb}

// line is what a connection carries where no test asks for more.
const line = "the quick brown fox\n"

// oneMiB returns 1 MiB of lines that are all different and hold nothing that a
// peer could take for a command.
func oneMiB() string {
	const size = 1 << 20
	var b strings.Builder
	for sum := sha256.Sum256(nil); b.Len() < size; sum = sha256.Sum256(sum[:]) {
		for _, c := range sum {
			b.WriteByte('0' + c%10)
		}
		b.WriteByte('\n')
	}
	return b.String()[:size-1] + "\n"
}

// settings are what a test asks of both ends of a connection. The peer takes
// all of them; our end is left at its defaults where it can be.
type settings struct {
	version    uint16   // 0 for any
	certs      []string // of the server; "server" where empty
	clientCert string   // of the client; none where empty
	serverName string   // "localhost" where empty
	protocols  []string // ALPN
	psk        bool     // and no certificate
	// noTickets turns session tickets off at the peer, so that TLS 1.2 resumes
	// by session ID.
	noTickets bool
	// onlyP521 makes the server allow no other group.
	onlyP521 bool
}

func testCertificate(t testing.TB, name string) gnutls.Certificate {
	t.Helper()
	cert, err := gnutls.LoadX509KeyPair(testenv.File(name+".pem"), testenv.File(name+".key"))
	require.NoError(t, err)
	return cert
}

func testPool(t testing.TB) *gnutls.CertPool {
	t.Helper()
	pool := gnutls.NewCertPool()
	require.NoError(t, pool.AppendCertsFromPEM(testenv.Read(t, "ca.pem")))
	return pool
}

func testPSK(_ context.Context, identity string) ([]byte, error) {
	if identity == testIdentity {
		return testKey, nil
	}
	return nil, nil
}

func (s settings) name() string {
	if s.serverName != "" {
		return s.serverName
	}
	return "localhost"
}

func (s settings) certificates() []string {
	if s.certs == nil && !s.psk {
		return []string{"server"}
	}
	return s.certs
}

// serverConfig configures our end as the server.
func (s settings) serverConfig(t testing.TB) *gnutls.Config {
	c := &gnutls.Config{NextProtos: s.protocols}
	for _, name := range s.certificates() {
		c.Certificates = append(c.Certificates, testCertificate(t, name))
	}
	if s.psk {
		c.GetPSK = testPSK
	}
	if s.clientCert != "" {
		c.ClientAuth, c.ClientCAs = gnutls.RequireAndVerifyClientCert, testPool(t)
	}
	if s.onlyP521 {
		c.Priority = "NORMAL:-GROUP-ALL:+GROUP-SECP521R1"
	}
	return c
}

// clientConfig configures our end as the client.
func (s settings) clientConfig(t testing.TB) *gnutls.Config {
	c := &gnutls.Config{RootCAs: testPool(t), ServerName: s.name(), NextProtos: s.protocols}
	if s.psk {
		c.PSKIdentity, c.PSKKey = testIdentity, testKey
	}
	if s.clientCert != "" {
		c.Certificates = []gnutls.Certificate{testCertificate(t, s.clientCert)}
	}
	return c
}

// gnutlsPriority configures gnutls-cli and gnutls-serv.
func (s settings) gnutlsPriority() string {
	p := "NORMAL"
	switch s.version {
	case gnutls.VersionTLS12:
		p += ":-VERS-ALL:+VERS-TLS1.2"
	case gnutls.VersionTLS13:
		p += ":-VERS-ALL:+VERS-TLS1.3"
	}
	if s.onlyP521 {
		p += ":-GROUP-ALL:+GROUP-SECP521R1"
	}
	if s.psk {
		p += ":+ECDHE-PSK:+DHE-PSK:+PSK"
	}
	if s.noTickets {
		// The option --noticket of gnutls-cli 3.7.9 does nothing.
		p += ":%NO_TICKETS"
	}
	return p
}

// opensslArgs are what s_client and s_server both take.
func (s settings) opensslArgs() []string {
	args := []string{"-CAfile", testenv.File("ca.pem"), "-verify_return_error"}
	switch s.version {
	case gnutls.VersionTLS12:
		args = append(args, "-tls1_2")
	case gnutls.VersionTLS13:
		args = append(args, "-tls1_3")
	}
	if s.noTickets {
		args = append(args, "-no_ticket")
	}
	if s.protocols != nil {
		args = append(args, "-alpn", strings.Join(s.protocols, ","))
	}
	if s.psk {
		args = append(args, "-psk", testKeyHex, "-psk_identity", testIdentity)
	}
	if s.onlyP521 {
		args = append(args, "-groups", "P-521")
	}
	return args
}

// goConfig configures crypto/tls on either side.
func (s settings) goConfig() *tls.Config {
	c := &tls.Config{
		MinVersion:             s.version,
		MaxVersion:             s.version,
		NextProtos:             s.protocols,
		SessionTicketsDisabled: s.noTickets,
	}
	if s.onlyP521 {
		c.CurvePreferences = []tls.CurveID{tls.CurveP521}
	}
	return c
}

func goCertificates(t testing.TB, name string) []tls.Certificate {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(testenv.File(name+".pem"), testenv.File(name+".key"))
	require.NoError(t, err)
	return []tls.Certificate{cert}
}

func goPool(t testing.TB) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(testenv.Read(t, "ca.pem")))
	return pool
}

// seen is what a peer says of a connection, in its own words.
type seen struct {
	resumed    bool
	protocol   string // ALPN
	serverName string // on a server: what the client asked for
	peer       string // common name in the other side's certificate, if it was sent
}

func newSeen(out, resumed string, protocol, serverName, peer *regexp.Regexp) seen {
	field := func(pattern *regexp.Regexp) string {
		if m := pattern.FindStringSubmatch(out); m != nil {
			return m[1]
		}
		return ""
	}
	return seen{strings.Contains(out, resumed), field(protocol), field(serverName), field(peer)}
}

func gnutlsSeen(out string) seen {
	return newSeen(out, "*** This is a resumed session",
		regexp.MustCompile(`- Application protocol: (.*)`),
		regexp.MustCompile(`- Given server name\[1\]: (.*)`),
		regexp.MustCompile("(?s)- Certificate\\[0\\] info:.*?[sS]ubject:? `?CN=([^\n']*)"))
}

func opensslSeen(out, resumed string) seen {
	return newSeen(out, resumed,
		regexp.MustCompile(`ALPN protocol(?:s selected)?: (.*)`),
		regexp.MustCompile(`Hostname in TLS extension: "(.*)"`),
		regexp.MustCompile(`(?m)^subject=CN ?= ?(.*)`))
}

func goSeen(cs tls.ConnectionState) seen {
	s := seen{resumed: cs.DidResume, protocol: cs.NegotiatedProtocol, serverName: cs.ServerName}
	if len(cs.PeerCertificates) > 0 {
		s.peer = cs.PeerCertificates[0].Subject.CommonName
	}
	return s
}

// commonName is the name of the certificate that the other side of cs sent.
func commonName(cs gnutls.ConnectionState) string {
	if len(cs.PeerCertificates) == 0 {
		return ""
	}
	return cs.PeerCertificates[0].Subject.CommonName
}

// server is one of ours that others connect to.
type server struct {
	addr     string
	accepted chan chan served // one for each connection, in order
}

// served is a connection of a server that is over.
type served struct {
	state gnutls.ConnectionState
	err   error // of the handshake or of what came after it
}

func listen(t *testing.T, config *gnutls.Config) net.Listener {
	t.Helper()
	ln, err := gnutls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	return ln
}

// listenTapped is listen with a tap on each connection.
func listenTapped(t *testing.T, config *gnutls.Config) (net.Listener, <-chan *tap) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	taps := make(chan *tap, 16)
	return gnutls.NewListener(tapListener{inner, taps}, config), taps
}

// serve runs a server with what handle does after each handshake, until the
// test ends.
func serve(t *testing.T, ln net.Listener, handle func(*gnutls.Conn) error) *server {
	s := &server{ln.Addr().String(), make(chan chan served, 16)}
	var running sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	running.Add(1)
	go func() {
		defer running.Done()
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			over := make(chan served, 1)
			s.accepted <- over
			running.Add(1)
			go func() {
				defer running.Done()
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(wait))
				c := conn.(*gnutls.Conn)
				err := c.Handshake()
				if err == nil {
					err = handle(c)
				}
				over <- served{c.ConnectionState(), err}
			}()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, conn := range conns {
			conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return s
}

// echoBack returns what comes until the peer closes its side, and nil where
// that was with a close_notify.
func echoBack(c *gnutls.Conn) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := c.Read(buf)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return err
		}
	}
}

// next returns the next connection of s, when it is over.
func (s *server) next(t *testing.T) served {
	t.Helper()
	return receive(t, receive(t, s.accepted))
}

func receive[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(wait):
		require.Fail(t, "nothing came")
	}
	return v
}

// requireServing checks that s serves yet another client.
func (s *server) requireServing(t *testing.T, set settings) {
	t.Helper()
	runGoClient(t, s.addr, set, 1)
	require.NoError(t, s.next(t).err)
}

// echoOver sends data to a server that echoes and reads it back.
func echoOver(t *testing.T, conn net.Conn, data string) {
	t.Helper()
	require.NoError(t, conn.SetDeadline(time.Now().Add(wait)))
	written := make(chan error, 1)
	go func() {
		_, err := io.WriteString(conn, data)
		written <- err
	}()
	requireRead(t, conn, data)
	require.NoError(t, <-written)
}

// requireRead reads data. Where they differ it does not print them.
func requireRead(t *testing.T, conn net.Conn, data string) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(wait)))
	got := make([]byte, len(data))
	n, err := io.ReadFull(conn, got)
	require.NoError(t, err, "after %d of %d bytes", n, len(data))
	require.True(t, string(got) == data, "other data came back")
}

// requireEOF checks that the next that comes is a close_notify.
func requireEOF(t *testing.T, conn net.Conn) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(wait)))
	n, err := conn.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	require.Zero(t, n)
}

// eachVersion runs a test for TLS 1.2 and for TLS 1.3.
func eachVersion(t *testing.T, f func(t *testing.T, version uint16)) {
	for _, version := range []uint16{gnutls.VersionTLS12, gnutls.VersionTLS13} {
		t.Run(gnutls.VersionName(version), func(t *testing.T) { f(t, version) })
	}
}

// tap is a connection that keeps what the server's side of it sends.
type tap struct {
	net.Conn
	server bool

	mu   sync.Mutex // guards sent
	sent []byte
}

func (c *tap) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.server {
		c.keep(p[:n])
	}
	return n, err
}

func (c *tap) Write(p []byte) (int, error) {
	if c.server {
		c.keep(p)
	}
	return c.Conn.Write(p)
}

func (c *tap) keep(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, p...)
}

// helloRetryRequests counts those that the server sent: they have a random of
// their own (RFC 8446 section 4.1.3).
func (c *tap) helloRetryRequests() int {
	random := sha256.Sum256([]byte("HelloRetryRequest"))
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Count(string(c.sent), string(random[:]))
}

// tapListener taps the connections of a server.
type tapListener struct {
	net.Listener
	taps chan *tap
}

func (l tapListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &tap{Conn: conn, server: true}
	l.taps <- c
	return c, nil
}
