package gnutls_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/gnucoap/gnucoap/gnutls"
)

// Replicas take their ticket keys from a file. Here, one starts with the old key
// and another when the next key has come first.
func ExampleTicketKeyFile() {
	dir, err := os.MkdirTemp("", "example-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "ticket.keys")
	old, err := gnutls.NewTicketKey()
	if err != nil {
		log.Fatal(err)
	}
	next, err := gnutls.NewTicketKey()
	if err != nil {
		log.Fatal(err)
	}
	replica := func() (addr string, stop func()) {
		keys, err := gnutls.OpenTicketKeyFile(file)
		if err != nil {
			log.Fatal(err)
		}
		return echoServer(&gnutls.Config{Certificates: testCertificates("server"), TicketKeyFile: keys})
	}
	config := &gnutls.Config{RootCAs: testRoots(), ServerName: "localhost",
		ClientSessionCache: new(lastSession)}

	if err := gnutls.WriteTicketKeyFile(file, old); err != nil {
		log.Fatal(err)
	}
	one, stopOne := replica()
	defer stopOne()
	fmt.Println("first replica, resumed:", dialEcho(one, config).DidResume)

	if err := gnutls.WriteTicketKeyFile(file, next, old); err != nil {
		log.Fatal(err)
	}
	two, stopTwo := replica()
	defer stopTwo()
	fmt.Println("second replica, resumed:", dialEcho(two, config).DidResume)
	// Output:
	// first replica, resumed: false
	// second replica, resumed: true
}
