// Fleet runs three server processes that share a file of ticket keys, behind a
// TCP balancer that sends each connection to the next of them. Clients resume
// their sessions on whichever they get, also when one server is killed and when
// the key in the file is changed, in the three steps of docs/operations.md. It
// takes about five seconds and fails if anything was lost.
//
//	go run ./examples/fleet
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/gnucoap/gnucoap/gnutls"
)

const (
	limit   = time.Minute // for everything
	victim  = 2           // the server that is killed
	enough  = 150         // connections to judge a phase by
	clients = 4
	rate    = 200 // connections a second
)

func main() {
	certFile := flag.String("cert", "testdata/server.pem", "certificate of the servers")
	keyFile := flag.String("key", "testdata/server.key", "its private key")
	caFile := flag.String("ca", "testdata/ca.pem", "authority that the clients trust")
	flag.Parse()
	if number := os.Getenv(asServer); number != "" {
		exit(serve(number, *certFile, *keyFile, flag.Arg(0)))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	exit(run(ctx, os.Stdout, *certFile, *keyFile, *caFile))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, w io.Writer, certFile, keyFile, caFile string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dir, err := os.MkdirTemp("", "fleet-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	keys, err := newKeys(filepath.Join(dir, "ticket.keys"))
	if err != nil {
		return err
	}
	servers, err := startServers(ctx, certFile, keyFile, keys.path)
	defer stopServers(servers)
	if err != nil {
		return err
	}
	for _, s := range servers {
		fmt.Fprintf(w, "server %d: process %d at %s\n", s.number, s.cmd.Process.Pid, s.addr)
	}
	balancer, err := newBalancer(servers)
	if err != nil {
		return err
	}
	defer balancer.Close()
	fmt.Fprintf(w, "balancer at %s, %d clients that share a pool of tickets\n\n", balancer.Addr(),
		clients)

	phases, err := show(ctx, &fleet{servers, keys, balancer.Addr().String(), caFile})
	report(w, phases)
	if ctx.Err() != nil {
		return fmt.Errorf("stopped: %w", ctx.Err())
	}
	if err != nil {
		return err
	}
	for _, p := range phases {
		switch lost := p.connections - p.fresh - p.resumed; {
		case p.failed > 0 || p.cut > 0 && !p.cutsAllowed:
			return fmt.Errorf("%s: a connection broke: %w", p.name, p.err)
		case lost > 0:
			return fmt.Errorf("%s: %d connections did not resume", p.name, lost)
		}
	}
	fmt.Fprintln(w, "\nNothing was lost: all connections of clients that had a ticket resumed.")
	return nil
}

// A fleet is what the clients meet.
type fleet struct {
	servers []*server
	keys    *keys
	addr    string // of the balancer
	caFile  string
}

// show runs all phases and returns what was counted.
func show(ctx context.Context, f *fleet) ([]*phase, error) {
	config, err := clientConfig(f.caFile)
	if err != nil {
		return nil, err
	}
	l := newLoad(f.addr, config)
	l.begin("first connection").fresh = 1
	l.connect(ctx) // the tickets that it brings are for all clients
	l.begin("three servers")
	stop := l.start(ctx)
	defer stop()
	if err := l.wait(ctx, enough); err != nil {
		return l.phases, err
	}

	p := l.begin(fmt.Sprintf("server %d killed", victim))
	p.cutsAllowed = true
	f.servers[victim-1].kill()
	if err := l.wait(ctx, enough); err != nil {
		return l.phases, err
	}

	for _, step := range []struct {
		name   string
		change func() error
	}{
		{"next key announced", f.keys.announce},
		{"next key first", f.keys.use},
		{"old key removed", f.keys.removeOld},
	} {
		l.begin(step.name)
		if err := step.change(); err != nil {
			return l.phases, err
		}
		for _, s := range f.servers {
			if err := s.awaitReload(ctx); err != nil {
				return l.phases, err
			}
		}
		if err := l.wait(ctx, l.count()+enough/10); err != nil {
			return l.phases, err
		}
	}
	stop()

	config, err = clientConfig(f.caFile)
	if err != nil {
		return l.phases, err
	}
	newcomer := newLoad(f.addr, config)
	newcomer.begin("new client").fresh = 1
	for range 10 {
		newcomer.connect(ctx)
	}
	return append(l.phases, newcomer.phases...), nil
}

// clientConfig returns the configuration of clients that share a pool.
func clientConfig(caFile string) (*gnutls.Config, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := gnutls.NewCertPool()
	if err := roots.AppendCertsFromPEM(pem); err != nil {
		return nil, err
	}
	return &gnutls.Config{
		RootCAs: roots,
		// The pool goes by this name: the balancer's clients do not know, or
		// care, which server they get.
		ServerName:         "localhost",
		ClientSessionCache: &gnutls.TicketPool{Tickets: 4 * clients},
	}, nil
}

func report(w io.Writer, phases []*phase) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	const name = "%-20s\t" // to the left
	fmt.Fprintf(tw, name, "phase")
	fmt.Fprint(tw, "connections\tresumed\tserver 1\tserver 2\tserver 3\tcut\tfailed\t\n")
	for _, p := range phases {
		share := 0.0
		if p.connections > 0 {
			share = 100 * float64(p.resumed) / float64(p.connections)
		}
		fmt.Fprintf(tw, name, p.name)
		fmt.Fprintf(tw, "%d\t%.0f %%\t%d\t%d\t%d\t%d\t%d\t\n", p.connections, share,
			p.byServer["1"], p.byServer["2"], p.byServer["3"], p.cut, p.failed)
	}
	tw.Flush()
}

// keys changes the file of ticket keys.
type keys struct {
	path      string
	old, next *gnutls.TicketKey
}

func newKeys(path string) (*keys, error) {
	old, err := gnutls.NewTicketKey()
	if err != nil {
		return nil, err
	}
	next, err := gnutls.NewTicketKey()
	if err != nil {
		return nil, err
	}
	return &keys{path, old, next}, gnutls.WriteTicketKeyFile(path, old)
}

func (k *keys) announce() error  { return gnutls.WriteTicketKeyFile(k.path, k.old, k.next) }
func (k *keys) use() error       { return gnutls.WriteTicketKeyFile(k.path, k.next, k.old) }
func (k *keys) removeOld() error { return gnutls.WriteTicketKeyFile(k.path, k.next) }
