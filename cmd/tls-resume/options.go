package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gnucoap/gnucoap/cmd/internal/flags"
	"github.com/gnucoap/gnucoap/gnutls"
)

// stepLimit is how long connecting, the handshake and the reply may each take.
const stepLimit = 10 * time.Second

type options struct {
	n          int
	data       string
	wait       time.Duration
	ca         string
	insecure   bool
	serverName string
	priority   string
	cert, key  string
	alpn       string
	save, load string
	request    *gnutls.TicketRequest // nil where nothing is to be asked for
	pool       string
	race       bool
	early      string
	json       bool

	address   string
	stepLimit time.Duration
}

// parse reads the command line. It prints the help to stdout where that is
// asked for, and then returns flag.ErrHelp.
func parse(args []string, stdout io.Writer) (*options, error) {
	o := &options{stepLimit: stepLimit}
	fs := flags.New("tls-resume")
	fs.IntVar(&o.n, "n", 1, "`number` of further connections")
	fs.StringVar(&o.data, "data", "",
		"`string` to send on each connection, before reading the server's reply")
	fs.DurationVar(&o.wait, "wait", time.Second, "how long to wait for a session ticket")
	fs.StringVar(&o.ca, "ca", "", "`file` with the authorities to trust in PEM (default the system's)")
	fs.BoolVar(&o.insecure, "insecure", false, "accept any certificate of the server")
	fs.StringVar(&o.serverName, "servername", "",
		"`name` of the server to ask for and to verify (default the host)")
	fs.StringVar(&o.priority, "priority", "", "GnuTLS priority `string` (default the system's policy)")
	fs.StringVar(&o.cert, "cert", "", "`file` with a certificate chain to present, in PEM")
	fs.StringVar(&o.key, "key", "", "`file` with the private key of -cert (default the same file)")
	fs.StringVar(&o.alpn, "alpn", "",
		"application `protocols`, the preferred first, with commas between them")
	fs.StringVar(&o.save, "save", "", "`file` to save session data in at the end")
	fs.StringVar(&o.load, "load", "", "`file` with session data for the first connection")
	fs.Func("request",
		"ask for `NEW[,RESUMED]` tickets, 0 to 255, on a full handshake and on a resumed one (default 1)",
		o.setRequest)
	fs.StringVar(&o.pool, "pool", "",
		"`file` with a pool of tickets to take from and add to, made when it is missing")
	fs.BoolVar(&o.race, "race", false,
		"try all addresses of the host, one after the other with a short delay, and use the first handshake that completes")
	fs.StringVar(&o.early, "early", "",
		"`string` to send on each connection like -data, as early data where that is possible")
	fs.BoolVar(&o.json, "json", false, "print a JSON object for each connection")
	if err := flags.Parse(fs, args, "tls-resume [flags] host:port", stdout); err != nil {
		return nil, err
	}
	switch fs.NArg() {
	case 0:
		return nil, errors.New("host:port of a server is missing")
	case 1:
	default:
		return nil, fmt.Errorf("unexpected argument %q; flags come before host:port", fs.Arg(1))
	}
	o.address = fs.Arg(0)
	return o, o.check()
}

// check checks the flags without reading any file.
func (o *options) check() error {
	host, port, err := net.SplitHostPort(o.address)
	if err != nil || host == "" || port == "" {
		return fmt.Errorf("%q is not host:port", o.address)
	}
	if o.serverName == "" {
		o.serverName = host
	}
	if o.n < 1 {
		return flags.Bad("n", fmt.Sprint(o.n), "not a number from 1")
	}
	if o.wait < 0 {
		return flags.Bad("wait", o.wait.String(), "negative")
	}
	if o.key != "" && o.cert == "" {
		return flags.Bad("key", o.key, "it needs -cert")
	}
	if o.pool != "" && (o.save != "" || o.load != "") {
		return flags.Bad("pool", o.pool, "it does what -save and -load do")
	}
	if o.race && (o.save != "" || o.load != "") {
		return flags.Errorf("-race goes with -pool, not with -save and -load")
	}
	if o.race && o.early != "" {
		return flags.Bad("early", o.early, "-race would send it to the server several times")
	}
	if n := len(flags.Protocols(o.alpn)); o.early != "" && n > 1 {
		return flags.Bad("alpn", o.alpn, "-early goes with one protocol at most")
	}
	return flags.CheckProtocols(o.alpn)
}

// setRequest parses the value of -request.
func (o *options) setRequest(value string) error {
	first, second, both := strings.Cut(value, ",")
	counts := []string{first, "1"}
	if both {
		counts[1] = second
	}
	var n [2]uint8
	for i, count := range counts {
		v, err := strconv.ParseUint(count, 10, 8)
		if err != nil {
			return fmt.Errorf("%q is not a number from 0 to 255", count)
		}
		n[i] = uint8(v)
	}
	o.request = &gnutls.TicketRequest{New: n[0], Resumed: n[1]}
	return nil
}

// config loads what the flags name.
func (o *options) config() (*gnutls.Config, error) {
	c := &gnutls.Config{
		ServerName:         o.serverName,
		InsecureSkipVerify: o.insecure,
		NextProtos:         flags.Protocols(o.alpn),
		Priority:           o.priority,
		TicketRequest:      o.request,
	}
	if o.ca != "" {
		var err error
		if c.RootCAs, err = flags.Pool("ca", o.ca); err != nil {
			return nil, err
		}
	}
	if o.cert != "" {
		pair, err := flags.KeyPair(o.cert, o.key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []gnutls.Certificate{pair}
	}
	return c, nil
}

// noConnection says why the first connection failed.
func (o *options) noConnection(err error) error {
	var e *gnutls.Error
	if errors.Is(err, gnutls.CodeNoProtocols) || errors.As(err, &e) &&
		e.Op == "setting the priorities" {
		return flags.Bad("priority", o.priority, err)
	}
	return fmt.Errorf("no connection to %s: %w", o.address, err)
}
