package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/gnucoap/gnucoap/cmd/internal/flags"
	"github.com/gnucoap/gnucoap/gnutls"
)

const (
	handshakeLimit = 10 * time.Second
	idleLimit      = 5 * time.Minute
	shutdownGrace  = 2 * time.Second
	mostTickets    = 255
	mostEarlyData  = 65536
)

type options struct {
	listen            string
	pairs             pairs
	mode              string
	tickets           int
	maxTickets        int // 0 where it is not set
	noTicketRequest   bool
	earlyData         int
	ticketKey         string
	clientCA          string
	requireClientCert bool
	alpn              string
	priority          string
	psk               string

	handshakeLimit time.Duration
	idleLimit      time.Duration // how long a connection may be silent
	grace          time.Duration // for connections, when the server ends
}

// pairs are the files of certificates and their keys. A certificate or key
// completes the pair before it, if that lacks one.
type pairs []struct{ cert, key string }

func (p *pairs) last() *struct{ cert, key string } { return &(*p)[len(*p)-1] }

func (p *pairs) grow() { *p = append(*p, struct{ cert, key string }{}) }

func (p *pairs) addCert(file string) error {
	if len(*p) == 0 || p.last().cert != "" {
		p.grow()
	}
	p.last().cert = file
	return nil
}

func (p *pairs) addKey(file string) error {
	if len(*p) == 0 || p.last().key != "" {
		p.grow()
	}
	p.last().key = file
	return nil
}

// parse reads the command line. It prints the help to stdout where that is
// asked for, and then returns flag.ErrHelp.
func parse(args []string, stdout io.Writer) (*options, error) {
	o := &options{handshakeLimit: handshakeLimit, idleLimit: idleLimit, grace: shutdownGrace}
	fs := flags.New("tls-serve")
	fs.StringVar(&o.listen, "listen", "127.0.0.1:4433", "`address` to listen on")
	fs.Func("cert", "`file` with a certificate chain in PEM; may be repeated", o.pairs.addCert)
	fs.Func("key", "`file` with the private key of the -cert next to it", o.pairs.addKey)
	fs.StringVar(&o.mode, "mode", "echo", "what to do with connections: echo or http")
	fs.IntVar(&o.tickets, "tickets", gnutls.DefaultSessionTickets,
		"`number` of session tickets for a client that does not say how many, 0 to 255; 0 turns tickets off")
	fs.Func("max-tickets",
		"most session tickets for a client that asks for a `number`, 1 to 255 (default 16, or -tickets if that is more)", o.setMaxTickets)
	fs.BoolVar(&o.noTicketRequest, "no-ticket-request", false,
		"ignore the numbers of tickets that clients ask for (RFC 9149)")
	fs.IntVar(&o.earlyData, "early-data", 0, "`bytes` of early data (0-RTT) to accept, 0 to 65536")
	fs.StringVar(&o.ticketKey, "ticket-key", "",
		"`file` with the keys of the tickets, made when it is missing and read again when it changes")
	fs.StringVar(&o.clientCA, "client-ca", "",
		"`file` with the authorities of client certificates in PEM")
	fs.BoolVar(&o.requireClientCert, "require-client-cert", false,
		"refuse clients without a certificate of -client-ca")
	fs.StringVar(&o.alpn, "alpn", "",
		"application `protocols`, the preferred first, with commas between them")
	fs.StringVar(&o.priority, "priority", "", "GnuTLS priority `string` (default the system's policy)")
	fs.StringVar(&o.psk, "psk", "", "`file` with pre-shared keys, as lines of identity:hexkey")
	if err := flags.Parse(fs, args, "tls-serve -cert FILE [-key FILE] [flags]", stdout); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, flags.Errorf("unexpected argument %q", fs.Arg(0))
	}
	return o, o.check()
}

// setMaxTickets parses the value of -max-tickets.
func (o *options) setMaxTickets(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > mostTickets {
		return errors.New("not from 1 to 255")
	}
	o.maxTickets = n
	return nil
}

// check checks the flags without reading any file.
func (o *options) check() error {
	if o.listen == "" {
		return flags.Bad("listen", o.listen, "no address")
	}
	if o.mode != "echo" && o.mode != "http" {
		return flags.Bad("mode", o.mode, "neither echo nor http")
	}
	if o.tickets < 0 || o.tickets > mostTickets {
		return flags.Bad("tickets", fmt.Sprint(o.tickets), "not from 0 to 255")
	}
	if o.maxTickets > 0 && o.maxTickets < o.tickets {
		return flags.Bad("max-tickets", fmt.Sprint(o.maxTickets),
			fmt.Sprintf("less than -tickets, which is %d", o.tickets))
	}
	if o.earlyData < 0 || o.earlyData > mostEarlyData {
		return flags.Bad("early-data", fmt.Sprint(o.earlyData), "not from 0 to 65536")
	}
	if o.earlyData > 0 && len(flags.Protocols(o.alpn)) > 1 {
		return flags.Bad("alpn", o.alpn, "-early-data goes with one protocol at most")
	}
	for _, pair := range o.pairs {
		if pair.cert == "" {
			return flags.Bad("key", pair.key, "it needs -cert")
		}
	}
	if len(o.pairs) == 0 && o.psk == "" {
		return flags.Errorf("-cert or -psk is needed")
	}
	if o.requireClientCert && o.clientCA == "" {
		return flags.Errorf("-require-client-cert needs -client-ca")
	}
	for _, p := range flags.Protocols(o.alpn) {
		if p == "h2" && o.mode == "http" {
			return flags.Bad("alpn", o.alpn, "-mode http does not speak HTTP/2")
		}
	}
	return flags.CheckProtocols(o.alpn)
}

// config loads what the flags name.
func (o *options) config() (*gnutls.Config, error) {
	c := &gnutls.Config{
		NextProtos:             flags.Protocols(o.alpn),
		Priority:               o.priority,
		SessionTickets:         o.tickets,
		SessionTicketsDisabled: o.tickets == 0,
		MaxSessionTickets:      o.maxTickets,
		TicketRequestsIgnored:  o.noTicketRequest,
		MaxEarlyData:           o.earlyData,
	}
	for _, pair := range o.pairs {
		cert, err := flags.KeyPair(pair.cert, pair.key)
		if err != nil {
			return nil, err
		}
		c.Certificates = append(c.Certificates, cert)
	}
	if o.clientCA != "" {
		var err error
		if c.ClientCAs, err = flags.Pool("client-ca", o.clientCA); err != nil {
			return nil, err
		}
		c.ClientAuth = gnutls.VerifyClientCertIfGiven
		if o.requireClientCert {
			c.ClientAuth = gnutls.RequireAndVerifyClientCert
		}
	}
	if o.ticketKey != "" {
		keys, err := flags.TicketKeys(o.ticketKey)
		if err != nil {
			return nil, flags.Bad("ticket-key", o.ticketKey, err)
		}
		c.TicketKeyFile = keys
	}
	if o.psk != "" {
		keys, err := loadPSK(o.psk)
		if err != nil {
			return nil, flags.Bad("psk", o.psk, err)
		}
		c.GetPSK = keys.get
	}
	return c, nil
}
