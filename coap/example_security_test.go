//go:build !libcoap2

package coap_test

import (
	"errors"
	"fmt"
	"log"
	"net/netip"
	"os"
	"strings"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// ask prints what a server answers.
func ask(s *coap.Session) {
	ctx, cancel := within()
	defer cancel()
	response, err := s.Get(ctx, "/")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.TrimSpace(string(response.Body)))
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
func ExampleNode_NewClientSessionPSK() {
	keys := map[string][]byte{"sensor 1": []byte("correct horse battery staple")}
	server, err := coap.NewNode(&coap.Config{ServerPSK: coap.ServerPSK{
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

	client, err := coap.NewNode(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	session, err := client.NewClientSessionPSK(netip.AddrPort{}, addr, coap.DTLS, "sensor 1",
		keys["sensor 1"])
	if err != nil {
		log.Fatal(err)
	}
	ask(session)
	// Output: hello sensor 1
}

// The order in which a server is set up: what secures it, and then its endpoints.
func ExampleNode_Listen() {
	roots := gnutls.NewCertPool()
	if err := roots.AppendCertsFromPEM(read("ca.pem")); err != nil {
		log.Fatal(err)
	}
	server, err := coap.NewNode(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	server.SetRootCAs(roots)
	if err := server.SetPKI(
		&coap.PKI{Certificates: []gnutls.Certificate{load("server")}}); err != nil {
		log.Fatal(err)
	}
	key := []byte("correct horse battery staple")
	err = server.SetPSK(&coap.ServerPSK{GetKey: func(identity, _ string) ([]byte, error) {
		return key, nil
	}})
	if err != nil {
		log.Fatal(err)
	}
	server.Handle(greet)
	for _, proto := range []coap.Protocol{coap.UDP, coap.DTLS, coap.TCP, coap.TLS} {
		addr, err := server.Listen(loopback, proto)
		if err != nil {
			log.Fatal(err)
		}
		config := &coap.Config{}
		if proto.Secure() {
			config.PSK = coap.PSK{Identity: "over " + proto.String(), Key: key}
		}
		ctx, cancel := within()
		defer cancel()
		session, err := coap.Dial(ctx, proto.Scheme()+"://"+addr.String(), config)
		if err != nil {
			log.Fatal(err)
		}
		defer session.Close()
		ask(session)
	}
	// Output:
	// hello
	// hello over dtls
	// hello
	// hello over tls
}

// A client that asks more of the server's certificate than that it is for the right name and by a
// trusted authority.
func ExampleNode_NewClientSessionPKI() {
	roots := gnutls.NewCertPool()
	if err := roots.AppendCertsFromPEM(read("ca.pem")); err != nil {
		log.Fatal(err)
	}
	server, err := coap.NewNode(nil)
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

	client, err := coap.NewNode(nil)
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
func ExampleNode_NewClientSession_defaults() {
	server, err := coap.NewNode(
		&coap.Config{PKI: coap.PKI{Certificates: []gnutls.Certificate{load("server")}}})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	addr, err := server.Listen(loopback, coap.DTLS)
	if err != nil {
		log.Fatal(err)
	}

	client, err := coap.NewNode(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	session, err := client.NewClientSession(netip.AddrPort{}, addr, coap.DTLS)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := within()
	defer cancel()
	err = session.Ready(ctx)
	fmt.Println(errors.Is(err, coap.ErrHandshake), errors.Is(err, gnutls.CertificateUnknownAuthority))
	// Output: true true
}
