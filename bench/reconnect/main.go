// Command reconnect measures what it costs a CoAP client over DTLS and TLS to come back,
// with a full handshake and with a resumed one: time and processor time of both sides, and
// bytes. A reconnect is a Dial, one GET and a Close. Client and servers are processes of
// their own: the one for full handshakes gives no tickets. Both kinds take turns, and a
// figure is the median of the rounds. Bytes are those that UDP or TCP carry for the
// handshake, tickets among them. It prints a table in Markdown.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

const limit = time.Minute // for each round

func main() {
	log.SetFlags(0)
	rounds := flag.Int("rounds", 15, "rounds of each kind")
	n := flag.Int("n", 100, "reconnects of a round")
	server := flag.String("server", "", "be the server, with these `credentials`")
	tickets := flag.Int("tickets", 0, "tickets that the server gives")
	flag.Parse()
	err := error(nil)
	if *server != "" {
		err = serve(*server, *tickets, os.Stdin, os.Stdout)
	} else {
		err = measure(os.Stdout, *rounds, *n)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// kinds are the credentials that are measured.
var kinds = []string{"server certificate", "both certificates", "pre-shared key"}

// configs returns what a server and its clients have.
func configs(kind string) (server, client coap.Config, err error) {
	if kind == "pre-shared key" {
		key := []byte("0123456789abcdef")
		server.ServerPSK.GetKey = func(string, string) ([]byte, error) { return key, nil }
		client.PSK = coap.PSK{Identity: "client1", Key: key}
		return server, client, nil
	}
	pair := func(name string) []gnutls.Certificate {
		cert, loadErr := gnutls.LoadX509KeyPair(testenv.File(name+".pem"), testenv.File(name+".key"))
		err = errors.Join(err, loadErr)
		return []gnutls.Certificate{cert}
	}
	pem, err := os.ReadFile(testenv.File("ca.pem"))
	if err != nil {
		return server, client, err
	}
	roots := gnutls.NewCertPool()
	err = roots.AppendCertsFromPEM(pem)
	server.PKI.Certificates = pair("server")
	client.PKI.RootCAs = roots
	if kind == "both certificates" {
		server.PKI.ClientAuth, server.PKI.ClientCAs = gnutls.RequireAndVerifyClientCert, roots
		client.PKI.Certificates = pair("client")
	}
	return server, client, err
}

// serve prints its URIs, and its processor time for each line that it reads.
func serve(kind string, tickets int, in io.Reader, out io.Writer) error {
	config, _, err := configs(kind)
	if err != nil {
		return err
	}
	config.SessionTickets = tickets
	s := &coap.Server{Config: &config,
		Handler: coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
			state, _ := r.Session.TLS()
			fmt.Fprint(w, state.DidResume)
		})}
	defer s.Close()
	endpoints, err := s.Listen("coaps://127.0.0.1:0", "coaps+tcp://127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, endpoints[0], endpoints[1])
	for lines := bufio.NewScanner(in); lines.Scan(); {
		fmt.Fprintln(out, int64(processorTime()))
	}
	return nil
}

// A server is one that runs as a process of its own.
type server struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func start(kind string, tickets int) (s *server, uris [2]string, err error) {
	s = &server{cmd: exec.Command(os.Args[0], "-server", kind, "-tickets", strconv.Itoa(tickets))}
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, uris, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, uris, err
	}
	s.out = bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		return nil, uris, err
	}
	if _, err := fmt.Fscanln(s.out, &uris[0], &uris[1]); err != nil {
		return nil, uris, errors.Join(err, s.stop())
	}
	return s, uris, nil
}

func (s *server) stop() error {
	s.in.Close()
	return s.cmd.Wait()
}

func (s *server) cpu() (d time.Duration, err error) {
	if _, err = fmt.Fprintln(s.in); err == nil {
		_, err = fmt.Fscanln(s.out, (*int64)(&d))
	}
	return d, err
}

// A cost is that of one reconnect.
type cost struct {
	time, client, server float64 // µs
}

func measure(w io.Writer, rounds, n int) error {
	if !coap.Supports(coap.FeatureSessionResumption) {
		return coap.ErrNotSupported
	}
	fmt.Fprintln(w,
		"| | full µs | client | server | bytes | resumed µs | client | server | bytes | time | client | server | bytes |")
	fmt.Fprintln(w, "|"+strings.Repeat(" --- |", 13))
	for i, transport := range []string{"DTLS 1.2", "TLS 1.3"} {
		for _, kind := range kinds {
			if err := measureOne(w, transport, kind, i, rounds, n); err != nil {
				return fmt.Errorf("%s, %s: %w", transport, kind, err)
			}
		}
	}
	return nil
}

func measureOne(w io.Writer, transport, kind string, i, rounds, n int) (err error) {
	_, config, err := configs(kind)
	if err != nil {
		return err
	}
	var sides [2]side // full and resumed
	for j := range sides {
		s, uris, err := start(kind, j)
		if err != nil {
			return err
		}
		defer s.stop()
		sides[j] = side{server: s, uri: uris[i], config: config, resumes: j == 1}
		if err := sides[j].prepare(); err != nil {
			return err
		}
	}
	for range rounds {
		for j := range sides {
			if err := sides[j].round(n); err != nil {
				return err
			}
		}
	}
	a, b := sides[0].median(), sides[1].median()
	fmt.Fprintf(w,
		"| %s, %s | %.0f | %.0f | %.0f | %d | %.0f | %.0f | %.0f | %d | **%.2f** | **%.2f** | **%.2f** | **%.2f** |\n", transport, kind,
		a.time, a.client, a.server, sides[0].bytes, b.time, b.client, b.server, sides[1].bytes,
		b.time/a.time, b.client/a.client, b.server/a.server, float64(sides[1].bytes)/float64(
			sides[0].bytes))
	return nil
}

// A side is one of those that are compared.
type side struct {
	server  *server
	uri     string
	config  coap.Config
	resumes bool
	costs   []cost
	bytes   int64 // of a handshake
}

// prepare counts the bytes, and gets a first ticket.
func (s *side) prepare() (err error) {
	if s.resumes {
		s.config.ClientSessionCache = gnutls.NewClientSessionCache(0)
	}
	if s.bytes, err = handshakeBytes(s.uri, &s.config, s.resumes); err != nil {
		return err
	}
	return reconnect(s.uri, &s.config, false)
}

func (s *side) median() cost {
	of := func(field func(cost) float64) float64 {
		var all []float64
		for _, c := range s.costs {
			all = append(all, field(c))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return cost{
		of(func(c cost) float64 { return c.time }),
		of(func(c cost) float64 { return c.client }),
		of(func(c cost) float64 { return c.server }),
	}
}

func (s *side) round(n int) error {
	server, err := s.server.cpu()
	if err != nil {
		return err
	}
	began, own := time.Now(), processorTime()
	for range n {
		if err := reconnect(s.uri, &s.config, s.resumes); err != nil {
			return err
		}
	}
	took, own := time.Since(began), processorTime()-own
	after, err := s.server.cpu()
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(n) }
	s.costs = append(s.costs, cost{each(took), each(own), each(after - server)})
	return err
}

// reconnect fails unless the session resumes where it should.
func reconnect(uri string, config *coap.Config, resumes bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	s, err := coap.Dial(ctx, uri, config)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := get(ctx, s, resumes); err != nil {
		return err
	}
	if config.ClientSessionCache != nil {
		_, err = s.SessionData(ctx)
	}
	return err
}

func get(ctx context.Context, s *coap.Session, resumes bool) error {
	r, err := s.Get(ctx, "/")
	if err == nil && string(r.Body) != fmt.Sprint(resumes) {
		err = fmt.Errorf("the server says %q where resumed is %t", r.Body, resumes)
	}
	return err
}

// handshakeBytes counts what a handshake sends both ways: all bytes up to the response to a
// GET, without those of the GET, which are as many as those of a second one.
func handshakeBytes(uri string, config *coap.Config, resumes bool) (int64, error) {
	r, err := newRelay(uri)
	if err != nil {
		return 0, err
	}
	defer r.close()
	if resumes {
		if err := reconnect(r.uri, config, false); err != nil {
			return 0, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	s, err := coap.Dial(ctx, r.uri, config)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	if err := get(ctx, s, resumes); err != nil {
		return 0, err
	}
	first := r.bytes()
	err = get(ctx, s, resumes)
	return first - (r.bytes() - first), err
}

// processorTime is what the process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
