// Plugtest is a server with the resources of the ETSI CoAP plugtests, and a client
// that runs their cases against any server.
//
//	plugtest -listen 127.0.0.1:5683
//	plugtest -listen 127.0.0.1:5683 -psk 'a secret'
//	plugtest -listen 127.0.0.1:5683 -cert server.pem -key server.key
//	plugtest -run coap://127.0.0.1:5683
//	plugtest -run coaps://127.0.0.1:5684 -psk 'a secret'
//	plugtest -run coaps+tcp://localhost:5684 -ca ca.pem
//
// The server listens with UDP and TCP on the port and, with a key or a certificate,
// with DTLS and TLS on the next one. It prints the URIs of its endpoints, a line
// each. Port 0 means any port.
//
// The client prints a line for each case: its name, what it did, and whether that
// passed, failed or was skipped, and why. A case is skipped when the server does not
// offer what it needs. The exit status is 1 when one failed, and 2 for arguments that
// cannot be used.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/gnutls"
)

// identity is that of the client with -psk.
const identity = "plugtest"

var errFailed = errors.New("a case failed")

// A usageError is about the arguments.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	var usage usageError
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "plugtest:", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "plugtest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, w io.Writer) error {
	flags := flag.NewFlagSet("plugtest", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	listen := flags.String("listen", "", "run a server on `HOST:PORT`")
	target := flags.String("run", "", "run the cases against the server of a `URI`")
	psk := flags.String("psk", "", "pre-shared `key` for DTLS and TLS")
	cert := flags.String("cert", "", "`file` with the server's certificate")
	key := flags.String("key", "", "`file` with the certificate's key")
	ca := flags.String("ca", "",
		"`file` with the authorities that the client trusts, instead of the system's")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(w)
			flags.PrintDefaults()
			return err
		}
		return usageError{err}
	}
	config := &coap.Config{}
	if *cert != "" || *key != "" {
		pair, err := gnutls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			return usageError{fmt.Errorf("-cert %q -key %q: %w", *cert, *key, err)}
		}
		config.PKI.Certificates = []gnutls.Certificate{pair}
	}
	switch {
	case flags.NArg() > 0:
		return usageError{fmt.Errorf("unexpected argument %q", flags.Arg(0))}
	case (*listen == "") == (*target == ""):
		return usageError{errors.New("either -listen or -run is needed")}
	case *listen != "":
		if *psk != "" {
			config.ServerPSK.GetKey = func(string, string) ([]byte, error) { return []byte(*psk), nil }
		}
		return serve(ctx, *listen, config, w)
	}
	if *psk != "" {
		config.PSK = coap.PSK{Identity: identity, Key: []byte(*psk)}
	}
	if *ca != "" {
		pem, err := os.ReadFile(*ca)
		if err != nil {
			return usageError{fmt.Errorf("-ca: %w", err)}
		}
		config.PKI.RootCAs = gnutls.NewCertPool()
		if err := config.PKI.RootCAs.AppendCertsFromPEM(pem); err != nil {
			return usageError{fmt.Errorf("-ca %q: %w", *ca, err)}
		}
	}
	if _, err := coap.ParseURI(*target); err != nil {
		return usageError{fmt.Errorf("-run: %w", err)}
	}
	return runCases(ctx, *target, config, w)
}
