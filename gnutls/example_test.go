package gnutls_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gnucoap/gnucoap/gnutls"
)

// file returns the path of a file of test data.
func file(name string) string { return filepath.Join("..", "testdata", name) }

// testRoots trusts the authority of the test data.
func testRoots() *gnutls.CertPool {
	pem, err := os.ReadFile(file("ca.pem"))
	if err != nil {
		log.Fatal(err)
	}
	roots := gnutls.NewCertPool()
	if err := roots.AppendCertsFromPEM(pem); err != nil {
		log.Fatal(err)
	}
	return roots
}

// testCertificates holds the certificate NAME.pem of the test data.
func testCertificates(name string) []gnutls.Certificate {
	cert, err := gnutls.LoadX509KeyPair(file(name+".pem"), file(name+".key"))
	if err != nil {
		log.Fatal(err)
	}
	return []gnutls.Certificate{cert}
}

// echoServer runs a server that sends back what it gets. stop ends it and
// waits for its connections.
func echoServer(config *gnutls.Config) (addr string, stop func()) {
	ln, err := gnutls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		log.Fatal(err)
	}
	var running sync.WaitGroup
	running.Add(1)
	go func() {
		defer running.Done()
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			running.Add(1)
			go func() {
				defer running.Done()
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	return ln.Addr().String(), func() { ln.Close(); running.Wait() }
}

// dialEcho connects to an echoServer, exchanges a line with it and returns what
// the handshake settled. The exchange brings the tickets of TLS 1.3.
func dialEcho(addr string, config *gnutls.Config) gnutls.ConnectionState {
	conn, err := gnutls.Dial("tcp", addr, config)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintln(conn, "hello")
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		log.Fatal(err)
	}
	return conn.ConnectionState()
}

func ExampleDial() {
	addr, stop := echoServer(&gnutls.Config{Certificates: testCertificates("server")})
	defer stop()

	// Against a server that the system's authorities vouch for, nil will do.
	conn, err := gnutls.Dial("tcp", addr, &gnutls.Config{RootCAs: testRoots()})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	fmt.Fprintln(conn, "hello")
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(line)
	// Output: hello
}

func ExampleDialer_DialContext() {
	addr, stop := echoServer(&gnutls.Config{Certificates: testCertificates("server")})
	defer stop()

	// The context bounds the connection and the handshake.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	dialer := &gnutls.Dialer{Config: &gnutls.Config{RootCAs: testRoots()}}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Println(conn.(*gnutls.Conn).ConnectionState().HandshakeComplete)
	// Output: true
}

// With Race a connection takes the first address of the host whose handshake is
// done, and each attempt offers another ticket of the pool.
func ExampleDialer_race() {
	addr, stop := echoServer(&gnutls.Config{Certificates: testCertificates("server")})
	defer stop()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		log.Fatal(err)
	}

	dialer := &gnutls.Dialer{
		Race:         true,
		AttemptDelay: 100 * time.Millisecond,
		Config:       &gnutls.Config{RootCAs: testRoots(), ClientSessionCache: new(gnutls.TicketPool)},
	}
	for range 2 {
		// Where localhost is ::1 too, that attempt fails and the next one starts.
		conn, err := dialer.Dial("tcp", net.JoinHostPort("localhost", port))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprintln(conn, "hello")
		if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
			log.Fatal(err)
		}
		fmt.Println("resumed:", conn.(*gnutls.Conn).ConnectionState().DidResume)
		conn.Close()
	}
	// Output:
	// resumed: false
	// resumed: true
}

func ExampleListen() {
	cert, err := gnutls.LoadX509KeyPair(file("server.pem"), file("server.key"))
	if err != nil {
		log.Fatal(err)
	}
	ln, err := gnutls.Listen("tcp", "127.0.0.1:0", &gnutls.Config{
		Certificates: []gnutls.Certificate{cert},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			// The handshake runs with the first Read or Write, so here and not
			// in Accept.
			go func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(10 * time.Second))
				fmt.Fprintln(conn, "welcome")
			}()
		}
	}()

	conn, err := gnutls.Dial("tcp", ln.Addr().String(), &gnutls.Config{RootCAs: testRoots()})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	greeting, err := io.ReadAll(conn)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(greeting))
	// Output: welcome
}

// TLS runs over any net.Conn, here over a pipe in memory.
func ExampleClient() {
	clientEnd, serverEnd := net.Pipe()
	server := gnutls.Server(serverEnd, &gnutls.Config{Certificates: testCertificates("server")})
	done := make(chan error)
	go func() {
		_, err := io.Copy(server, server)
		server.Close()
		done <- err
	}()

	client := gnutls.Client(clientEnd, &gnutls.Config{RootCAs: testRoots(), ServerName: "localhost"})
	fmt.Fprintln(client, "hello through a pipe")
	line, err := bufio.NewReader(client).ReadString('\n')
	if err != nil {
		log.Fatal(err)
	}
	client.Close()
	fmt.Print(line)
	fmt.Println("the server ended with", <-done)
	// Output:
	// hello through a pipe
	// the server ended with <nil>
}

func ExampleServer() {
	clientEnd, serverEnd := net.Pipe()
	client := gnutls.Client(clientEnd, &gnutls.Config{
		RootCAs: testRoots(), ServerName: "localhost", Certificates: testCertificates("client"),
	})
	done := make(chan error)
	go func() { done <- client.Handshake() }()

	server := gnutls.Server(serverEnd, &gnutls.Config{
		Certificates: testCertificates("server"),
		ClientAuth:   gnutls.RequireAndVerifyClientCert,
		ClientCAs:    testRoots(),
	})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := server.HandshakeContext(ctx); err != nil {
		log.Fatal(err)
	}
	if err := <-done; err != nil {
		log.Fatal(err)
	}
	fmt.Println(server.ConnectionState().PeerCertificates[0].Subject)
	clientEnd.Close()
	client.Close()
	server.Close()
	// Output: CN=client one
}

// SessionData gives what a later connection needs to resume.
func ExampleConn_SessionData() {
	addr, stop := echoServer(&gnutls.Config{Certificates: testCertificates("server")})
	defer stop()
	config := &gnutls.Config{RootCAs: testRoots()}

	conn, err := gnutls.Dial("tcp", addr, config)
	if err != nil {
		log.Fatal(err)
	}
	// The tickets of TLS 1.3 come after the handshake: SessionData waits.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	session, err := conn.SessionData(ctx)
	switch {
	case errors.Is(err, gnutls.ErrNoTicket):
		log.Fatal("this server does not let its clients resume")
	case err != nil:
		log.Fatal(err)
	}
	conn.Close()

	fmt.Println(gnutls.VersionName(session.Version()), session.ServerName(), session.Lifetime())
	// Output: TLS 1.3 127.0.0.1 6h0m0s
}

func ExampleConn_Resume() {
	addr, stop := echoServer(&gnutls.Config{Certificates: testCertificates("server")})
	defer stop()
	config := &gnutls.Config{RootCAs: testRoots(), ServerName: "localhost"}

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	first, err := gnutls.Dial("tcp", addr, config)
	if err != nil {
		log.Fatal(err)
	}
	session, err := first.SessionData(ctx)
	if err != nil {
		log.Fatal(err)
	}
	first.Close()

	raw, err := net.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	second := gnutls.Client(raw, config)
	defer second.Close()
	var refused *gnutls.SessionDataError
	if err := second.Resume(session); errors.As(err, &refused) {
		fmt.Println("a full handshake then:", refused.Reason)
	} else if err != nil {
		log.Fatal(err)
	}
	if err := second.HandshakeContext(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("resumed:", second.ConnectionState().DidResume)
	// Output: resumed: true
}

// With a cache, connections of one process resume by themselves.
func ExampleConfig_clientSessionCache() {
	addr, stop := echoServer(&gnutls.Config{Certificates: testCertificates("server")})
	defer stop()

	config := &gnutls.Config{
		RootCAs:            testRoots(),
		ClientSessionCache: gnutls.NewClientSessionCache(0),
	}
	for range 3 {
		fmt.Println("resumed:", dialEcho(addr, config).DidResume)
	}
	// Output:
	// resumed: false
	// resumed: true
	// resumed: true
}

// OnSessionTicket sees every ticket, where SessionData sees the newest.
func ExampleConfig_onSessionTicket() {
	addr, stop := echoServer(&gnutls.Config{
		Certificates:   testCertificates("server"),
		SessionTickets: 3,
	})
	defer stop()

	dialEcho(addr, &gnutls.Config{
		RootCAs: testRoots(),
		OnSessionTicket: func(_ *gnutls.Conn, d *gnutls.SessionData) {
			fmt.Println("a ticket for", d.Lifetime())
		},
	})
	// Output:
	// a ticket for 6h0m0s
	// a ticket for 6h0m0s
	// a ticket for 6h0m0s
}

// Session data can be kept in a file for another process. The file is as
// secret as a private key.
func ExampleSessionData_MarshalBinary() {
	addr, stop := echoServer(&gnutls.Config{Certificates: testCertificates("server")})
	defer stop()
	config := &gnutls.Config{RootCAs: testRoots()}
	conn, err := gnutls.Dial("tcp", addr, config)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	session, err := conn.SessionData(ctx)
	if err != nil {
		log.Fatal(err)
	}
	conn.Close()

	encoded, err := session.MarshalBinary()
	if err != nil {
		log.Fatal(err)
	}
	decoded := new(gnutls.SessionData)
	if err := decoded.UnmarshalBinary(encoded); err != nil {
		log.Fatal(err)
	}
	fmt.Println(decoded.ServerName(), decoded.Lifetime(),
		decoded.LibraryVersion() == gnutls.LibraryVersion())

	// Bytes that are anything else are refused with a reason.
	err = new(gnutls.SessionData).UnmarshalBinary(encoded[:len(encoded)/2])
	fmt.Println(errors.Is(err, gnutls.ErrSessionDamaged))
	// Output:
	// 127.0.0.1 6h0m0s true
	// true
}

func ExampleCertPool() {
	pem, err := os.ReadFile(file("ca.pem"))
	if err != nil {
		log.Fatal(err)
	}
	crl, err := os.ReadFile(file("ca.crl.pem"))
	if err != nil {
		log.Fatal(err)
	}
	pool := gnutls.NewCertPool() // or SystemCertPool, to add to the system's
	if err := pool.AppendCertsFromPEM(pem); err != nil {
		log.Fatal(err)
	}
	if err := pool.AppendRevocationsFromPEM(crl); err != nil {
		log.Fatal(err)
	}

	for _, name := range []string{"server", "revoked"} {
		addr, stop := echoServer(&gnutls.Config{Certificates: testCertificates(name)})
		conn, err := gnutls.Dial("tcp", addr, &gnutls.Config{RootCAs: pool})
		if err == nil {
			conn.Close()
		}
		stop()
		fmt.Printf("%s: revoked: %t\n", name, errors.Is(err, gnutls.CertificateRevoked))
	}
	// Output:
	// server: revoked: false
	// revoked: revoked: true
}

func ExampleLoadX509KeyPair() {
	cert, err := gnutls.LoadX509KeyPair(file("server-chain.pem"), file("server-chain.key"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(cert.Certificate), "certificates, the first for", cert.Leaf.DNSNames)

	// A key must belong to its certificate.
	_, err = gnutls.LoadX509KeyPair(file("server.pem"), file("client.key"))
	fmt.Println(errors.Is(err, gnutls.CodeKeyMismatch))
	// Output:
	// 2 certificates, the first for [localhost chain.test]
	// true
}

// A refused certificate tells which checks it failed.
func ExampleCertificateError() {
	addr, stop := echoServer(&gnutls.Config{Certificates: testCertificates("expired")})
	defer stop()

	_, err := gnutls.Dial("tcp", addr, &gnutls.Config{RootCAs: testRoots(), ServerName: "wrong.test"})
	var refused *gnutls.CertificateError
	if errors.As(err, &refused) {
		fmt.Println("certificate", refused.Index, "of", refused.Certificate.Subject)
		fmt.Println("expired:", refused.Status.Has(gnutls.CertificateExpired))
		fmt.Println("wrong name:", errors.Is(err, gnutls.CertificateWrongName))
	}
	// Output:
	// certificate 0 of CN=gnucoap test expired
	// expired: true
	// wrong name: true
}

// Pre-shared keys need no certificates.
func ExampleConfig_getPSK() {
	key, err := hex.DecodeString("9e32cf7786321a828ef7668f09fb35db")
	if err != nil {
		log.Fatal(err)
	}
	addr, stop := echoServer(&gnutls.Config{
		GetPSK: func(_ context.Context, identity string) ([]byte, error) {
			if identity != "client1" {
				return nil, nil // nobody that this server knows
			}
			return key, nil
		},
	})
	defer stop()

	cs := dialEcho(addr, &gnutls.Config{PSKIdentity: "client1", PSKKey: key})
	fmt.Println(cs.PSK, len(cs.PeerCertificates))
	// Output: true 0
}

// Servers that share a ticket key resume each other's sessions.
func ExampleTicketKey() {
	key, err := gnutls.NewTicketKey()
	if err != nil {
		log.Fatal(err)
	}
	sameKey, err := gnutls.ParseTicketKey(key.Bytes()) // in another process
	if err != nil {
		log.Fatal(err)
	}
	one, stopOne := echoServer(&gnutls.Config{Certificates: testCertificates("server"),
		TicketKey: key})
	defer stopOne()
	two, stopTwo := echoServer(&gnutls.Config{Certificates: testCertificates("server"),
		TicketKey: sameKey})
	defer stopTwo()

	// The cache in memory goes by name and port. This one takes all servers
	// for one, as a load balancer makes them look.
	config := &gnutls.Config{RootCAs: testRoots(), ServerName: "localhost",
		ClientSessionCache: new(lastSession)}
	fmt.Println("first server, resumed:", dialEcho(one, config).DidResume)
	fmt.Println("second server, resumed:", dialEcho(two, config).DidResume)
	// Output:
	// first server, resumed: false
	// second server, resumed: true
}

// lastSession is a cache of one session, whatever the server.
type lastSession struct {
	mu   sync.Mutex
	data *gnutls.SessionData
}

func (c *lastSession) Put(_ string, data *gnutls.SessionData) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.data = data
}

func (c *lastSession) Get(string) *gnutls.SessionData {
	c.mu.Lock()
	defer c.mu.Unlock()
	data := c.data
	c.data = nil
	return data
}

func ExampleConn_ConnectionState() {
	addr, stop := echoServer(&gnutls.Config{
		Certificates: testCertificates("server"),
		NextProtos:   []string{"echo/1"},
	})
	defer stop()
	conn, err := gnutls.Dial("tcp", addr, &gnutls.Config{
		RootCAs:    testRoots(),
		NextProtos: []string{"echo/2", "echo/1"},
		Priority:   "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:-GROUP-ALL:+GROUP-X25519",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	cs := conn.ConnectionState()
	fmt.Println(gnutls.VersionName(cs.Version), cs.CipherSuiteName, cs.Group)
	fmt.Println(cs.NegotiatedProtocol, cs.ServerName, cs.DidResume)
	for _, cert := range cs.VerifiedChains[0] {
		fmt.Println(cert.Subject)
	}
	// Output:
	// TLS 1.3 TLS_AES_128_GCM_SHA256 X25519
	// echo/1 127.0.0.1 false
	// CN=gnucoap test server
	// CN=gnucoap test root CA
}

// LiveObjects shows that Close frees native memory at once.
func ExampleLiveObjects() {
	addr, stop := echoServer(&gnutls.Config{Certificates: testCertificates("server")})
	before := gnutls.LiveObjects().Sessions
	conn, err := gnutls.Dial("tcp", addr, &gnutls.Config{RootCAs: testRoots()})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("a client and a server:", gnutls.LiveObjects().Sessions-before)
	conn.Close()
	stop()
	fmt.Println("closed:", gnutls.LiveObjects().Sessions-before)
	// Output:
	// a client and a server: 2
	// closed: 0
}
