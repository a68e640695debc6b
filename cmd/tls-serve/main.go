// Command tls-serve is a TLS server over the system's GnuTLS, to test clients
// and session resumption with.
//
//	tls-serve -cert server.pem -key server.key
//	tls-serve -cert a.pem -key a.key -cert b.pem -key b.key -mode http
//	tls-serve -cert server.pem -key server.key -ticket-key /run/tickets.key
//	tls-serve -psk psk.txt
//
// It needs certificates (-cert), pre-shared keys (-psk) or both. Several
// certificates serve several names (SNI); the key of a certificate is the -key
// next to it, or lies in the same file. Keys that need a password are refused.
//
// In mode echo a connection gets back what it sends, until its close_notify.
// In mode http each request is answered with the state of its connection:
//
//	version: TLS 1.3
//	cipher: TLS_AES_256_GCM_SHA384
//	resumed: false
//	early data: 0
//	client: CN=client one
//
// The client is the subject of its certificate, or none. Early data are how many
// bytes of the connection came early.
//
// # Tickets
//
// -tickets is the number of session tickets after a TLS 1.3 handshake; a TLS
// 1.2 client gets one. A client that asks for a number of tickets (RFC 9149) gets
// as many, up to -max-tickets; with -no-ticket-request it is treated like any
// other. -tickets 0 turns tickets off; TLS 1.2 clients may then still resume by
// session ID. Servers that have the same -ticket-key file resume
// each other's sessions. It holds one to four keys of 64 random bytes, the first
// of which encrypts new tickets. The keys can decrypt the sessions, so keep the file
// secret: the server makes it if it is missing, with one key and mode 0600, and refuses
// to start with one that the group or others may access. Servers that start at the
// same time agree on one key. The file is read again when it changes; sessions
// that were made with the key before still resume.
//
// # Early data
//
// -early-data accepts early data (0-RTT) from clients that resume, up to a number
// of bytes, once for each ClientHello. Servers that share a -ticket-key do not
// share the record of them: an attacker could replay a client's early data to each of
// the servers.
//
// # Clients' certificates
//
// -client-ca asks clients for a certificate of these authorities and refuses
// one of any other. With -require-client-cert a client must have one.
//
// # Pre-shared keys
//
// Each line of the -psk file is an identity, a colon and the key in
// hexadecimal, as psktool writes it. With a -priority, that has to allow them,
// for example "NORMAL:+ECDHE-PSK".
//
// # Log
//
// The log is lines of key=value on standard error. The first has the address,
// as "msg=listening addr=127.0.0.1:4433"; port 0 in -listen means a free port.
// Each connection has a line "msg=connection" after its handshake, with peer,
// version, cipher and resumed, and early_data if there were any, or with peer
// and error. In mode echo a connection that breaks later also has a line "msg=broken"
// with peer and error.
//
// # Reload
//
// SIGHUP makes the server load the files of its flags again, for the connections that
// come from then on: certificates, keys, authorities and pre-shared keys. The log says
// "msg=reloaded", or "msg=\"not reloaded\"" with the error of a file that cannot be used:
// then nothing changes.
//
// # End
//
// SIGINT and SIGTERM end the server: it takes no more connections, closes
// those that are left after two seconds and exits with status 0. A second
// signal ends it at once. A handshake may take ten seconds, and a connection
// may be silent for five minutes.
//
// The exit status is 2 for flags that cannot be used, among them files with the
// wrong content and addresses that are taken, and 1 when the server fails.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/gnucoap/gnucoap/cmd/internal/flags"
	"github.com/gnucoap/gnucoap/gnutls"
)

func main() {
	flags.Main(func(ctx context.Context) int { return run(ctx, os.Args[1:], os.Stdout, os.Stderr) })
}

// run serves until ctx ends and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parse(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = serve(ctx, opts, slog.New(slog.NewTextHandler(stderr, nil)))
	}
	var usage flags.Error
	switch {
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, "tls-serve:", err)
		return 2
	case err != nil:
		fmt.Fprintln(stderr, "tls-serve:", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, opts *options, log *slog.Logger) error {
	config, err := opts.load(nil)
	if err != nil {
		return err
	}
	config.Logger = log
	ln, err := gnutls.Listen("tcp", opts.listen, config)
	var listenErr *net.OpError
	switch {
	case errors.As(err, &listenErr):
		return flags.Bad("listen", opts.listen, err)
	case err != nil && opts.priority != "":
		return flags.Bad("priority", opts.priority, err)
	case err != nil:
		return err
	}
	defer ln.Close()
	l := &listener{Listener: ln, limit: opts.handshakeLimit, log: log}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	go l.reload(ctx, hangup, opts, config)
	log.Info("listening", "addr", ln.Addr())
	if opts.mode == "http" {
		return serveHTTP(ctx, l, opts, log)
	}
	serveEcho(ctx, l, opts, log)
	return nil
}
