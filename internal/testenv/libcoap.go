package testenv

import (
	"net/netip"
	"slices"
	"testing"
)

// CoapServer runs one of libcoap's servers, such as coap-server-gnutls, on
// loopback. It listens with UDP and TCP on the port of the address, and with DTLS
// and TLS on the next one where args give it credentials.
func CoapServer(t testing.TB, name string, args ...string) (p *Process, addr netip.AddrPort) {
	t.Helper()
	last := "created TCP  endpoint" // as it tells with -v 7
	if slices.ContainsFunc(args, func(arg string) bool { return arg == "-k" || arg == "-c" || arg == "-M" }) {
		last = "created TLS  endpoint"
	}
	p, text := StartServer(t, last, name, append([]string{"-A", "127.0.0.1", "-p", "{port}", "-v", "7"}, args...)...)
	return p, netip.MustParseAddrPort(text)
}

// CoapClient runs one of libcoap's clients, such as coap-client-gnutls, to its
// end, and returns what it printed. Its exit code tells nothing.
func CoapClient(t testing.TB, name string, args ...string) string {
	t.Helper()
	p := Start(t, name, args...)
	p.CloseInput()
	p.Wait(t)
	return p.Output()
}
