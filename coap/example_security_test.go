//go:build !libcoap2

package coap_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"os"
	"time"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// ask prints what a server answers.
func ask(s *coap.Session) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	response, err := s.Get(ctx, "/")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(response.Body))
}

func read(name string) []byte {
	data, err := os.ReadFile(testenv.File(name))
	if err != nil {
		log.Fatal(err)
	}
	return data
}

func load(name string) gnutls.Certificate {
	cert, err := gnutls.LoadX509KeyPair(testenv.File(name+".pem"), testenv.File(name+".key"))
	if err != nil {
		log.Fatal(err)
	}
	return cert
}

// greet says hello to clients, by the names that they have proved.
var greet = coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
	name := r.Session.PeerIdentity()
	if certs := r.Session.PeerCertificates(); certs != nil {
		name = certs[0].Subject.CommonName
	}
	fmt.Fprintf(w, "hello %s", name)
})

// A server with pre-shared keys, and a client.
func ExampleContext_NewClientSessionPSK() {
	keys := map[string][]byte{"sensor 1": []byte("correct horse battery staple")}
	server, err := coap.NewContext(&coap.Config{ServerPSK: coap.ServerPSK{
		GetKey: func(identity, _ string) ([]byte, error) { return keys[identity], nil },
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	server.Handle(greet)
	addr, err := server.Listen(loopback, coap.DTLS)
	if err != nil {
		log.Fatal(err)
	}

	client, err := coap.NewContext(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	session, err := client.NewClientSessionPSK(netip.AddrPort{}, addr, coap.DTLS, "sensor 1", keys["sensor 1"])
	if err != nil {
		log.Fatal(err)
	}
	ask(session)
	// Output: hello sensor 1
}

// A client that asks more of the server's certificate than that it is for the right name and by a
// trusted authority; and the order in which a server is set up.
func ExampleContext_NewClientSessionPKI() {
	roots := gnutls.NewCertPool()
	if err := roots.AppendCertsFromPEM(read("ca.pem")); err != nil {
		log.Fatal(err)
	}
	server, err := coap.NewContext(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	err = server.SetPKI(&coap.PKI{
		Certificates: []gnutls.Certificate{load("server")},
		ClientAuth:   gnutls.RequireAndVerifyClientCert,
		ClientCAs:    roots,
	})
	if err != nil {
		log.Fatal(err)
	}
	server.Handle(greet)
	addr, err := server.Listen(loopback, coap.DTLS)
	if err != nil {
		log.Fatal(err)
	}

	client, err := coap.NewContext(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	client.SetRootCAs(roots)
	session, err := client.NewClientSessionPKI(netip.AddrPort{}, addr, coap.DTLS, &coap.PKI{
		Certificates: []gnutls.Certificate{load("client")},
		VerifyConnection: func(state gnutls.ConnectionState) error {
			if name := state.PeerCertificates[0].Subject.CommonName; name != "gnucoap test server" {
				return fmt.Errorf("%q is not the server", name)
			}
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	ask(session)
	// Output: hello client one
}

// Over DTLS and TLS a client verifies the server with no more ado.
func ExampleContext_NewClientSession_defaults() {
	server, err := coap.NewContext(&coap.Config{PKI: coap.PKI{Certificates: []gnutls.Certificate{load("server")}}})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	addr, err := server.Listen(loopback, coap.DTLS)
	if err != nil {
		log.Fatal(err)
	}

	client, err := coap.NewContext(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	session, err := client.NewClientSession(netip.AddrPort{}, addr, coap.DTLS)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err = session.Ready(ctx)
	fmt.Println(errors.Is(err, coap.ErrHandshake), errors.Is(err, gnutls.CertificateUnknownAuthority))
	// Output: true true
}
