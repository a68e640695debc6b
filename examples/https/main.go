// Https is an HTTPS server and a client over net/http, with GnuTLS in the
// place of crypto/tls. The client's second connection resumes the session of
// the first.
//
//	go run ./examples/https
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/gnucoap/gnucoap/gnutls"
)

func main() {
	certFile := flag.String("cert", "testdata/server.pem", "certificate of the server")
	keyFile := flag.String("key", "testdata/server.key", "its private key")
	caFile := flag.String("ca", "testdata/ca.pem", "authority that the client trusts")
	flag.Parse()
	if err := run(os.Stdout, *certFile, *keyFile, *caFile); err != nil {
		log.Fatal(err)
	}
}

func run(w io.Writer, certFile, keyFile, caFile string) error {
	cert, err := gnutls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return err
	}
	ln, err := gnutls.Listen("tcp", "127.0.0.1:0", &gnutls.Config{
		Certificates: []gnutls.Certificate{cert},
		NextProtos:   []string{"http/1.1"},
	})
	if err != nil {
		return err
	}
	server := newServer()
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()

	err = get(w, "https://"+ln.Addr().String()+"/", caFile)
	if shutdownErr := server.Close(); err == nil {
		err = shutdownErr
	}
	if serveErr := <-served; err == nil && !errors.Is(serveErr, http.ErrServerClosed) {
		err = serveErr
	}
	return err
}

// connKey is the key of a request's *gnutls.Conn in its context.
type connKey struct{}

// newServer returns a server whose handler reports what it knows about the
// connection. Request.TLS is only for crypto/tls, so ConnContext hands the
// connection on.
func newServer() *http.Server {
	return &http.Server{
		ReadHeaderTimeout: 10 * time.Second, // bounds the handshake as well
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, conn)
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			cs := r.Context().Value(connKey{}).(*gnutls.Conn).ConnectionState()
			fmt.Fprintf(w, "%s over %s, resumed: %t", r.Proto, gnutls.VersionName(cs.Version), cs.DidResume)
		}),
	}
}

// get asks twice, over a connection each.
func get(w io.Writer, url, caFile string) error {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	roots := gnutls.NewCertPool()
	if err := roots.AppendCertsFromPEM(pem); err != nil {
		return err
	}
	dialer := &gnutls.Dialer{Config: &gnutls.Config{
		RootCAs:            roots,
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: gnutls.NewClientSessionCache(0),
	}}
	transport := &http.Transport{DialTLSContext: dialer.DialContext}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	for i := range 2 {
		resp, err := client.Get(url)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "connection %d: %s: %s\n", i+1, resp.Status, body)
		transport.CloseIdleConnections() // the next request dials anew
	}
	return nil
}
