package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/gnucoap/gnucoap/coap"
)

// The key of the clients over DTLS and TLS.
const (
	identity = "demo"
	bodySize = 100 << 10
	changes  = 5
)

// showCoAP runs a server over all transports, and does the same
// over each: it uploads a body, fetches it, and observes a resource that changes.
func showCoAP(w io.Writer) error {
	fmt.Fprintf(w, "\nCoAP over libcoap %s\n", coap.Version())
	key := make([]byte, 16)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	uris := []string{"coap://127.0.0.1:0", "coap+tcp://127.0.0.1:0", "coaps://127.0.0.1:0",
		"coaps+tcp://127.0.0.1:0"}
	server := &coap.Server{
		Handler: newThing(),
		Config: &coap.Config{ServerPSK: coap.ServerPSK{GetKey: func(string, string) ([]byte, error) {
			return key, nil
		}}},
	}
	endpoints, err := server.Listen(uris...)
	if err != nil {
		return err
	}
	defer server.Close()
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, endpoint := range endpoints {
		config := &coap.Config{}
		if endpoint.Protocol.Secure() {
			config.PSK = coap.PSK{Identity: identity, Key: key}
		}
		if err := useThing(tw, endpoint, config); err != nil {
			return fmt.Errorf("%v: %w", endpoint, err)
		}
	}
	return tw.Flush()
}

// newThing has a body at /body that can be replaced, and a number at /number that
// POST increments and that can be observed.
func newThing() *coap.Mux {
	var body atomic.Pointer[[]byte]
	var n atomic.Int64
	mux := &coap.Mux{}
	mux.HandleFunc("PUT /body", func(w coap.ResponseWriter, r *coap.Request) { body.Store(&r.Body) })
	mux.HandleFunc("GET /body", func(w coap.ResponseWriter, r *coap.Request) { w.Write(*body.Load()) })
	number := coap.NewResource(coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		w.Write(strconv.AppendInt(nil, n.Load(), 10))
	}))
	mux.Handle("GET /number", number, coap.Attr("title", "how often it was incremented"))
	mux.HandleFunc("POST /number", func(w coap.ResponseWriter, r *coap.Request) {
		n.Add(1)
		number.Notify()
	})
	return mux
}

func useThing(w io.Writer, endpoint coap.Endpoint, config *coap.Config) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	start := time.Now()
	session, err := coap.Dial(ctx, endpoint.String(), config)
	if err != nil {
		return err
	}
	defer session.Close()
	body := make([]byte, bodySize)
	if _, err := rand.Read(body); err != nil {
		return err
	}
	if _, err := session.Put(ctx, "/body", coap.OctetStream, body); err != nil {
		return err
	}
	response, err := session.Get(ctx, "/body")
	if err != nil {
		return err
	}
	if !bytes.Equal(response.Body, body) {
		return errors.New("the body has changed on its way")
	}
	moved := time.Since(start)
	states, err := observe(ctx, session)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "  %s\t%s\t%d kB to the server and back in %d ms\tstates observed: %v\n",
		session.Protocol(), security(session), bodySize>>10, moved.Milliseconds(), states)
	return err
}

func security(session *coap.Session) string {
	if state, ok := session.TLS(); ok {
		return state.CipherSuiteName
	}
	return "no security"
}

// observe returns the states that the number goes through while it is incremented.
func observe(ctx context.Context, session *coap.Session) (states []string, err error) {
	request, err := coap.NewRequest(coap.MethodGet, "/number")
	if err != nil {
		return nil, err
	}
	for response, err := range session.Observe(ctx, request) {
		if err != nil {
			return nil, err
		}
		states = append(states, string(response.Body))
		if len(states) > changes {
			return states, nil
		}
		if _, err := session.Post(ctx, "/number", coap.TextPlain, nil); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the observation ended after %v", states)
}
