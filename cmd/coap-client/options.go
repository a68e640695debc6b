package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gnucoap/gnucoap/cmd/internal/coapflags"
	"github.com/gnucoap/gnucoap/cmd/internal/flags"
	"github.com/gnucoap/gnucoap/coap"
)

const (
	usage       = "coap-client [flags] URI"
	since43     = "hjnwGHJLMX"
	defaultWait = 90 * time.Second
)

// methods are in the order of their codes, from 1.
var methods = []string{"get", "post", "put", "delete", "fetch", "patch", "ipatch"}

// formats are the names that -t and -A take, also cut short: then the first that
// fits counts.
var formats = []struct {
	name   string
	format coap.ContentFormat
}{
	{"plain", coap.TextPlain}, {"text/plain", coap.TextPlain},
	{"link", coap.LinkFormat}, {"link-format", coap.LinkFormat},
	{"application/link-format", coap.LinkFormat},
	{"xml", coap.XML}, {"application/xml", coap.XML},
	{"binary", coap.OctetStream}, {"octet-stream", coap.OctetStream},
	{"application/octet-stream", coap.OctetStream},
	{"exi", coap.EXI}, {"application/exi", coap.EXI},
	{"json", coap.JSON}, {"application/json", coap.JSON},
	{"cbor", coap.CBOR}, {"application/cbor", coap.CBOR},
}

type options struct {
	uri   *coap.URI      // of the resource; its path may be in Proxy-Uri
	to    *coap.URI      // the server, or the proxy
	local netip.AddrPort // -a, -p

	method         coap.Code
	options        coap.Options
	body           []byte
	nonConfirmable bool
	token          []byte // empty: random
	blockNum       int    // -1: all of them
	blockSize      int    // 0: it is not given
	count          int
	observe        bool
	observeFor     time.Duration // 0: for ever
	wait           time.Duration // 0: for ever
	keepAlive      time.Duration

	output  string
	newline bool
	json    bool
	verbose int

	loss       string
	maxMessage int

	identity    string
	key         string
	hints       [][3]string
	serverName  string
	session     string
	credentials coapflags.Credentials

	legacy bool
}

// raw is what the flags say that cannot be judged on its own.
type raw struct {
	addr     string
	port     int
	proxy    string
	scheme   string // the value of a Proxy-Scheme option
	hasHost  bool   // a Uri-Host option is given
	noURI    bool
	reliable bool
	hintFile string
}

// parse reads the command line. It prints the help to stdout where that is
// asked for, and then returns pflag.ErrHelp.
func parse(args []string, stdin io.Reader, stdout io.Writer) (*options, error) {
	o := &options{method: coap.MethodGet, blockNum: -1, count: 1, wait: defaultWait, verbose: 4}
	r := &raw{}
	fs := coapflags.New("coap-client", since43)
	o.define(fs, r, stdin)
	err := fs.Parse(args, usage, stdout)
	o.legacy = fs.Legacy
	if err != nil {
		return o, err
	}
	switch fs.NArg() {
	case 0:
		return o, flags.Errorf("no URI is given; usage: %s", usage)
	case 1:
	default:
		return o, flags.Errorf("unexpected argument %q", fs.Arg(1))
	}
	return o, o.finish(fs, r)
}

func (o *options) define(fs *coapflags.Set, r *raw, stdin io.Reader) {
	number := func(to *int, name, short, usage string, least, most int) {
		fs.Number(to, name, short, usage, least, most)
	}
	seconds := func(to *time.Duration, name, short, usage string) {
		fs.FuncP(name, short, usage, func(v string) error {
			n, err := strconv.ParseUint(v, 10, 31)
			if err != nil {
				return errors.New("not a number of seconds")
			}
			*to = time.Duration(n) * time.Second
			return nil
		})
	}
	fs.StringVarP(&r.addr, "address", "a", "", "local `address` to send from")
	fs.FuncP("block", "b",
		"`[num,]size` of blocks, 16 to 1024 bytes; with a num other than 0 only that block", o.setBlock)
	fs.FuncP("text", "e", "`text` to send, percent-encoded", o.setText)
	fs.FuncP("file", "f", "`file` to send; - is the standard input",
		func(file string) error { return o.setFile(file, stdin) })
	fs.StringVarP(&o.loss, "loss", "l", "",
		"`list` of numbers of datagrams to drop, or a share such as 20%")
	fs.FuncP("method", "m",
		"`method` of the request: get, put, post, delete, fetch, patch or ipatch (default get)",
		o.setMethod)
	fs.StringVarP(&o.output, "output", "o", "",
		"`file` for what is received; - is the standard output")
	number(&r.port, "port", "p", "local `port` to send from", 0, 65535)
	fs.BoolVarP(&r.reliable, "reliable", "r", false, "use TCP instead of UDP, and TLS instead of DTLS")
	fs.FuncP("subscribe", "s", "observe the resource for a `time` in seconds; 0 means for ever",
		func(v string) error {
			n, err := strconv.ParseUint(v, 10, 31)
			if err != nil {
				return errors.New("not a number of seconds")
			}
			o.observe, o.observeFor = true, time.Duration(n)*time.Second
			return nil
		})
	fs.FuncP("type", "t", "content format of what is sent, a `name` or number", func(v string) error {
		return o.addFormat(coap.OptionContentFormat, v)
	})
	number(&o.verbose, "verbosity", "v",
		"what libcoap logs, a `level` from 0 to 9: 4 warnings, 6 messages too, 7 all (default 4)", 0, 9)
	fs.BoolVarP(&o.newline, "newline", "w", false, "append a newline to what is received")
	fs.FuncP("accept", "A", "content format to ask for, a `name` or number", func(v string) error {
		return o.addFormat(coap.OptionAccept, v)
	})
	seconds(&o.wait, "break", "B", "`seconds` after which to end; 0 is never (default 90)")
	number(&o.count, "count", "G",
		"how often to send the request, a `number` from 1 to 255, with a second between", 1, 255)
	fs.FuncP("hop-limit", "H", "hop limit for proxies, a `number` from 1 to 255",
		func(v string) error {
			n, err := strconv.ParseUint(v, 10, 8)
			if err != nil || n == 0 {
				return errors.New("not a number from 1 to 255")
			}
			o.options.AddUint(coap.OptionHopLimit, n)
			return nil
		})
	seconds(&o.keepAlive, "ping", "K", "`seconds` without a message after which to send a ping")
	fs.BlockMode()
	fs.BoolVarP(&o.nonConfirmable, "non-confirmable", "N", false, "send the request non-confirmable")
	fs.FuncP("option", "O", "add an option, as `number,text` or number,0xhex",
		func(v string) error { return o.addOption(v, r) })
	fs.StringVarP(&r.proxy, "proxy", "P", "", "send the request to a `proxy`, scheme://address[:port]")
	fs.FuncP("token", "T",
		"`token` of the request, 1 to 8 bytes; with -G those that follow count up (default random)",
		func(v string) error {
			if len(v) < 1 || len(v) > 8 {
				return errors.New("not 1 to 8 bytes")
			}
			o.token = []byte(v)
			return nil
		})
	fs.BoolVarP(&r.noURI, "no-uri-options", "U", false, "never add a Uri-Host or Uri-Port option")
	number(&o.maxMessage, "max-message", "X",
		"largest message to take over TCP and TLS, in `bytes` (default 8388864)", 64, math.MaxUint32)
	fs.StringVarP(&r.hintFile, "hints", "h", "",
		"`file` with other identities and keys for servers' hints, as lines of hint,identity,key")
	fs.Key(&o.key, "pre-shared `key` of -u")
	fs.StringVarP(&o.identity, "user", "u", "", "`identity` of the pre-shared key")
	o.credentials.AddFlags(fs)
	fs.StringVar(&o.serverName, "server-name", "",
		"`name` that the server's certificate must be for, instead of the host of the URI")
	fs.StringVar(&o.session, "session", "",
		"`file` that keeps the DTLS or TLS session, so that the next run resumes it")
	fs.BoolVar(&o.json, "json", false, "print each response as a line of JSON")
	fs.AddCommon("exit with status 0 whatever the response, and 1 for wrong flags")
}

func (o *options) setMethod(v string) error {
	i := slices.Index(methods, strings.ToLower(v))
	if i < 0 {
		return fmt.Errorf("none of %s", strings.Join(methods, ", "))
	}
	o.method = coap.Code(i + 1)
	return nil
}

func (o *options) setBlock(v string) error {
	num, size := 0, v
	if before, after, ok := strings.Cut(v, ","); ok {
		n, err := strconv.ParseUint(before, 10, 20)
		if err != nil {
			return errors.New("the number is not one from 0 to 1048575")
		}
		num, size = int(n), after
	}
	n, err := strconv.ParseUint(size, 10, 16)
	if err != nil || n < 16 || n > 1024 {
		return errors.New("the size is not from 16 to 1024")
	}
	o.blockSize, o.blockNum = 1<<(bits.Len64(n)-1), -1
	if num > 0 {
		o.blockNum = num
	}
	return nil
}

func (o *options) setText(v string) error {
	text, err := url.PathUnescape(v)
	o.body = []byte(text)
	return err
}

func (o *options) setFile(file string, stdin io.Reader) (err error) {
	if file == "-" {
		o.body, err = io.ReadAll(stdin)
	} else {
		o.body, err = os.ReadFile(file)
	}
	return err
}

func (o *options) addFormat(id coap.OptionID, v string) error {
	if n, err := strconv.ParseUint(v, 10, 16); err == nil {
		o.options.AddUint(id, n)
		return nil
	}
	for _, f := range formats {
		if v != "" && strings.HasPrefix(f.name, v) {
			o.options.AddUint(id, uint64(f.format))
			return nil
		}
	}
	return errors.New("neither a number from 0 to 65535 nor the name of a content format")
}

func (o *options) addOption(v string, r *raw) error {
	number, text, _ := strings.Cut(v, ",")
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return errors.New("the number is not one from 0 to 65535")
	}
	value := []byte(text)
	if digits, ok := strings.CutPrefix(text, "0x"); ok {
		if value, err = hex.DecodeString(digits); err != nil {
			return errors.New("not pairs of hexadecimal digits after 0x")
		}
	}
	id := coap.OptionID(n)
	o.options.Add(id, value)
	switch id {
	case coap.OptionProxyScheme:
		r.scheme = text
	case coap.OptionURIHost:
		r.hasHost = true
	}
	return nil
}

// finish judges what depends on several flags.
func (o *options) finish(fs *coapflags.Set, r *raw) error {
	if o.observe && o.method != coap.MethodGet && o.method != coap.MethodFetch {
		return flags.Errorf("-s: only -m get and -m fetch can observe, not -m %s", methods[o.method-1])
	}
	if err := o.setTarget(fs.Arg(0), fs.Old, r); err != nil {
		return err
	}
	if err := o.setLocal(r); err != nil {
		return err
	}
	if err := o.setBlockOption(); err != nil {
		return err
	}
	if err := o.options.Validate(); err != nil {
		return flags.Errorf("%s", strings.TrimPrefix(trim(err), "validate: "))
	}
	if err := o.checkCredentials(fs, r); err != nil {
		return err
	}
	return o.checkSession(fs)
}

func (o *options) checkSession(fs *coapflags.Set) error {
	bad := func(reason string) error { return flags.Bad("-session", o.session, reason) }
	switch {
	case !fs.Changed("session"):
		return nil
	case o.session == "":
		return bad("no file is named")
	case !o.to.Protocol.Secure():
		return bad("only sessions of coaps and coaps+tcp are kept")
	case len(o.hints) > 0:
		return bad("with -h sessions do not resume")
	case !coap.Supports(coap.FeatureSessionResumption):
		return bad("sessions do not resume in this program")
	}
	return nil
}

// setTarget says where to send the request, and adds the options of the URI.
func (o *options) setTarget(uri string, old bool, r *raw) (err error) {
	var proxy *coap.URI
	if r.proxy != "" {
		if proxy, err = parseProxy(r.proxy, old); err != nil {
			return err
		}
	}
	if proxy != nil && r.scheme == "" {
		if len(uri) > 1034 {
			return flags.Errorf("URI %.20q…: a proxy takes at most 1034 bytes", uri)
		}
		o.uri, o.to = proxy, proxy
		o.options.AddString(coap.OptionProxyURI, uri)
	} else {
		if strings.HasPrefix(uri, "/") {
			uri = "coap://localhost" + uri
		}
		if o.uri, err = coap.ParseURI(uri); err != nil {
			return flags.Errorf("%s", trim(err))
		}
		o.addURI(proxy != nil, r)
		to := *o.uri
		if r.scheme != "" {
			base, err := coap.ParseURI(r.scheme + "://proxy")
			if err != nil {
				return flags.Bad("O", "39,"+r.scheme, "none of coap, coaps, coap+tcp, coaps+tcp")
			}
			to.Protocol, to.Port = base.Protocol, 0
		}
		o.to = &to
		if proxy != nil {
			o.to = proxy
		}
	}
	if r.reliable {
		switch o.to.Protocol {
		case coap.UDP:
			o.to.Protocol = coap.TCP
		case coap.DTLS:
			o.to.Protocol = coap.TLS
		}
	}
	return nil
}

// parseProxy parses the value of -P.
func parseProxy(v string, old bool) (*coap.URI, error) {
	uri := v
	if old {
		if !strings.Contains(v, "]") && strings.Count(v, ":") > 1 { // an IPv6 address
			uri = "[" + v + "]"
		}
		uri = "coap://" + uri
	}
	u, err := coap.ParseURI(uri)
	switch {
	case err != nil && old:
		return nil, flags.Bad("P", v, "not addr[:port]")
	case err != nil:
		return nil, flags.Bad("P", v, trim(err))
	case len(u.Path) > 0 || len(u.Query) > 0:
		return nil, flags.Bad("P", v, "a proxy has no path and no query")
	}
	return u, nil
}

// addURI adds the options of the URI. A query that is empty does not count: libcoap refuses the
// option for it.
func (o *options) addURI(proxied bool, r *raw) {
	if slices.Equal(o.uri.Query, []string{""}) {
		o.uri.Query = nil
	}
	for _, option := range o.uri.Options() {
		if option.ID == coap.OptionURIHost && (r.noURI || r.hasHost || proxied) {
			continue
		}
		o.options.Add(option.ID, option.Value)
	}
	if port := o.uri.Port; port != 0 && port != o.uri.Protocol.DefaultPort() && !r.noURI {
		o.options.AddUint(coap.OptionURIPort, uint64(port))
	}
}

func (o *options) setLocal(r *raw) error {
	addr := netip.Addr{}
	if r.addr != "" {
		var err error
		if addr, err = netip.ParseAddr(r.addr); err != nil {
			return flags.Bad("a", r.addr, "not an IP address")
		}
	}
	o.local = netip.AddrPortFrom(addr, uint16(r.port))
	return nil
}

// setBlockOption asks for a single block, or sends one.
func (o *options) setBlockOption() error {
	if o.blockNum < 0 || o.method == coap.MethodDelete {
		return nil
	}
	value := uint64(o.blockNum<<4 | (bits.Len(uint(o.blockSize)) - 5))
	if o.method == coap.MethodGet || o.method == coap.MethodFetch {
		o.options.SetUint(coap.OptionBlock2, value)
		return nil
	}
	start := o.blockNum * o.blockSize
	if start >= len(o.body) {
		return flags.Bad("b", fmt.Sprintf("%d,%d", o.blockNum, o.blockSize),
			fmt.Sprintf("the body of %d bytes ends before", len(o.body)))
	}
	o.body = o.body[start:]
	if len(o.body) > o.blockSize {
		o.body = o.body[:o.blockSize]
		value |= 8
	}
	o.options.SetUint(coap.OptionBlock1, value)
	return nil
}

func (o *options) checkCredentials(fs *coapflags.Set, r *raw) (err error) {
	if err := o.credentials.Check(fs); err != nil {
		return err
	}
	if err := fs.GivenKey(o.key); err != nil {
		return err
	}
	if err := coapflags.CheckIdentity(o.identity); err != nil {
		return flags.Bad("u", o.identity, err)
	}
	switch {
	case o.key != "" && o.identity == "":
		return flags.Errorf("-k needs -u: an identity cannot be empty")
	case o.key == "" && fs.Changed("user"):
		return flags.Errorf("-u %q: it needs -k", o.identity)
	case r.hintFile != "" && o.key == "":
		return flags.Bad("h", r.hintFile, "it needs -u and -k")
	}
	if r.hintFile == "" {
		return nil
	}
	if o.hints, err = coapflags.Lines("h", r.hintFile); err != nil {
		return err
	}
	for i, line := range o.hints {
		bad := errors.Join(coapflags.CheckIdentity(line[1]), coapflags.CheckKey(line[2]))
		if bad != nil || line[1] == "" {
			return flags.Bad("h", r.hintFile,
				fmt.Sprintf("entry %d has no identity of up to 128 bytes with a key of up to 64", i+1))
		}
	}
	return nil
}

// trim takes the name of the package from an error, where the command's comes in its place.
func trim(err error) string { return strings.TrimPrefix(err.Error(), "coap: ") }
