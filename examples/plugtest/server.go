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
		return usageError{fmt.Errorf("-listen %q: the port is no number up to 65535", address)}
	}
	mux := &coap.Mux{}
	addCore(mux)
	addLinks(mux)
	addBlocks(mux)
	stop := addObservable(mux)
	defer stop()
	server := &coap.Server{Handler: mux, Config: config}
	defer server.Close()
	uri := func(scheme string, port uint64) string {
		return scheme + "://" + net.JoinHostPort(host, strconv.FormatUint(port, 10))
	}
	plain, err := server.Listen(uri("coap", port))
	if err != nil {
		return err
	}
	port = uint64(plain[0].Addr.Port()) // of the others, where it was 0
	uris := []string{uri("coap+tcp", port)}
	if config.ServerPSK.GetKey != nil || config.PKI.Certificates != nil {
		uris = append(uris, uri("coaps", port+1), uri("coaps+tcp", port+1))
	}
	others, err := server.Listen(uris...)
	if err != nil {
		return err
	}
	for _, endpoint := range append(plain, others...) {
		fmt.Fprintln(w, endpoint)
	}
	<-ctx.Done()
	last, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return server.Shutdown(last)
}

// text answers with text/plain.
func text(w coap.ResponseWriter, body string) {
	w.Options().SetContentFormat(coap.TextPlain)
	io.WriteString(w, body)
}
