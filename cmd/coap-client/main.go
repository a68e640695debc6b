// Command coap-client sends a request to a CoAP server and prints the response. It
// has the flags and the output of the coap-client that comes with libcoap 4.3.1.
//
//	coap-client coap://127.0.0.1/time
//	coap-client -m put -f firmware.bin coap+tcp://device.example/update
//	coap-client -s 60 coap://127.0.0.1/time
//	coap-client -u me -k secret coaps://127.0.0.1/
//	coap-client -C ca.pem coaps+tcp://device.example/
//
// The body of a successful response goes to the standard output, or to the file of -o;
// other responses are reported on standard error, as "4.04 Not Found". docs/tools.md lists
// what differs from libcoap's command. With --compat=4.2 flags mean what they mean with
// libcoap 4.2.
//
// # Security
//
// Over DTLS and TLS the client uses the pre-shared key of -u and -k, or certificates. It
// checks the server's certificate and the name in it, which is the host of the URI or
// --server-name, unless -n is given. -C and -R name the authorities that it trusts; without
// them it trusts those of the system.
//
// --session keeps the session in a file, so that the next run needs no full handshake. The file is
// as secret as a private key.
//
// # Exit status
//
// The exit status is 0 after a successful response (2.xx), 4 after a client error (4.xx), 5 after a
// server error (5.xx), 1 without a response, 2 for flags, URIs and files that cannot be used, and
// 130 when it is interrupted. With several responses the last one counts. With --legacy-exit it is
// 1 for wrong flags and 0 otherwise.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"github.com/gnucoap/gnucoap/cmd/internal/flags"
)

const (
	statusOK     = 0
	statusFailed = 1
	statusUsage  = 2
)

func main() {
	flags.Main(func(ctx context.Context) int {
		return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	})
}

// run makes the requests and returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	opts, err := parse(args, stdin, stdout)
	if errors.Is(err, pflag.ErrHelp) {
		return statusOK
	}
	status := statusFailed
	if err == nil {
		status, err = request(ctx, opts, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, "coap-client:", trim(err))
	}
	if interrupted, ok := flags.Interrupted(ctx); ok {
		status = interrupted
	}
	if errors.As(err, new(flags.Error)) {
		status = statusUsage
	}
	switch {
	case !opts.legacy:
		return status
	case status == statusUsage:
		return 1
	}
	return statusOK
}
