package main

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/gnucoap/gnucoap/gnutls"
)

// patience is how long one connection may take.
const patience = 10 * time.Second

// A phase counts the connections in a part of the show.
type phase struct {
	name        string
	cutsAllowed bool // a server ends
	fresh       int  // connections for which there can be no ticket

	connections int
	resumed     int
	byServer    map[string]int
	cut         int   // broke and were tried again
	failed      int   // broke twice
	err         error // of the last that broke
}

// A load is clients that connect to one address again and again.
type load struct {
	addr   string
	dialer *gnutls.Dialer
	more   chan struct{} // tells wait that there may be enough

	mu     sync.Mutex // guards what follows, and the phases
	phases []*phase   // the last is the current one
}

func newLoad(addr string, config *gnutls.Config) *load {
	return &load{addr: addr, dialer: &gnutls.Dialer{Config: config}, more: make(chan struct{}, 1)}
}

// begin begins a phase.
func (l *load) begin(name string) *phase {
	p := &phase{name: name, byServer: make(map[string]int)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.phases = append(l.phases, p)
	return p
}

// start lets the clients connect until stop is called, which waits for the
// connections that are under way.
func (l *load) start(ctx context.Context) (stop func()) {
	running, end := context.WithCancel(ctx)
	tick := time.NewTicker(time.Second / rate)
	var all sync.WaitGroup
	for range clients {
		all.Add(1)
		go func() {
			defer all.Done()
			for {
				select {
				case <-tick.C:
					l.connect(ctx)
				case <-running.Done():
					return
				}
			}
		}()
	}
	return func() {
		end()
		all.Wait()
		tick.Stop()
	}
}

// connect makes a connection, a second one where it breaks, and counts that.
func (l *load) connect(ctx context.Context) {
	number, resumed, err := l.ask(ctx)
	cut := err
	if cut != nil {
		number, resumed, err = l.ask(ctx)
	}
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.phases[len(l.phases)-1]
	if cut != nil {
		p.cut++
		p.err = cut
	}
	if err != nil {
		p.failed++
		p.err = err
		return
	}
	p.connections++
	p.byServer[number]++
	if resumed {
		p.resumed++
	}
	select {
	case l.more <- struct{}{}:
	default:
	}
}

// ask connects and returns the number of the server.
func (l *load) ask(ctx context.Context) (number string, resumed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := l.dialer.DialContext(ctx, "tcp", l.addr)
	if err != nil {
		return "", false, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	answer, err := io.ReadAll(conn)
	return string(answer), conn.(*gnutls.Conn).ConnectionState().DidResume, err
}

// count returns how many connections the current phase has.
func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.phases[len(l.phases)-1].connections
}

// wait waits until the current phase has n connections.
func (l *load) wait(ctx context.Context, n int) error {
	for l.count() < n {
		select {
		case <-l.more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
