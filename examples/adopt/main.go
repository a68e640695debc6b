//go:build !libcoap2

// Adopt shows how a CoAP server in C (server.c) moves to Go while it runs, one resource
// after another. It prints its URI. Each line of its input (press Enter) is one step; after
// each it prints which side has what. In between send it requests, with any client:
//
//	go run ./examples/adopt
//	coap-client -m get coap://127.0.0.1:PORT/led
package main

/*
#cgo pkg-config: libcoap-3-gnutls
#cgo CFLAGS: -I${SRCDIR}/../../coap/native
#include <stdlib.h>
#include "server.h"
*/
import "C"

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/coap/native"
)

func main() {
	log.SetFlags(0)
	if err := run(os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// A server is the server in C, with what has moved to Go.
type server struct {
	c       *C.server
	node    *coap.Node // nil: Go has no part yet
	adopted bool       // the context is Go's to free
	mux     coap.Mux
	ended   chan struct{} // closed when the loop in C has ended

	led    atomic.Bool
	logged atomic.Int64

	ticking sync.WaitGroup // the goroutine that ticks instead of the loop in C
	quit    chan struct{}
}

// A step moves something to Go.
type step struct {
	what string
	do   func(*server) error
}

var steps = []step{
	{"Go borrows the context: /hello is Go's", (*server).borrow},
	{"/led is Go's", (*server).moveLED},
	{"/log is Go's", (*server).moveLog},
	{"Go runs the loop: /time is what is left in C", (*server).adopt},
	{"/time is Go's", (*server).moveTime},
}

// borrow has Go answer for what C has no resource for.
func (s *server) borrow() error {
	return onLoop(func() error {
		c, err := native.Borrow(C.server_context(s.c), nil)
		if err != nil {
			return err
		}
		s.node = c
		s.mux.HandleFunc("GET /hello",
			func(w coap.ResponseWriter, r *coap.Request) { w.Write([]byte("Go: hello")) })
		c.Handle(&s.mux)
		return nil
	})
}

// moveLED moves the lamp, with its state.
func (s *server) moveLED() error {
	s.mux.HandleFunc("GET /led", func(w coap.ResponseWriter, r *coap.Request) {
		if s.led.Load() {
			w.Write([]byte("Go: on"))
		} else {
			w.Write([]byte("Go: off"))
		}
	})
	s.mux.HandleFunc("PUT /led",
		func(w coap.ResponseWriter, r *coap.Request) { s.led.Store(string(r.Body) == "on") })
	return native.Use(s.node, func(unsafe.Pointer) {
		s.led.Store(bool(C.server_led(s.c)))
		s.giveUp("led")
	})
}

func (s *server) moveLog() error {
	s.mux.HandleFunc("POST /log", func(w coap.ResponseWriter, r *coap.Request) {
		w.SetCode(coap.CodeChanged)
		fmt.Fprintf(w, "Go: %d bytes", s.logged.Add(int64(len(r.Body))))
	})
	return native.Use(s.node, func(unsafe.Pointer) { s.giveUp("log") })
}

// adopt ends the loop in C. What is left there runs in Go's.
func (s *server) adopt() error {
	if err := native.TakeOver(s.node); err != nil {
		return err
	}
	<-s.ended
	s.adopted = true
	s.ticking.Add(1)
	go s.tick()
	return nil
}

// tick does what the loop in C did every second.
func (s *server) tick() {
	defer s.ticking.Done()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			_ = native.Use(s.node, func(unsafe.Pointer) { C.server_tick(s.c) })
		case <-s.quit:
			return
		}
	}
}

func (s *server) moveTime() error {
	res := coap.NewResource(coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		w.Write(strconv.AppendInt([]byte("Go: "), time.Now().Unix(), 10))
	}))
	s.mux.Handle("GET /time", res)
	s.ticking.Add(1)
	go func() {
		defer s.ticking.Done()
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				res.Notify()
			case <-s.quit:
				return
			}
		}
	}()
	return native.Use(s.node, func(unsafe.Pointer) { s.giveUp("time") })
}

// giveUp has C delete a resource. The context is locked.
func (s *server) giveUp(path string) {
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	C.server_give_up(s.c, p)
}

// turns has what the thread of the loop in C is to do.
var turns = make(chan func())

// goTurn is called in each turn of the loop in C, on its thread.
//
//export goTurn
func goTurn(*C.server) {
	select {
	case f := <-turns:
		f()
	default:
	}
}

// onLoop has f called on the thread of the loop in C.
func onLoop(f func() error) error {
	done := make(chan error)
	turns <- func() {
		go func(err error) { done <- err }(f())
	}
	return <-done
}

func run(in io.Reader, out io.Writer) (err error) {
	s := &server{c: C.server_new(), ended: make(chan struct{}), quit: make(chan struct{})}
	if s.c == nil {
		return errors.New("adopt: the server cannot listen")
	}
	fmt.Fprintf(out, "coap://127.0.0.1:%d is in C; press Enter for the next step\n",
		int(C.server_port(s.c)))
	go func() {
		defer close(s.ended)
		runtime.LockOSThread()
		C.server_run(s.c)
	}()
	defer func() { err = errors.Join(err, s.close()) }()
	left := steps
	for lines := bufio.NewScanner(in); len(left) > 0 && lines.Scan(); left = left[1:] {
		if err = left[0].do(s); err != nil {
			return err
		}
		fmt.Fprintln(out, left[0].what)
	}
	if len(left) == 0 {
		_, err = io.Copy(io.Discard, in) // it serves until its input ends
	}
	return err
}

// close ends the server.
func (s *server) close() error {
	close(s.quit)
	s.ticking.Wait()
	C.server_stop(s.c)
	<-s.ended
	var err error
	if s.node != nil {
		err = s.node.Close()
	}
	C.server_free(s.c, C.bool(!s.adopted))
	return err
}
