package gnutls

import (
	"slices"

	"github.com/gnucoap/gnucoap/internal/bridge/registry"
	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// A lentResumption is the resumption of a session of package coap. It is a bridge.Resumption,
// where its methods are documented.
type lentResumption struct {
	resumption
	request  *TicketRequest
	datagram bool
}

func (lender) NewResumption(cache ClientSessionCache, request *TicketRequest,
	config registry.ResumptionConfig) registry.Resumption[*SessionData, *ConnectionState] {
	versions := []uint16{VersionTLS13, VersionTLS12}
	if config.Datagram {
		versions = []uint16{VersionDTLS12}
	}
	allows := func(version uint16) bool { return slices.Contains(versions, version) }
	return &lentResumption{
		resumption: resumption{
			scope: sessionScope{config.ServerName, config.Trust, config.Identity, allows},
			cache: cache,
			key:   config.Key,
			log:   logTo(config.Logger),
		},
		request:  request,
		datagram: config.Datagram,
	}
}

func (r *lentResumption) Choose(fresh bool) {
	if fresh {
		r.refuse(refused(ErrSessionDeclined, "the handshake failed with it"))
	} else {
		r.choose(nil)
	}
	if !r.datagram {
		r.request = r.ticketRequest(r.request, 1)
	}
}

func (r *lentResumption) Offer(b cgnutls.Borrowed) {
	b.KeepTickets()
	if r.state == sessionReady {
		r.sent() // GnuTLS is about to make the ClientHello
		if err := setData(b, r.session); err != nil {
			r.refuse(err)
		}
	}
	if r.request != nil {
		b.RequestTickets(cgnutls.TicketCounts(*r.request))
	}
}

func (r *lentResumption) Settle(b cgnutls.Borrowed, cs *ConnectionState, judged bool) error {
	addTicketRequest(cs, b)
	if err := r.judge(cs, judged); err != nil {
		return err
	}
	r.settle(cs)
	return nil
}

func (r *lentResumption) Tickets(b cgnutls.Borrowed) []*SessionData {
	tickets := b.TakeTickets()
	if r.settled.Version == VersionTLS13 {
		return r.collect(tickets)
	}
	r.hold(tickets...)
	if r.inbox.latest() != nil {
		return nil
	}
	if d := r.session12(b); d != nil {
		return []*SessionData{d}
	}
	return nil
}

func (r *lentResumption) Current() (*SessionData, error) {
	d := r.inbox.latest()
	if d != nil {
		return d, nil
	}
	return nil, r.expecting()
}

func (r *lentResumption) NoTicket(reason error) error { return r.inbox.noTicket(reason) }

func (r *lentResumption) Put(sessions []*SessionData) {
	if r.cache == nil {
		return
	}
	for _, d := range sessions {
		r.cache.Put(r.key, d)
	}
}

func (r *lentResumption) Failed(heard bool) bool {
	switch {
	case r.state == sessionReady: // GnuTLS has not got it
		return r.fail(faultElsewhere)
	case heard:
		return r.fail(faultSession)
	}
	return r.fail(faultSilence)
}

func (r *lentResumption) Done() func() {
	if r.state == sessionReady {
		r.fail(faultElsewhere)
	}
	return r.tellCache()
}
