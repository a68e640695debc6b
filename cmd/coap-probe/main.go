// Command coap-probe reports whether servers answer. It is the health check of the container
// image.
//
//	coap-probe coap://127.0.0.1
//	coap-probe coap://127.0.0.1 tls://127.0.0.1:5684
//
// It pings a server whose URI is one of coap, coaps, coap+tcp and coaps+tcp (RFC 7252,
// section 4.3; RFC 8323, section 5.4); only its host and port matter. If the URI is tls://host:port
// it makes a TLS handshake, whatever protocol is spoken above TLS. It neither verifies nor presents
// certificates: use coap-client or tls-resume to learn whether a server can be trusted.
//
// Without arguments the URIs are those of the environment variable COAP_PROBE, with
// spaces between them.
//
// A server has four seconds to answer. The exit status is 0 when all of them answer, 1 when one
// does not, with a line on standard error, 2 for URIs that cannot be used, and 130 when it is
// interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/gnucoap/gnucoap/cmd/internal/flags"
	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/gnutls"
)

const (
	usage       = "coap-probe [URI...]"
	environment = "COAP_PROBE"
	limit       = 4 * time.Second
	help        = `

Tells whether servers are there. A URI is one of
  coap://host[:port]  coaps://…  coap+tcp://…  coaps+tcp://…  to ping a CoAP server
  tls://host:port                                             to make a handshake
Without arguments the URIs are those of the environment variable COAP_PROBE, with
spaces between them. A server has 4 seconds. Certificates are not verified.

The exit status is 0 when all servers are there, 1 when one is not, and 2 for
URIs that cannot be used.
`
)

func main() {
	flags.Main(func(ctx context.Context) int { return run(ctx, os.Args[1:], os.Stdout, os.Stderr) })
}

// run probes the servers and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	uris, err := parse(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = probeAll(ctx, uris)
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "coap-probe:", err)
	if errors.As(err, new(flags.Error)) {
		return 2
	}
	if status, ok := flags.Interrupted(ctx); ok {
		return status
	}
	return 1
}

// parse returns the URIs to probe, which are good.
func parse(args []string, stdout io.Writer) ([]string, error) {
	fs := flags.New("coap-probe")
	if err := flags.Parse(fs, args, usage+help, stdout, "libcoap "+coap.Version()); err != nil {
		return nil, err
	}
	uris := fs.Args()
	if len(uris) == 0 {
		uris = strings.Fields(os.Getenv(environment))
	}
	if len(uris) == 0 {
		return nil, flags.Errorf("no URI is given, and %s is empty; usage: %s", environment, usage)
	}
	for _, uri := range uris {
		if err := check(uri); err != nil {
			return nil, flags.Errorf("%w", err)
		}
	}
	return uris, nil
}

func check(uri string) error {
	if isTLS(uri) {
		_, err := tlsAddress(uri)
		return err
	}
	if _, err := coap.ParseURI(uri); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "coap: "))
	}
	return nil
}

func isTLS(uri string) bool { return strings.HasPrefix(uri, "tls:") }

func tlsAddress(uri string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return "", err
	}
	if u.Hostname() == "" || u.Port() == "" || *u != (url.URL{Scheme: u.Scheme, Host: u.Host}) {
		return "", fmt.Errorf("%q is not tls://host:port", uri)
	}
	return u.Host, nil
}

func probeAll(ctx context.Context, uris []string) error {
	for _, uri := range uris {
		if err := probe(ctx, uri); err != nil {
			return errors.New(strings.TrimPrefix(err.Error(), "coap: "))
		}
	}
	return nil
}

func probe(ctx context.Context, uri string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s: no answer in %v", uri, limit))
	defer cancel()
	try := ping
	if isTLS(uri) {
		try = handshake
	}
	err := try(ctx, uri)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func ping(ctx context.Context, uri string) error {
	session, err := coap.Dial(ctx, uri, &coap.Config{
		AckTimeout: time.Second,
		PKI:        coap.PKI{InsecureSkipVerify: true},
	})
	if err != nil {
		return err
	}
	defer session.Close()
	return session.Ping(ctx)
}

func handshake(ctx context.Context, uri string) error {
	address, err := tlsAddress(uri)
	if err != nil {
		return err
	}
	dialer := &gnutls.Dialer{Config: &gnutls.Config{InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("%s: %w", uri, err)
	}
	return conn.Close()
}
