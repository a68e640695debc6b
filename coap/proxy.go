package coap

import (
	"errors"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
)

var errNoMemory = errors.New("out of memory")

// HandleProxy sends the requests to h that are for a proxy: those with an option
// Proxy-Uri or Proxy-Scheme (RFC 7252, section 5.7.2). Without it they are answered with
// 5.05, whatever Handle says. It wraps coap_resource_proxy_uri_init.
//
// Such requests may have critical options that nobody here understands, OSCORE among them,
// where those are safe to forward: h forwards them, or refuses the request, see
// Request.Unrecognized. A request with an option that is unsafe to forward, and that neither
// this package knows nor Config.CriticalOptions has, is answered with 4.02 (RFC 7252, section
// 5.7.1). In what a server responds Options.Unforwardable finds such options. A response may
// have the critical options that its request has.
//
// libcoap itself answers requests with 5.05 that have neither a host in Proxy-Uri nor an
// option Uri-Host. It parses Proxy-Uri, in which it had faults before 4.3.2: a proxy with an
// older one is for trusted networks.
func (n *Node) HandleProxy(h Handler) error {
	if err := n.l.enter(); err != nil {
		return &Error{Op: "handle", Err: err}
	}
	defer n.l.leave()
	if n.l.service.proxy == nil && !n.l.native.AcceptProxied() {
		return &Error{Op: "handle", Err: errNoMemory}
	}
	n.l.service.proxy = h
	return nil
}

// proxied reports whether a request is for a proxy.
func proxied(e wire.Options) bool {
	_, uri := findOption(e, OptionProxyURI)
	_, scheme := findOption(e, OptionProxyScheme)
	return uri || scheme
}

// proxied reports whether a request is for a proxy.
func (o Options) proxied() bool {
	for i := len(o) - 1; i >= 0 && o[i].ID >= OptionProxyURI; i-- {
		if o[i].ID == OptionProxyURI || o[i].ID == OptionProxyScheme {
			return true
		}
	}
	return false
}
