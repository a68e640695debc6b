// Every-ticket shows each session ticket that a client receives. A server may
// send several after a TLS 1.3 handshake, each for one later connection;
// Conn.SessionData gives only the newest one; Config.OnSessionTicket gets them all.
//
//	go run ./examples/every-ticket
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"github.com/gnucoap/gnucoap/gnutls"
)

func main() {
	certFile := flag.String("cert", "testdata/server.pem", "certificate of the server")
	keyFile := flag.String("key", "testdata/server.key", "its private key")
	caFile := flag.String("ca", "testdata/ca.pem", "authority that the client trusts")
	tickets := flag.Int("tickets", 4, "tickets that the server sends")
	flag.Parse()
	if err := run(os.Stdout, *certFile, *keyFile, *caFile, *tickets); err != nil {
		log.Fatal(err)
	}
}

func run(w io.Writer, certFile, keyFile, caFile string, tickets int) error {
	cert, err := gnutls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return err
	}
	ln, err := gnutls.Listen("tcp", "127.0.0.1:0", &gnutls.Config{
		Certificates:   []gnutls.Certificate{cert},
		SessionTickets: tickets,
	})
	if err != nil {
		return err
	}
	defer ln.Close()
	served := make(chan error, 1)
	go func() { served <- greet(ln) }()
	if err := listTickets(w, ln.Addr().String(), caFile); err != nil {
		return err
	}
	return <-served
}

// listTickets connects, reads to the end and prints the tickets that come.
func listTickets(w io.Writer, addr, caFile string) error {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	roots := gnutls.NewCertPool()
	if err := roots.AppendCertsFromPEM(pem); err != nil {
		return err
	}
	var received []*gnutls.SessionData
	conn, err := gnutls.Dial("tcp", addr, &gnutls.Config{
		RootCAs: roots,
		// The hook runs on the goroutine whose Read found the ticket, outside
		// any lock, so it may print, store or use the connection.
		OnSessionTicket: func(conn *gnutls.Conn, d *gnutls.SessionData) {
			received = append(received, d)
			fmt.Fprintf(w, "ticket %d of %s: %s, lifetime %v, single use %t, early data %d bytes\n",
				len(received), conn.RemoteAddr(), gnutls.VersionName(d.Version()), d.Lifetime(), d.SingleUse(),
				d.MaxEarlyData())
		},
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	// Tickets come after a TLS 1.3 handshake, between the data.
	data, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d tickets before the end of the data, %q\n", len(received), data)
	if len(received) == 0 {
		return errors.New("no ticket came")
	}
	newest, err := conn.SessionData(context.Background())
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "SessionData gives the last: %t\n", newest == received[len(received)-1])
	return nil
}

// greet serves one connection.
func greet(ln net.Listener) error {
	conn, err := ln.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	_, err = io.WriteString(conn, "hello")
	return err
}
