package main

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/gnucoap/gnucoap/cmd/internal/coapflags"
	"github.com/gnucoap/gnucoap/cmd/internal/flags"
	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/gnutls"
)

const (
	usage   = "coap-server [flags]"
	since43 = "eGijJmMrsuLPSX"
)

type options struct {
	addr           netip.Addr // invalid: all
	port           int
	group          netip.Addr     // invalid: none
	groupInterface *net.Interface // nil: the system's choice
	dynamic        int
	echo           bool
	nonConfirmable bool
	perResource    bool
	proxy          *proxy
	verbose        int
	loss           string
	maxMessage     int

	key         string
	hint        string
	identity    string
	identities  [][3]string // hint, identity, key
	hints       [][3]string // server name, hint, key
	names       [][3]string // server name, certificate, authorities
	namesFile   string
	ticketKey   string
	credentials coapflags.Credentials

	old    bool
	legacy bool
}

// raw is what the flags say that cannot be judged on its own.
type raw struct{ addr, group, groupInterface, proxy, identities, hints string }

// parse reads the command line. It prints the help to stdout where that is asked for, and
// then returns pflag.ErrHelp.
func parse(args []string, stdout io.Writer) (*options, error) {
	o := &options{port: int(coap.UDP.DefaultPort()), verbose: 4}
	r := &raw{}
	fs := coapflags.New("coap-server", since43)
	o.define(fs, r)
	err := fs.Parse(args, usage, stdout)
	o.old, o.legacy = fs.Old, fs.Legacy
	if err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, flags.Errorf("unexpected argument %q", fs.Arg(0))
	}
	return o, o.finish(fs, r)
}

func (o *options) define(fs *coapflags.Set, r *raw) {
	fs.Number(&o.dynamic, "dynamic", "d", "how many resources clients may make, a `number`", 0, 1<<30)
	fs.BoolVarP(&o.echo, "echo", "e", false, "answer a PUT with the data that it has sent")
	fs.StringVarP(&r.group, "group", "g", "", "multicast `group` to join")
	fs.StringVarP(&r.groupInterface, "group-interface", "G", "", "`interface` to join the group on")
	fs.StringVarP(&o.loss, "loss", "l", "",
		"`list` of numbers of datagrams to drop, or a share such as 20%")
	fs.Number(&o.port, "port", "p",
		"`port` for UDP and TCP; DTLS and TLS have the next one (default 5683)", 0, 65534)
	fs.BoolVarP(&o.perResource, "multicast-per-resource", "r", false,
		"answer requests for a group only at /, /async and /.well-known/core")
	fs.Number(&o.verbose, "verbosity", "v",
		"what libcoap logs, a `level` from 0 to 9: 4 warnings, 6 messages too, 7 all (default 4)", 0, 9)
	fs.StringVarP(&r.addr, "address", "A", "", "local `address` to listen on (default all)")
	fs.BlockMode()
	fs.BoolVarP(&o.nonConfirmable, "non-confirmable", "N", false,
		"send notifications non-confirmable, except every fifth")
	fs.StringVarP(&r.proxy, "proxy", "P", "",
		"be a proxy: `[uri],[names]`, the next proxy and the names of this server")
	fs.Number(&o.maxMessage, "max-message", "X",
		"largest message to take over TCP and TLS, in `bytes` (default 8388864)", 64, math.MaxUint32)
	fs.StringVarP(&o.hint, "hint", "h", "CoAP",
		"`hint` that tells clients which identity to use; empty: none")
	fs.StringVarP(&r.identities, "identities", "i", "",
		"`file` with other keys for identities, as lines of hint,identity,key")
	fs.Key(&o.key, "pre-shared `key` of clients")
	fs.StringVarP(&r.hints, "hints", "s", "",
		"`file` with other hints and keys for names that clients ask for (SNI), as lines of name,hint,key")
	fs.StringVarP(&o.identity, "user", "u", "", "`identity` of the pre-shared key, for -P")
	o.credentials.AddFlags(fs)
	fs.BoolP("memory", "m", false, "ignored; accepted for compatibility")
	fs.StringVarP(&o.namesFile, "names", "S", "",
		"`file` with other certificates for names that clients ask for (SNI), as lines of name,certificate,authorities")
	fs.StringVar(&o.ticketKey, "ticket-key", "",
		"`file` with the keys of tickets, with which sessions resume; made when it is missing and read again when it changes")
	fs.AddCommon("exit with status 1 instead of 2 for wrong flags")
}

// finish judges what depends on several flags, and reads the files of lines.
func (o *options) finish(fs *coapflags.Set, r *raw) (err error) {
	if r.addr != "" {
		if o.addr, err = netip.ParseAddr(r.addr); err != nil {
			return flags.Bad("A", r.addr, "not an IP address")
		}
	}
	if r.group != "" {
		if o.group, err = netip.ParseAddr(r.group); err != nil || !o.group.IsMulticast() {
			return flags.Bad("g", r.group, "not the IP address of a multicast group")
		}
	}
	if r.groupInterface != "" {
		if r.group == "" {
			return flags.Bad("G", r.groupInterface, "it needs -g")
		}
		if o.groupInterface, err = net.InterfaceByName(r.groupInterface); err != nil {
			return flags.Bad("G", r.groupInterface, "there is no network interface of this name")
		}
	}
	if r.proxy != "" {
		if o.proxy, err = parseProxy(r.proxy); err != nil {
			return err
		}
	}
	if err := o.credentials.Check(fs); err != nil {
		return err
	}
	if err := fs.GivenKey(o.key); err != nil {
		return err
	}
	if err := coapflags.CheckIdentity(o.identity); err != nil {
		return flags.Bad("u", o.identity, err)
	}
	if err := checkHint(o.hint); err != nil {
		return flags.Bad("h", o.hint, err)
	}
	if !fs.Changed("hint") && !coap.Supports(coap.FeaturePSKHints) {
		o.hint = ""
	}
	if err := o.readLines(r); err != nil {
		return err
	}
	return o.checkTicketKey(fs)
}

func (o *options) checkTicketKey(fs *coapflags.Set) error {
	bad := func(reason string) error { return flags.Bad("-ticket-key", o.ticketKey, reason) }
	switch {
	case !fs.Changed("ticket-key"):
		return nil
	case o.ticketKey == "":
		return bad("no file is named")
	case !o.secure():
		return bad("it needs -c, -k or -M: without them there are no sessions over DTLS and TLS")
	case !coap.Supports(coap.FeatureSessionResumption):
		return bad("sessions do not resume in this program")
	}
	return nil
}

func checkHint(hint string) error {
	if len(hint) > 127 {
		return fmt.Errorf("more than 127 bytes")
	}
	return nil
}

func (o *options) readLines(r *raw) (err error) {
	for _, f := range []struct {
		flag, file string
		to         *[][3]string
		check      func(line [3]string) error
	}{
		{"i", r.identities, &o.identities,
			func(line [3]string) error { return coapflags.CheckKey(line[2]) }},
		{"s", r.hints, &o.hints, func(line [3]string) error {
			if err := checkHint(line[1]); err != nil {
				return err
			}
			return coapflags.CheckKey(line[2])
		}},
		{"S", o.namesFile, &o.names, func([3]string) error { return nil }},
	} {
		if f.file == "" {
			continue
		}
		if f.flag != "S" && o.key == "" {
			return flags.Bad(f.flag, f.file, "it needs -k")
		}
		if *f.to, err = coapflags.Lines(f.flag, f.file); err != nil {
			return err
		}
		for i, line := range *f.to {
			if err := f.check(line); err != nil {
				return flags.Bad(f.flag, f.file, fmt.Sprintf("entry %d: %v", i+1, err))
			}
		}
	}
	if o.namesFile != "" && o.credentials.Cert == "" {
		return flags.Bad("S", o.namesFile, "it needs -c")
	}
	return nil
}

// secure reports whether there are endpoints for DTLS and TLS.
func (o *options) secure() bool {
	return o.key != "" || o.credentials.Cert != "" || o.credentials.RawKey != ""
}

// config loads what the flags name.
func (o *options) config() (*coap.Config, error) {
	config := &coap.Config{MaxMessage: o.maxMessage}
	if o.key != "" {
		config.ServerPSK = coap.ServerPSK{GetKey: o.getKey, Hint: o.hint}
		if o.credentials.Cert == "" && len(o.hints) > 0 {
			config.ServerPSK.Hints = make(map[string]string)
			for _, line := range o.hints {
				config.ServerPSK.Hints[strings.ToLower(line[0])] = line[1]
			}
		}
	}
	pki, err := o.pki()
	if err != nil {
		return nil, err
	}
	config.PKI = *pki
	if o.ticketKey != "" {
		if config.TicketKeyFile, err = flags.TicketKeys(o.ticketKey); err != nil {
			return nil, flags.Bad("-ticket-key", o.ticketKey, err)
		}
	}
	return config, nil
}

func (o *options) pki() (pki *coap.PKI, err error) {
	pki = &coap.PKI{}
	if pki.Certificates, err = o.credentials.Certificates(); err != nil {
		return nil, err
	}
	if pki.ClientCAs, err = o.credentials.Authorities(); err != nil {
		return nil, err
	}
	for _, line := range o.names {
		if err := o.addName(pki, line); err != nil {
			return nil, err
		}
	}
	switch {
	case o.credentials.NoVerify:
		pki.ClientCAs = nil
	case pki.ClientCAs != nil:
		pki.ClientAuth = gnutls.RequireAndVerifyClientCert
	}
	if pki.RawPublicKey, err = o.credentials.RawPublicKey(); err != nil {
		return nil, err
	}
	if pki.RawPublicKey != nil {
		pki.VerifyRawPublicKey = func(crypto.PublicKey) error { return nil }
	}
	return pki, nil
}

// addName adds a certificate of -S.
func (o *options) addName(pki *coap.PKI, line [3]string) error {
	c := coapflags.Credentials{Cert: line[1], CA: line[2]}
	certificates, err := c.Certificates()
	if err == nil {
		err = certificates[0].Leaf.VerifyHostname(line[0])
	}
	if err == nil && line[2] != "" && pki.ClientCAs != nil {
		err = coapflags.AppendFile(pki.ClientCAs, line[2])
	}
	if err != nil {
		return flags.Bad("S", o.namesFile, fmt.Sprintf("%s: %v", line[0], err))
	}
	pki.Certificates = append(pki.Certificates, certificates...)
	return nil
}

// getKey returns the key of a client.
func (o *options) getKey(identity, serverName string) ([]byte, error) {
	hint, key := o.hint, o.key
	for _, line := range o.hints {
		if strings.EqualFold(line[0], serverName) {
			hint, key = line[1], line[2]
			break
		}
	}
	for _, line := range o.identities {
		if line[0] == hint && line[1] == identity {
			return []byte(line[2]), nil
		}
	}
	return []byte(key), nil
}

// clientConfig is for the proxy's sessions.
func (o *options) clientConfig(server *coap.Config) (*coap.Config, error) {
	config := &coap.Config{}
	if o.key != "" {
		if o.identity == "" {
			return config, nil
		}
		config.PSK = coap.PSK{Identity: o.identity, Key: []byte(o.key)}
		return config, nil
	}
	roots, err := o.credentials.Authorities()
	config.PKI = coap.PKI{
		Certificates:       server.PKI.Certificates,
		RootCAs:            roots,
		InsecureSkipVerify: o.credentials.NoVerify,
	}
	return config, err
}

// listen opens the endpoints.
func (o *options) listen(c *coap.Node) error {
	endpoints := []coap.Endpoint{{Protocol: coap.UDP}, {Protocol: coap.TCP}}
	if o.secure() {
		endpoints = append(endpoints, coap.Endpoint{Protocol: coap.DTLS},
			coap.Endpoint{Protocol: coap.TLS})
	}
	for _, e := range endpoints {
		port := o.port
		if e.Protocol.Secure() && port != 0 {
			port++
		}
		if err := o.listenOn(c, e.Protocol, uint16(port)); err != nil {
			return flags.Errorf("%s", strings.TrimPrefix(err.Error(), "coap: "))
		}
	}
	return nil
}

func (o *options) listenOn(c *coap.Node, proto coap.Protocol, port uint16) error {
	if o.addr.IsValid() {
		_, err := c.Listen(netip.AddrPortFrom(o.addr, port), proto)
		return err
	}
	_, err := c.Listen(netip.AddrPortFrom(netip.IPv6Unspecified(), port), proto)
	// there is no IPv6
	if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) {
		_, err = c.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), port), proto)
	}
	return err
}
