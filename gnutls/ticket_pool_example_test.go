package gnutls_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"

	"github.com/gnucoap/gnucoap/gnutls"
)

// A program that keeps its tickets in a file from one run to the next.
func ExampleTicketPool() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	addr, stop := echoServer(&gnutls.Config{Certificates: testCertificates("server")})
	defer stop()

	run := func() {
		name := filepath.Join(dir, "tickets")
		pool := &gnutls.TicketPool{Tickets: 2}
		if err := pool.Load(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			log.Print(err) // and go on without tickets
		}
		conn, err := gnutls.Dial("tcp", addr, &gnutls.Config{
			RootCAs:            testRoots(),
			ServerName:         "localhost",
			ClientSessionCache: pool,
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprintln(conn, "hello")
		conn.Read(make([]byte, 6)) // with which the tickets come
		conn.Close()
		fmt.Println("resumed:", conn.ConnectionState().DidResume, "tickets:", pool.Stats().Tickets)
		if err := pool.Save(name); err != nil {
			log.Fatal(err)
		}
	}
	run()
	run()
	// Output:
	// resumed: false tickets: 2
	// resumed: true tickets: 2
}
