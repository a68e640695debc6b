package coap

// A service is what a loop does with requests: who answers them, and how many are being
// answered.
type service struct {
	handler  Handler       // nil: the node is not a server
	proxy    Handler       // nil: the node is not a proxy
	handling int           // requests that wait for their answer
	drained  chan struct{} // not nil: new requests are refused; closed when the old ones are answered
}

// choose returns the handler of a request, after resolving any Mux.
func (s *service) choose(r *Request) Handler {
	h := s.handler
	switch {
	case s.drained != nil:
		return answer(CodeServiceUnavailable)
	case r.Options.proxied() && s.proxy == nil:
		return answer(CodeProxyingNotSupported)
	case r.Options.proxied():
		h = s.proxy
	}
	for {
		m, ok := h.(*Mux)
		if !ok {
			return h
		}
		h, _ = m.Handler(r)
	}
}

func (s *service) begin() { s.handling++ }

// finish notes that a handler has returned.
func (s *service) finish() {
	s.handling--
	if s.handling == 0 {
		s.stop()
	}
}

// drain has new requests refused. The channel is closed when no handler runs.
func (s *service) drain() <-chan struct{} {
	if s.drained == nil {
		s.drained = make(chan struct{})
		if s.handling == 0 {
			close(s.drained)
		}
	}
	return s.drained
}

// stop closes the channel of drain.
func (s *service) stop() {
	if s.drained == nil {
		return
	}
	select {
	case <-s.drained:
	default:
		close(s.drained)
	}
}

// drain has new requests refused. The channel is closed when no handler runs, or the node is
// closed.
func (n *Node) drain() <-chan struct{} {
	l := n.l
	l.look()
	defer l.endLook()
	drained := l.service.drain()
	if l.native == nil {
		l.service.stop()
	}
	return drained
}
