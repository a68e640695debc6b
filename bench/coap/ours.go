package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/gnucoap/gnucoap/bench/coap/cpeer"
	"github.com/gnucoap/gnucoap/coap"
)

var ourProtos = map[string]coap.Protocol{"udp": coap.UDP, "dtls": coap.DTLS, "tcp": coap.TCP}

func loopback(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
}

func serveOurs(proto string, ready func(port int)) error {
	c, err := coap.NewNode(nil)
	if err != nil {
		return err
	}
	c.Handle(ourHandler{})
	if proto == "dtls" {
		getKey := func(id, _ string) ([]byte, error) {
			if id != identity {
				return nil, nil
			}
			return []byte(key), nil
		}
		if err := c.SetPSK(&coap.ServerPSK{GetKey: getKey}); err != nil {
			return err
		}
	}
	addr, err := c.Listen(loopback(0), ourProtos[proto])
	if err != nil {
		return err
	}
	ready(int(addr.Port()))
	select {}
}

type ourHandler struct{}

func (ourHandler) ServeCoAP(w coap.ResponseWriter, r *coap.Request) {
	switch path, _ := r.Options.Get(coap.OptionURIPath); {
	case string(path) == "small" && r.Method == coap.MethodGet:
		w.Write(small)
	case string(path) == "large" && r.Method == coap.MethodGet:
		w.Options().SetContentFormat(coap.OctetStream)
		w.Write(large)
	case string(path) == "large" && r.Method == coap.MethodPut && bytes.Equal(r.Body, large):
		// The code that it has by itself is the right one.
	default:
		w.SetCode(coap.CodeBadRequest)
	}
}

type ourSession struct {
	c *coap.Node
	s *coap.Session
}

// ourRequests are made once: they are only read.
var ourRequests = map[cpeer.Kind]*coap.Request{
	cpeer.Small: ourRequest(coap.MethodGet, "/small", nil),
	cpeer.Get:   ourRequest(coap.MethodGet, "/large", nil),
	cpeer.Put:   ourRequest(coap.MethodPut, "/large", large),
}

func ourRequest(method coap.Code, path string, body []byte) *coap.Request {
	r, err := coap.NewRequest(method, path)
	if err != nil {
		panic(err)
	}
	r.Body = body
	return r
}

func dialOurs(proto string, port, inFlight int) (session, error) {
	c, err := coap.NewNode(&coap.Config{NSTART: inFlight})
	if err != nil {
		return nil, err
	}
	var s *coap.Session
	if proto == "dtls" {
		s, err = c.NewClientSessionPSK(netip.AddrPort{}, loopback(port), coap.DTLS, identity, []byte(key))
	} else {
		s, err = c.NewClientSession(netip.AddrPort{}, loopback(port), ourProtos[proto])
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return ourSession{c, s}, nil
}

func (s ourSession) do(ctx context.Context, k cpeer.Kind) error {
	r, err := s.s.Do(ctx, ourRequests[k])
	if err != nil {
		return err
	}
	code, body := coap.CodeContent, small
	switch k {
	case cpeer.Get:
		body = large
	case cpeer.Put:
		code, body = coap.CodeChanged, nil
	}
	if r.Code != code || !bytes.Equal(r.Body, body) {
		return fmt.Errorf("%w: %v with %d bytes", errWrong, r.Code, len(r.Body))
	}
	return nil
}

// suite returns the name of the cipher suite.
func (s ourSession) suite() string {
	state, _ := s.s.TLS()
	return state.CipherSuiteName
}

func (s ourSession) close() error { return errors.Join(s.s.Close(), s.c.Close()) }
