package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/gnucoap/gnucoap/coap"
)

// serve runs a server until ctx ends.
func serve(ctx context.Context, address string, config *coap.Config, w io.Writer) error {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return usageError{fmt.Errorf("-listen: %w", err)}
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return usageError{fmt.Errorf("-listen %q: the port is not a number up to 65535", address)}
	}
	mux := &coap.Mux{}
	addCore(mux)
	addLinks(mux)
	addBlocks(mux)
	stop := addObservable(mux)
	defer stop()
	server, endpoints, err := listen(mux, config, host, uint16(port))
	// the number may be taken for the other transports
	for i := 1; err != nil && port == 0 && i < 10; i++ {
		server, endpoints, err = listen(mux, config, host, 0)
	}
	if err != nil {
		return err
	}
	defer server.Close()
	for _, endpoint := range endpoints {
		fmt.Fprintln(w, endpoint)
	}
	<-ctx.Done()
	last, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return server.Shutdown(last)
}

// listen opens the endpoints: those with security have the next port.
func listen(h coap.Handler, config *coap.Config, host string, port uint16) (*coap.Server,
	[]coap.Endpoint, error) {
	server := &coap.Server{Handler: h, Config: config}
	uri := func(scheme string, port uint16) string {
		return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	endpoints, err := server.Listen(uri("coap", port))
	if err != nil {
		return nil, nil, err
	}
	port = endpoints[0].Addr.Port()
	uris := []string{uri("coap+tcp", port)}
	if config.ServerPSK.GetKey != nil || config.PKI.Certificates != nil {
		uris = append(uris, uri("coaps", port+1), uri("coaps+tcp", port+1))
	}
	others, err := server.Listen(uris...)
	if err != nil {
		server.Close()
		return nil, nil, err
	}
	return server, append(endpoints, others...), nil
}

// text answers with text/plain.
func text(w coap.ResponseWriter, r *coap.Request, body string) {
	represent(w, r, coap.TextPlain, []byte(body))
}

// represent answers with a representation, or with 4.06 and false where the client
// wants another format (RFC 7252, section 5.10.4).
func represent(w coap.ResponseWriter, r *coap.Request, format coap.ContentFormat,
	body []byte) bool {
	if accepted, ok := r.Options.Accept(); ok && accepted != format {
		w.SetCode(coap.CodeNotAcceptable)
		return false
	}
	w.Options().SetContentFormat(format)
	w.Write(body)
	return true
}
