package coap_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/gnucoap/gnucoap/coap"
)

// within bounds what an example waits for.
func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 20*time.Second)
}

// A server over UDP and TCP, and a client.
func Example() {
	mux := &coap.Mux{}
	mux.HandleFunc("GET /sensors/{name}", func(w coap.ResponseWriter, r *coap.Request) {
		fmt.Fprintf(w, "%s is at 21 degrees", r.PathValue("name"))
	})
	server := &coap.Server{Handler: mux}
	endpoints, err := server.Listen("coap://127.0.0.1:0", "coap+tcp://127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	ctx, cancel := within()
	defer cancel()
	for _, endpoint := range endpoints {
		session, err := coap.Dial(ctx, endpoint.String(), nil)
		if err != nil {
			log.Fatal(err)
		}
		defer session.Close()
		response, err := session.Get(ctx, "/sensors/kitchen")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%v: %v %s\n", session.Protocol(), response.Code, response.Body)
	}
	// Output:
	// udp: 2.05 Content kitchen is at 21 degrees
	// tcp: 2.05 Content kitchen is at 21 degrees
}

// A client without security, at an address.
func ExampleNode_NewClientSession() {
	server, err := coap.NewNode(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	server.Handle(coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		w.Write([]byte("hello"))
	}))
	addr, err := server.Listen(netip.MustParseAddrPort("127.0.0.1:0"), coap.UDP)
	if err != nil {
		log.Fatal(err)
	}

	client, err := coap.NewNode(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	session, err := client.NewClientSession(netip.AddrPort{}, addr, coap.UDP)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := within()
	defer cancel()
	response, err := session.Get(ctx, "/")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(response.Body))
	// Output: hello
}

// A client sees the states of a resource as they change.
func ExampleSession_Observe() {
	var door atomic.Value
	door.Store("closed")
	resource := coap.NewResource(coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		fmt.Fprint(w, door.Load())
	}))
	mux := &coap.Mux{}
	mux.Handle("GET /door", resource)
	server := &coap.Server{Handler: mux}
	endpoints, err := server.Listen("coap://127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	ctx, cancel := within()
	defer cancel()
	session, err := coap.Dial(ctx, endpoints[0].String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	request, err := coap.NewRequest(coap.MethodGet, "/door")
	if err != nil {
		log.Fatal(err)
	}
	for response, err := range session.Observe(ctx, request) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(response.Body))
		if string(response.Body) == "open" {
			break
		}
		door.Store("open")
		resource.Notify()
	}
	// Output:
	// closed
	// open
}

// Middleware is a function from a Handler to a Handler.
func ExampleHandler_middleware() {
	readOnly := func(next coap.Handler) coap.Handler {
		return coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
			if r.Method != coap.MethodGet {
				w.SetCode(coap.CodeForbidden)
				return
			}
			next.ServeCoAP(w, r)
		})
	}
	mux := &coap.Mux{}
	mux.HandleFunc("/note", func(w coap.ResponseWriter, r *coap.Request) { w.Write([]byte("a note")) })
	server := &coap.Server{Handler: readOnly(mux)}
	endpoints, err := server.Listen("coap://127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	ctx, cancel := within()
	defer cancel()
	session, err := coap.Dial(ctx, endpoints[0].String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	read, err := session.Get(ctx, "/note")
	if err != nil {
		log.Fatal(err)
	}
	written, err := session.Put(ctx, "/note", coap.TextPlain, []byte("another"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(read.Code, written.Code)
	// Output: 2.05 Content 4.03 Forbidden
}
