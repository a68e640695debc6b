// Library is a shared library that package coap is part of, for programs in C. It is a program,
// too.
package main

import "C"

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/gnutls"
)

// CountResumed makes sessions over DTLS and TLS, two each. It prints whether they can
// resume, and how many did for the client and for the server.
//
//export CountResumed
func CountResumed() C.int {
	if err := count(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func count() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	key := []byte("0123456789abcdef")
	server := coap.Config{ServerPSK: coap.ServerPSK{GetKey: func(string, string) ([]byte, error) {
		return key, nil
	}}}
	client := coap.Config{PSK: coap.PSK{Identity: "me", Key: key}}
	supported := coap.Supports(coap.FeatureSessionResumption)
	if supported {
		server.SessionTickets = 1
		client.ClientSessionCache = gnutls.NewClientSessionCache(0)
	}
	s := &coap.Server{Config: &server,
		Handler: coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
			state, _ := r.Session.TLS()
			fmt.Fprint(w, state.DidResume)
		})}
	defer s.Close()
	endpoints, err := s.Listen("coaps://127.0.0.1:0", "coaps+tcp://127.0.0.1:0")
	if err != nil {
		return err
	}
	clients, servers := 0, 0
	for _, endpoint := range endpoints {
		for range 2 {
			c, err := coap.Dial(ctx, endpoint.String(), &client)
			if err != nil {
				return err
			}
			defer c.Close()
			r, err := c.Get(ctx, "/")
			if err != nil {
				return err
			}
			if string(r.Body) == "true" {
				servers++
			}
			if state, _ := c.TLS(); state.DidResume {
				clients++
			}
			if !supported {
				continue
			}
			if _, err := c.SessionData(ctx); err != nil {
				return err
			}
		}
	}
	fmt.Println(supported, clients, servers)
	return nil
}

func main() { os.Exit(int(CountResumed())) }
