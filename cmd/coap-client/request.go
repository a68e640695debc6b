package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/gnucoap/gnucoap/cmd/internal/flags"
	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/coap/coapdebug"
)

// pause is what lies between the requests of -G.
const pause = time.Second

// groupWait is how long to wait for responses of a multicast group, where -B does not say.
const groupWait = 6 * time.Second

var errInterrupted = errors.New("interrupted")

// request makes the requests and returns the exit status.
func request(ctx context.Context, o *options, stdout, stderr io.Writer) (status int, err error) {
	config, err := o.config()
	if err != nil {
		return statusFailed, err
	}
	var kept *sessionFile
	if o.session != "" {
		if kept, err = openSession(o.session); err != nil {
			return statusFailed, flags.Bad("-session", o.session, err)
		}
		config.ClientSessionCache = kept
		defer func() {
			if saveErr := kept.save(); saveErr != nil && err == nil {
				status, err = statusFailed, saveErr
			}
		}()
	}
	if !o.json { // they go the same way
		coapdebug.PrintLog(o.verbose)
	}
	if o.loss != "" {
		if err := coapdebug.LoseDatagrams(o.loss); err != nil {
			return statusFailed,
				flags.Bad("l", o.loss, "neither a list of numbers and ranges nor a percentage")
		}
	}
	addrs, err := resolve(ctx, o.to)
	if err != nil {
		return statusFailed, err
	}
	group := addrs[0].Addr().IsMulticast() && o.to.Protocol == coap.UDP
	if group && o.wait == defaultWait {
		o.wait = groupWait
	}
	limit := ctx
	if o.wait > 0 {
		var cancel context.CancelFunc
		limit, cancel = context.WithTimeout(ctx, o.wait)
		defer cancel()
	}
	c, err := coap.NewNode(config)
	if err != nil {
		return statusFailed, err
	}
	defer c.Close()
	out := newOutput(o, stdout, stderr)
	if group {
		err = askGroup(limit, c, o, addrs[0], out)
	} else {
		err = ask(limit, c, o, addrs, kept, out)
	}
	status = out.status()
	switch {
	case err != nil:
		status, err = statusFailed, explain(ctx, o, err)
	}
	if closeErr := out.close(); err == nil && closeErr != nil {
		status, err = statusFailed, closeErr
	}
	return status, err
}

// explain says, in the command's words, why there is no response.
func explain(ctx context.Context, o *options, err error) error {
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: no response within %v", o.to, o.wait)
	}
	return err
}

// config loads what the flags name.
func (o *options) config() (*coap.Config, error) {
	config := &coap.Config{BlockSize: o.blockSize, MaxMessage: o.maxMessage}
	if !o.to.Protocol.Secure() {
		return config, nil
	}
	if o.key != "" {
		config.PSK = coap.PSK{Identity: o.identity, Key: []byte(o.key)}
		if len(o.hints) > 0 {
			config.PSK.ForHint = o.forHint
		}
		if _, err := netip.ParseAddr(o.name()); err != nil && coap.Supports(coap.FeaturePSKHints) {
			config.PSK.ServerName = o.name()
		}
		return config, nil
	}
	var err error
	pki := &config.PKI
	pki.ServerName = o.name()
	pki.InsecureSkipVerify = o.credentials.NoVerify
	if pki.Certificates, err = o.credentials.Certificates(); err != nil {
		return nil, err
	}
	if pki.RootCAs, err = o.credentials.Authorities(); err != nil {
		return nil, err
	}
	if pki.RawPublicKey, err = o.credentials.RawPublicKey(); err != nil {
		return nil, err
	}
	if pki.RawPublicKey != nil {
		pki.VerifyRawPublicKey = func(crypto.PublicKey) error { return nil }
	}
	return config, nil
}

// name is what the server's certificate must be for.
func (o *options) name() string {
	if o.serverName != "" {
		return o.serverName
	}
	return o.to.Host
}

// forHint returns the identity and key for a server's hint.
func (o *options) forHint(hint string) (identity string, key []byte, err error) {
	for _, line := range o.hints {
		if line[0] == hint {
			return line[1], []byte(line[2]), nil
		}
	}
	return o.identity, []byte(o.key), nil
}

// ask makes the requests in a session. kept may be nil.
func ask(ctx context.Context, c *coap.Node, o *options, addrs []netip.AddrPort, kept *sessionFile,
	out *output) error {
	s, err := connect(ctx, c, o, addrs)
	if err != nil && kept != nil && kept.forget(err) {
		s, err = connect(ctx, c, o, addrs)
	}
	if err != nil {
		return err
	}
	defer s.Close()
	out.secured, _ = s.TLS()
	if kept != nil {
		defer kept.keep(s)
	}
	if o.keepAlive > 0 {
		defer keepAlive(ctx, s, o.keepAlive)()
	}
	if o.observe {
		return observe(ctx, s, o, out)
	}
	return repeat(ctx, s, o, out)
}

// askGroup sends a request to a multicast group, and takes responses until ctx ends.
func askGroup(ctx context.Context, c *coap.Node, o *options, group netip.AddrPort,
	out *output) error {
	if o.observe {
		return flags.Errorf("-s: a multicast group cannot be observed")
	}
	r := &coap.Request{Method: o.method, Token: o.token, Options: o.options, Body: o.body}
	for response, err := range c.Multicast(ctx, localFor(o, group), group, r) {
		if err != nil {
			return err
		}
		if err := out.take(&response.Response); err != nil {
			return err
		}
	}
	if !out.got {
		return ctx.Err()
	}
	return nil
}

// connect opens a session to the first of the server's addresses that takes it.
func connect(ctx context.Context, c *coap.Node, o *options,
	addrs []netip.AddrPort) (s *coap.Session, err error) {
	for _, addr := range addrs {
		if s, err = open(ctx, c, o, addr); err == nil || !errors.Is(err, coap.ErrUnreachable) {
			break
		}
	}
	return s, err
}

// resolve returns the addresses of a URI's host.
func resolve(ctx context.Context, u *coap.URI) ([]netip.AddrPort, error) {
	port := u.Port
	if port == 0 {
		port = u.Protocol.DefaultPort()
	}
	if ip, err := netip.ParseAddr(u.Host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ip, port)}, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Host)
	if err != nil {
		return nil, err
	}
	addrs := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		addrs[i] = netip.AddrPortFrom(ip.Unmap(), port)
	}
	return addrs, nil
}

// localFor is where to send from, to a server or group.
func localFor(o *options, to netip.AddrPort) netip.AddrPort {
	if o.local.Addr().IsValid() || o.local.Port() == 0 {
		return o.local
	}
	all := netip.IPv4Unspecified()
	if to.Addr().Is6() {
		all = netip.IPv6Unspecified()
	}
	return netip.AddrPortFrom(all, o.local.Port())
}

// open opens a session and waits until messages can be exchanged.
func open(ctx context.Context, c *coap.Node, o *options, server netip.AddrPort) (*coap.Session,
	error) {
	local := localFor(o, server)
	if local.Addr().IsValid() && local.Addr().Is4() != server.Addr().Is4() {
		return nil, flags.Bad("a", local.Addr().String(),
			fmt.Sprintf("the server's address %v is of another family", server.Addr()))
	}
	s, err := c.NewClientSession(local, server, o.to.Protocol)
	if err != nil {
		return nil, err
	}
	if err := s.Ready(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// repeat makes the requests of -G.
func repeat(ctx context.Context, s *coap.Session, o *options, out *output) error {
	token := slices.Clone(o.token)
	for i := range o.count {
		if i > 0 {
			countUp(token)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		r := &coap.Request{
			Method: o.method, Token: token, Options: o.options, Body: o.body,
			NonConfirmable: o.nonConfirmable,
			Sink:           out.sink(), OnProgress: out.progress(),
		}
		response, err := s.Do(ctx, r)
		out.endProgress()
		if err != nil {
			return err
		}
		if err := out.take(response); err != nil {
			return err
		}
	}
	return nil
}

// countUp adds one to a token, as a number.
func countUp(token []byte) {
	for i := len(token) - 1; i >= 0; i-- {
		if token[i]++; token[i] != 0 {
			return
		}
	}
}

// observe iterates over the states of a resource, for the time of -s since the first.
func observe(ctx context.Context, s *coap.Session, o *options, out *output) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &coap.Request{Method: o.method, Token: o.token, Options: o.options, Body: o.body,
		NonConfirmable: o.nonConfirmable}
	for response, err := range s.Observe(ctx, r) {
		if err != nil {
			if ctx.Err() != nil && out.got {
				return nil
			}
			return err
		}
		if !out.got && o.observeFor > 0 {
			defer time.AfterFunc(o.observeFor, cancel).Stop()
		}
		if err := out.take(response); err != nil {
			return err
		}
	}
	return nil
}

// keepAlive sends a ping whenever the session was silent for a time, until the function
// that it returns is called. A server that does not answer ends the session.
func keepAlive(ctx context.Context, s *coap.Session, after time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(after)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
			if err := s.Ping(ctx); err != nil && ctx.Err() == nil {
				s.Close()
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
