package main

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gnucoap/gnucoap/cmd/internal/flags"
	"github.com/gnucoap/gnucoap/coap"
)

// proxyWait bounds how long the proxy waits for a server.
const proxyWait = 90 * time.Second

// maxForwarded is how many requests the proxy forwards at once: each of them has a socket.
const maxForwarded = 100

// proxyBusyAge is when a client that was turned away may ask again.
const proxyBusyAge = 5 * time.Second

// A proxy forwards requests (RFC 7252, section 5.7).
type proxy struct {
	next   *coap.URI    // the next proxy, or nil
	names  []string     // hosts that are this server
	local  coap.Handler // for them
	config *coap.Config

	forwarded atomic.Int64 // requests that are under way
}

// parseProxy parses the value of -P.
func parseProxy(v string) (*proxy, error) {
	uri, names, ok := strings.Cut(v, ",")
	if !ok {
		return nil, flags.Bad("P", v, "no comma with names of this server after it")
	}
	p := &proxy{names: strings.Split(names, ",")}
	if uri == "" {
		return p, nil
	}
	var err error
	if p.next, err = coap.ParseURI(uri); err != nil {
		return nil, flags.Bad("P", v, strings.TrimPrefix(err.Error(), "coap: "))
	}
	if len(p.next.Path) > 0 || len(p.next.Query) > 0 {
		return nil, flags.Bad("P", v, "a proxy has no path and no query")
	}
	return p, nil
}

// target returns the URI that a request is for.
func target(r *coap.Request) (*coap.URI, error) {
	if uri, ok := r.Options.Text(coap.OptionProxyURI); ok {
		return coap.ParseURI(uri)
	}
	scheme, _ := r.Options.Text(coap.OptionProxyScheme)
	host, ok := r.Options.Text(coap.OptionURIHost)
	if !ok {
		return nil, errors.New("no Uri-Host")
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	u, err := coap.ParseURI(scheme + "://" + host)
	if err != nil {
		return nil, err
	}
	if port, ok := r.Options.Uint(coap.OptionURIPort); ok {
		if port == 0 || port > 65535 {
			return nil, errors.New("bad Uri-Port")
		}
		u.Port = uint16(port)
	}
	u.Path, u.Query = r.Options.PathSegments(), r.Options.Queries()
	return u, nil
}

// isLocal reports whether a URI is one of this server itself.
func (p *proxy) isLocal(u *coap.URI) bool {
	return slices.Equal(p.names, []string{""}) || slices.Contains(p.names, u.Host)
}

// forLocal makes the options those of a request without a proxy.
func forLocal(r *coap.Request, u *coap.URI) {
	for _, id := range []coap.OptionID{coap.OptionProxyURI, coap.OptionProxyScheme, coap.OptionURIPath,
		coap.OptionURIQuery} {
		r.Options.Remove(id)
	}
	addPath(&r.Options, u)
}

func addPath(options *coap.Options, u *coap.URI) {
	for _, segment := range u.Path {
		options.AddString(coap.OptionURIPath, segment)
	}
	for _, argument := range u.Query {
		options.AddString(coap.OptionURIQuery, argument)
	}
}

// ServeCoAP forwards a request. It does not observe: what a client observes through it is
// answered once.
func (p *proxy) ServeCoAP(w coap.ResponseWriter, r *coap.Request) {
	u, err := target(r)
	if err != nil {
		w.SetCode(coap.CodeProxyingNotSupported)
		return
	}
	if p.isLocal(u) {
		if _, ok := r.Unrecognized(); ok {
			fail(w, coap.CodeBadOption)
			return
		}
		forLocal(r, u)
		p.local.ServeCoAP(w, r)
		return
	}
	hops, limited := r.Options.Uint(coap.OptionHopLimit)
	switch {
	case limited && hops == 1: // RFC 8768, section 3; libcoap adds the address
		w.SetCode(coap.CodeHopLimitReached)
		return
	case limited && (hops == 0 || hops > 255):
		fail(w, coap.CodeBadRequest)
		return
	}
	defer p.forwarded.Add(-1)
	if p.forwarded.Add(1) > maxForwarded {
		w.Options().SetMaxAge(proxyBusyAge)
		fail(w, coap.CodeServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), proxyWait)
	defer cancel()
	to := u
	if p.next != nil {
		to = p.next
	}
	response, err := p.forward(ctx, to, p.request(r, u))
	var netErr net.Error
	switch {
	case err == nil:
	case errors.As(err, &netErr) && netErr.Timeout():
		w.SetCode(coap.CodeGatewayTimeout)
		return
	default:
		w.SetCode(coap.CodeBadGateway)
		return
	}
	if _, ok := response.Options.Unforwardable(); ok {
		w.SetCode(coap.CodeBadGateway)
		return
	}
	w.SetCode(response.Code)
	*w.Options() = response.Options
	w.Options().Remove(coap.OptionSize2) // the transfer to the client has its own
	w.Write(response.Body)
}

// request returns what goes to the next server.
func (p *proxy) request(r *coap.Request, u *coap.URI) *coap.Request {
	out := &coap.Request{Method: r.Method, Options: r.Options.Clone(), Body: r.Body, NoEcho: true}
	ids := []coap.OptionID{coap.OptionBlock1, coap.OptionBlock2, coap.OptionSize1, coap.OptionObserve}
	if p.next == nil {
		ids = append(ids, coap.OptionProxyURI, coap.OptionProxyScheme, coap.OptionURIHost,
			coap.OptionURIPort,
			coap.OptionURIPath, coap.OptionURIQuery)
	}
	for _, id := range ids {
		out.Options.Remove(id)
	}
	if hops, ok := r.Options.Uint(coap.OptionHopLimit); ok {
		out.Options.SetUint(coap.OptionHopLimit, hops-1)
	}
	if p.next == nil {
		addPath(&out.Options, u)
	}
	return out
}

func (p *proxy) forward(ctx context.Context, to *coap.URI, r *coap.Request) (*coap.Response,
	error) {
	s, err := coap.Dial(ctx, to.Protocol.Scheme()+"://"+to.Address(), p.config)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Do(ctx, r)
}
