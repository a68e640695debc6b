// Command tickets measures what a ticket request (RFC 9149) buys: how many of
// the connections of a client resume, with and without it. The server sends two
// tickets unless it is asked for a number. Each round starts with an empty
// cache: one connection, and then many goroutines that connect at once, again and
// again. It prints a table in Markdown.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

func main() {
	log.SetFlags(0)
	goroutines := flag.Int("goroutines", 64, "goroutines that connect at once, at most 255")
	connections := flag.Int("n", 5, "connections of each goroutine")
	rounds := flag.Int("rounds", 20, "rounds, each with an empty cache")
	flag.Parse()
	w := workload{*goroutines, *connections, *rounds}
	server, err := serve(*goroutines)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	fmt.Println("| | resumed of the first wave | resumed of all | tickets for a connection |")
	fmt.Println("| --- | --- | --- | --- |")
	for _, request := range []bool{false, true} {
		name := "without ticket_request"
		if request {
			name = "with ticket_request"
		}
		r, err := w.run(server.Addr().String(), request)
		if err != nil {
			log.Fatalf("%s: %v", name, err)
		}
		fmt.Printf("| %s | %.0f %% | %.1f %% | %.1f |\n", name, r.firstWave*100, r.all*100, r.tickets)
	}
}

// serve answers each byte with one.
func serve(limit int) (net.Listener, error) {
	cert, err := gnutls.LoadX509KeyPair(testenv.File("server.pem"), testenv.File("server.key"))
	if err != nil {
		return nil, err
	}
	ln, err := gnutls.Listen("tcp", "127.0.0.1:0", &gnutls.Config{
		Certificates:      []gnutls.Certificate{cert},
		SessionTickets:    2,
		MaxSessionTickets: limit,
	})
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	return ln, nil
}

// unasked hides that the cache in it would ask for tickets.
type unasked struct {
	gnutls.ClientSessionCache
	gnutls.SessionDecliner
}

type workload struct{ goroutines, connections, rounds int }

type result struct{ firstWave, all, tickets float64 }

func (w workload) run(addr string, request bool) (result, error) {
	var firstWave, all, tickets atomic.Int64
	pem, err := os.ReadFile(testenv.File("ca.pem"))
	if err != nil {
		return result{}, err
	}
	roots := gnutls.NewCertPool()
	if err := roots.AppendCertsFromPEM(pem); err != nil {
		return result{}, err
	}
	for range w.rounds {
		pool := &gnutls.TicketPool{Tickets: w.goroutines}
		config := &gnutls.Config{
			RootCAs:            roots,
			ServerName:         "localhost",
			ClientSessionCache: pool,
			OnSessionTicket:    func(*gnutls.Conn, *gnutls.SessionData) { tickets.Add(1) },
		}
		if !request {
			config.ClientSessionCache = unasked{pool, pool}
		}
		if _, err := connect(addr, config); err != nil {
			return result{}, err
		}
		var group sync.WaitGroup
		var failed atomic.Pointer[error]
		start := make(chan struct{})
		for range w.goroutines {
			group.Add(1)
			go func() {
				defer group.Done()
				<-start
				for i := range w.connections {
					resumed, err := connect(addr, config)
					if err != nil {
						failed.Store(&err)
						return
					}
					if resumed {
						all.Add(1)
						if i == 0 {
							firstWave.Add(1)
						}
					}
				}
			}()
		}
		close(start)
		group.Wait()
		if err := failed.Load(); err != nil {
			return result{}, *err
		}
	}
	first := float64(w.rounds * w.goroutines)
	total := first * float64(w.connections)
	return result{
		firstWave: float64(firstWave.Load()) / first,
		all:       float64(all.Load()) / total,
		tickets:   float64(tickets.Load()) / (total + float64(w.rounds)),
	}, nil
}

// connect makes one short connection and reports whether it resumed.
func connect(addr string, config *gnutls.Config) (resumed bool, err error) {
	conn, err := gnutls.Dial("tcp", addr, config)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	var b [1]byte
	if _, err := conn.Write(b[:]); err != nil {
		return false, err
	}
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		return false, err
	}
	return conn.ConnectionState().DidResume, nil
}
