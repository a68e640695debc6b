// Demo shows what it is worth to resume a TLS session. It runs a server and a
// client over GnuTLS in one process, once with TLS 1.2 and once with TLS 1.3:
// the client connects, gets its tickets, resumes with each of them, and then
// compares full with resumed handshakes. A third client asks for as many tickets
// as it needs and sends early data. It fails if anything did not resume. Then a CoAP
// server and clients talk over UDP, TCP, DTLS and TLS.
//
//	go run ./examples/demo
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/gnutls"
)

func main() {
	rounds := flag.Int("rounds", 100, "handshakes of each kind to compare")
	flag.Parse()
	if err := run(os.Stdout, max(*rounds, 1)); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, rounds int) error {
	fmt.Fprintf(w, "A TLS server and a client over GnuTLS %s, in one process.\n",
		gnutls.LibraryVersion())
	roots, cert, err := newCertificate()
	if err != nil {
		return err
	}
	for _, version := range []uint16{gnutls.VersionTLS12, gnutls.VersionTLS13} {
		// What the two configurations own is freed when nothing refers to them
		// any more, so they do not outlive this call.
		err := show(w, rounds,
			&gnutls.Config{Certificates: []gnutls.Certificate{cert}},
			&gnutls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: version,
				MaxVersion: version},
		)
		if err != nil {
			return fmt.Errorf("%s: %w", gnutls.VersionName(version), err)
		}
	}
	err = showPool(w,
		&gnutls.Config{Certificates: []gnutls.Certificate{cert}},
		&gnutls.Config{RootCAs: roots, ServerName: "localhost"},
	)
	if err != nil {
		return fmt.Errorf("tickets on request: %w", err)
	}
	if err := showCoAP(w); err != nil {
		return fmt.Errorf("CoAP: %w", err)
	}
	left := objectsLeft()
	fmt.Fprintf(w,
		"\nNative objects left: %d sessions, %d credentials, %d priorities, %d buffers, %d handles, %d for anti-replay; of CoAP %d.\n",
		left.Sessions, left.Credentials, left.Priorities, left.Buffers, left.Handles, left.AntiReplays,
		coap.LiveObjects().Total())
	if left.Total() != 0 || coap.LiveObjects().Total() != 0 {
		return errors.New("native objects are left")
	}
	return nil
}

// show runs a server and a client and reports what the client finds.
func show(w io.Writer, rounds int, serverConfig, clientConfig *gnutls.Config) error {
	addr, stop, err := serve(serverConfig)
	if err != nil {
		return err
	}
	defer stop()
	c := newClient(addr, clientConfig)

	first, err := c.connect(nil)
	if err != nil {
		return err
	}
	tickets := c.takeTickets()
	fmt.Fprintf(w, "\n%s\n", gnutls.VersionName(first.state.Version))
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "  cipher suite\t%s\n  group\t%s\n", first.state.CipherSuiteName,
		first.state.Group)
	resumes := 0
	for i, ticket := range tickets {
		again, err := c.connect(ticket)
		if err != nil {
			return err
		}
		outcome := "NOT resumed"
		if again.state.DidResume {
			outcome = "resumed"
			resumes++
		}
		fmt.Fprintf(tw, "  ticket %d of %d\tlifetime %v, %s\n", i+1, len(tickets), ticket.Lifetime(),
			outcome)
	}
	tw.Flush()
	if resumes == 0 || resumes < len(tickets) {
		return fmt.Errorf("%d of %d tickets resumed", resumes, len(tickets))
	}

	full, resumed, err := c.compare(rounds, tickets[0])
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\n  Median of %d handshakes of each kind:\n", rounds)
	tw = tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "  \ttime\tround trips\tbytes sent\tbytes received\t\n")
	for _, row := range []struct {
		name string
		cost
	}{{"full", full}, {"resumed", resumed}} {
		fmt.Fprintf(tw, "  %s\t%d µs\t%d\t%d\t%d\t\n", row.name, row.time.Microseconds(), row.roundTrips,
			row.sent, row.received)
	}
	return tw.Flush()
}

// A client makes one connection at a time and keeps the tickets that come.
type client struct {
	addr    string
	config  *gnutls.Config
	tickets []*gnutls.SessionData
}

func newClient(addr string, config *gnutls.Config) *client {
	c := &client{addr: addr, config: config}
	// The hook runs on the goroutine that calls Handshake or Read.
	c.config.OnSessionTicket = func(_ *gnutls.Conn, d *gnutls.SessionData) {
		c.tickets = append(c.tickets, d)
	}
	return c
}

func (c *client) takeTickets() []*gnutls.SessionData {
	tickets := c.tickets
	c.tickets = nil
	return tickets
}

// cost is what a handshake takes.
type cost struct {
	time           time.Duration
	roundTrips     int
	sent, received int // bytes on the wire
}

type result struct {
	state gnutls.ConnectionState
	cost
}

const patience = 10 * time.Second

// connect makes a connection that asks to resume session, unless that is nil.
func (c *client) connect(session *gnutls.SessionData) (result, error) {
	raw, err := net.DialTimeout("tcp", c.addr, patience)
	if err != nil {
		return result{}, err
	}
	wire := &meter{Conn: raw}
	conn := gnutls.Client(wire, c.config)
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return result{}, err
	}

	start := time.Now()
	if session != nil {
		if err := conn.Resume(session); err != nil {
			return result{}, err
		}
	}
	if err := conn.HandshakeContext(context.Background()); err != nil {
		return result{}, err
	}
	wire.time = time.Since(start)
	r := result{conn.ConnectionState(), wire.cost}

	// Under TLS 1.3 the tickets come after the handshake and before the answer.
	const message = "hello"
	if _, err := io.WriteString(conn, message); err != nil {
		return r, err
	}
	_, err = io.ReadFull(conn, make([]byte, len(message)))
	return r, err
}

// compare makes full and resumed handshakes in turn and returns the median
// cost of each kind.
func (c *client) compare(rounds int, session *gnutls.SessionData) (full, resumed cost, err error) {
	var fulls, resumes []result
	for range rounds {
		r, err := c.connect(nil)
		if err != nil {
			return full, resumed, err
		}
		fulls = append(fulls, r)
		// Each session of TLS 1.3 is used once.
		if tickets := c.takeTickets(); len(tickets) > 0 {
			session = tickets[len(tickets)-1]
		}
		if r, err = c.connect(session); err != nil {
			return full, resumed, err
		}
		if !r.state.DidResume {
			return full, resumed, errors.New("a connection did not resume")
		}
		resumes = append(resumes, r)
	}
	return median(fulls), median(resumes), nil
}

func median(results []result) cost {
	return cost{
		time:       medianOf(results, func(r result) time.Duration { return r.time }),
		roundTrips: medianOf(results, func(r result) int { return r.roundTrips }),
		sent:       medianOf(results, func(r result) int { return r.sent }),
		received:   medianOf(results, func(r result) int { return r.received }),
	}
}

func medianOf[T int | time.Duration](results []result, value func(result) T) T {
	values := make([]T, 0, len(results))
	for _, r := range results {
		values = append(values, value(r))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// A meter measures what goes over a connection that one goroutine uses. A
// read after a write waits for the peer: that is a round trip.
type meter struct {
	net.Conn
	cost
	wrote bool
}

func (m *meter) Read(p []byte) (int, error) {
	if m.wrote {
		m.roundTrips++
		m.wrote = false
	}
	n, err := m.Conn.Read(p)
	m.received += n
	return n, err
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.Conn.Write(p)
	m.sent += n
	m.wrote = true
	return n, err
}

// serve runs an echo server until stop is called.
func serve(config *gnutls.Config) (addr string, stop func(), err error) {
	ln, err := gnutls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		return "", nil, err
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
	return ln.Addr().String(), func() { ln.Close(); running.Wait() }, nil
}

// newCertificate makes a certificate authority and a certificate of localhost
// that it signs.
func newCertificate() (*gnutls.CertPool, gnutls.Certificate, error) {
	ca := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "demo CA"},
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "demo server"},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		DNSNames:     []string{"localhost"},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, gnutls.Certificate{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, gnutls.Certificate{}, err
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, gnutls.Certificate{}, err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	if err != nil {
		return nil, gnutls.Certificate{}, err
	}
	root, err := x509.ParseCertificate(caDER)
	if err != nil {
		return nil, gnutls.Certificate{}, err
	}
	roots := gnutls.NewCertPool()
	roots.AddCert(root)
	return roots, gnutls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: key}, nil
}

// objectsLeft counts the native objects when the garbage collector has freed
// what nothing refers to.
func objectsLeft() gnutls.ObjectCounts {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		runtime.GC()
		left := gnutls.LiveObjects()
		if left.Total() == 0 || time.Now().After(deadline) {
			return left
		}
	}
}
