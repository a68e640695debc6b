// Gateway runs a CoAP server over DTLS that has many clients, and restarts it: all of
// them come back at once. With the same ticket key as before, their sessions
// resume. It does that without tickets and with them, and prints what the return
// of the clients took: handshakes, bytes of UDP, processor time of both sides, and time.
//
//	go run ./examples/gateway
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/gnutls"
)

const limit = time.Minute // for everything

func main() {
	number := flag.Int("clients", 200, "number of clients")
	certFile := flag.String("cert", "testdata/server.pem", "certificate of the gateway")
	keyFile := flag.String("key", "testdata/server.key", "its private key")
	clientCert := flag.String("client-cert", "testdata/client.pem", "certificate of the clients")
	clientKey := flag.String("client-key", "testdata/client.key", "its private key")
	caFile := flag.String("ca", "testdata/ca.pem", "authority that all trust")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	if err := run(ctx, os.Stdout, *number,
		files{*certFile, *keyFile, *clientCert, *clientKey, *caFile}); err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}

type files struct{ cert, key, clientCert, clientKey, ca string }

// configs returns what the gateway and its clients have.
func (f files) configs() (gateway, client coap.Config, err error) {
	roots := gnutls.NewCertPool()
	pem, err := os.ReadFile(f.ca)
	if err == nil {
		err = roots.AppendCertsFromPEM(pem)
	}
	if err != nil {
		return gateway, client, err
	}
	cert, err := gnutls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return gateway, client, err
	}
	own, err := gnutls.LoadX509KeyPair(f.clientCert, f.clientKey)
	gateway.PKI = coap.PKI{
		Certificates: []gnutls.Certificate{cert},
		ClientAuth:   gnutls.RequireAndVerifyClientCert,
		ClientCAs:    roots,
	}
	client.PKI = coap.PKI{RootCAs: roots, Certificates: []gnutls.Certificate{own}}
	return gateway, client, err
}

func run(ctx context.Context, w io.Writer, number int, f files) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if !coap.Supports(coap.FeatureSessionResumption) {
		return fmt.Errorf("sessions do not resume here: %w", coap.ErrNotSupported)
	}
	config, client, err := f.configs()
	if err != nil {
		return err
	}
	key, err := gnutls.NewTicketKey()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d clients come back after a restart of the gateway:\n\n", number)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tfull\tresumed\tKB\tCPU ms\tms\t")
	for _, with := range []*gnutls.TicketKey{nil, key} {
		name := "without tickets"
		if with != nil {
			name = "with tickets"
		}
		config.TicketKey = with
		r, err := restart(ctx, number, config, &client)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t\n", name, r.full, r.resumed, r.bytes/1000,
			r.cpu.Milliseconds(), r.took.Milliseconds())
	}
	return table.Flush()
}

// A result is what the return of the clients took.
type result struct {
	full, resumed int64 // handshakes
	bytes         int64
	cpu, took     time.Duration
}

// restart lets clients connect, restarts the gateway and waits until all are back.
func restart(ctx context.Context, number int, config coap.Config, client *coap.Config) (r result,
	err error) {
	network, err := newNetwork()
	if err != nil {
		return r, err
	}
	defer network.close()
	first := &gateway{Server: coap.Server{Config: &config}}
	if err := first.start(network); err != nil {
		return r, err
	}
	defer first.Close()
	var clients []*coap.Client
	for range number {
		c, err := coap.NewClient("coaps://"+network.addr().String(), client)
		if err != nil {
			return r, err
		}
		defer c.Close()
		clients = append(clients, c)
	}
	if err := each(clients, func(c *coap.Client) error { return ask(ctx, c) }); err != nil {
		return r, err
	}
	if err := first.leave(ctx, clients); err != nil {
		return r, err
	}

	second := &gateway{Server: coap.Server{Config: &config}}
	before, bytes, cpu := time.Now(), network.bytes.Load(), processorTime()
	if err := second.start(network); err != nil {
		return r, err
	}
	defer second.Close()
	if err := each(clients, func(c *coap.Client) error { return ask(ctx, c) }); err != nil {
		return r, err
	}
	return result{
		full:    second.full.Load(),
		resumed: second.resumed.Load(),
		bytes:   network.bytes.Load() - bytes,
		cpu:     processorTime() - cpu,
		took:    time.Since(before),
	}, nil
}

// atOnce is how many clients shake hands at a time: with all of them the buffer of the gateway's
// socket would overflow, and libcoap takes no more than 100.
const atOnce = 32

// each calls f for all clients.
func each(clients []*coap.Client, f func(*coap.Client) error) error {
	errs := make([]error, len(clients))
	var all sync.WaitGroup
	turns := make(chan struct{}, atOnce)
	for i, c := range clients {
		all.Add(1)
		turns <- struct{}{}
		go func() {
			defer all.Done()
			errs[i] = f(c)
			<-turns
		}()
	}
	all.Wait()
	return errors.Join(errs...)
}

// ask makes a request.
func ask(ctx context.Context, c *coap.Client) error {
	r, err := c.Do(ctx, &coap.Request{Method: coap.MethodGet})
	if err != nil {
		return err
	}
	if r.Code != coap.CodeContent {
		return fmt.Errorf("the gateway answers %v", r.Code)
	}
	return nil
}

// A gateway counts the handshakes of those who make a request.
type gateway struct {
	coap.Server
	full, resumed atomic.Int64
}

func (g *gateway) start(network *network) error {
	g.Handler = g
	endpoints, err := g.Listen("coaps://127.0.0.1:0")
	if err != nil {
		return err
	}
	network.setTarget(endpoints[0].Addr)
	return nil
}

// ServeCoAP implements coap.Handler.
func (g *gateway) ServeCoAP(w coap.ResponseWriter, r *coap.Request) {
	if state, _ := r.Session.TLS(); state.DidResume {
		g.resumed.Add(1)
	} else {
		g.full.Add(1)
	}
	io.WriteString(w, "welcome")
}

// leave closes the gateway, and waits until the clients know: it tells them over DTLS.
func (g *gateway) leave(ctx context.Context, clients []*coap.Client) error {
	var sessions []*coap.Session
	for _, c := range clients {
		s, err := c.Session(ctx)
		if err != nil {
			return err
		}
		defer s.Release()
		sessions = append(sessions, s)
	}
	g.Close()
	lost := time.After(5 * time.Second)
	for _, s := range sessions {
		select {
		case <-s.Done():
		case <-lost:
			s.Close()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// processorTime is what the process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
