// Command coap-server is a CoAP server to test clients with. It has the flags and the
// resources of the coap-server that comes with libcoap 4.3.1.
//
//	coap-server
//	coap-server -A 127.0.0.1 -p 5683 -d 10
//	coap-server -k secret -h hint
//	coap-server -c server.pem -j server.key -C ca.pem
//	coap-server -c server.pem -j server.key --ticket-key /run/tickets.key
//
// It listens with UDP and TCP on a port, 5683 by default, and, if it has a key (-k) or a
// certificate (-c), with DTLS and TLS on the next. With -p 0 each gets a free port. libcoap's
// messages go to the standard output, up to the level of -v; at level 7 they include where the
// server listens:
//
//	Jan 02 15:04:05.000 DEBG created UDP  endpoint 127.0.0.1:5683
//
// The resources are
//
//	/              a text
//	/time          the time; ?ticks as a number; observable; PUT sets it, DELETE removes it
//	/async         answers after 4 s, or ?n seconds
//	/example_data  1500 bytes; observable; PUT replaces them
//
// and with -d those that clients make with PUT and POST. docs/tools.md lists what differs from
// libcoap's command. With --compat=4.2 the flags and resources are those of libcoap 4.2.
//
// With --ticket-key clients over DTLS and TLS resume their sessions, even after a restart of the
// server, and with other servers that have the same file. Anyone who can read it can decrypt the
// sessions: the file must have mode 0600.
//
// SIGINT and SIGTERM end the server with status 0. The status is 2 for flags that cannot be
// used, among them files with the wrong content and addresses that are taken, and 1
// when the server fails.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/gnucoap/gnucoap/cmd/internal/flags"
	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/coap/coapdebug"
)

func main() {
	flags.Main(func(ctx context.Context) int { return run(ctx, os.Args[1:], os.Stdout, os.Stderr) })
}

// run serves until ctx ends and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parse(args, stdout)
	if errors.Is(err, pflag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = serve(ctx, opts, stderr)
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "coap-server:", strings.TrimPrefix(err.Error(), "coap: "))
	if errors.As(err, new(flags.Error)) && !opts.legacy {
		return 2
	}
	return 1
}

// reload reads the certificates again whenever SIGHUP comes, for handshakes that begin later. What
// cannot be read changes nothing.
func reload(c *coap.Node, o *options, hup <-chan os.Signal, stderr io.Writer) {
	for range hup {
		if o.credentials.Cert == "" {
			continue
		}
		pki, err := o.pki()
		if err == nil {
			err = c.SetPKI(pki)
		}
		if err != nil {
			fmt.Fprintln(stderr, "coap-server: the certificates were not reloaded:",
				strings.TrimPrefix(err.Error(), "coap: "))
			continue
		}
		fmt.Fprintln(stderr, "coap-server: the certificates were reloaded")
	}
}

func serve(ctx context.Context, o *options, stderr io.Writer) error {
	config, err := o.config()
	if err != nil {
		return err
	}
	site := newSite(o)
	coapdebug.PrintLog(o.verbose)
	if o.loss != "" {
		if err := coapdebug.LoseDatagrams(o.loss); err != nil {
			return flags.Bad("l", o.loss, "neither a list of numbers and ranges nor a percentage")
		}
	}
	c, err := coap.NewNode(config) // one for all, so that libcoap's log is in order
	if err != nil {
		return err
	}
	defer c.Close()
	c.Handle(site)
	if o.proxy != nil {
		o.proxy.local = site
		if o.proxy.config, err = o.clientConfig(config); err != nil {
			return err
		}
		if err := c.HandleProxy(o.proxy); err != nil {
			return err
		}
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // a user who sees the endpoints may send one
	defer signal.Stop(hup)
	if err := o.listen(c); err != nil {
		return err
	}
	reloaded := make(chan struct{})
	go func() {
		defer close(reloaded)
		reload(c, o, hup, stderr)
	}()
	defer func() {
		signal.Stop(hup)
		close(hup)
		<-reloaded
	}()
	if o.group.IsValid() {
		if err := c.JoinGroup(o.group, o.groupInterface); err != nil {
			return flags.Errorf("-g %v: %s", o.group, strings.TrimPrefix(err.Error(), "coap: "))
		}
	}
	site.tick(ctx.Done())
	return nil
}
