package coappeer

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// A Verdict is what becomes of a datagram.
type Verdict int

// What a rule may say.
const (
	Forward   Verdict = iota
	Drop              // it is lost
	Duplicate         // it is forwarded twice
	Hold              // it waits for Relay.Deliver
	Swap              // it is forwarded behind the next one of its direction
	Repeat            // it is forwarded, and again where Swap would forward it
)

// A Direction is the direction of a datagram.
type Direction int

// The directions.
const (
	ToServer Direction = iota
	ToClient
)

// A Datagram is what a relay decides about.
type Datagram struct {
	Received
	Direction
	N       int // how many of its direction came before
	Verdict Verdict
}

// A Relay stands between the clients that send to its Addr and a server. It
// decides about datagrams one after the other, in the order in which each
// direction brings them.
type Relay struct {
	t      testing.TB
	target netip.AddrPort
	front  *net.UDPConn
	work   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	closed  bool
	rule    func(Datagram) Verdict
	backs   map[netip.AddrPort]*net.UDPConn // what a client's datagrams leave from
	log     []Datagram
	count   [2]int       // by direction
	swapped [2][]pending // by direction
	held    []pending
	news    chan struct{} // closed when there is more in held
}

// A pending datagram has not been forwarded yet.
type pending struct {
	data []byte
	send func(b []byte)
}

// NewRelay opens a relay to a server, which forwards all until it gets a rule.
func NewRelay(t testing.TB, target netip.AddrPort) *Relay {
	t.Helper()
	r := &Relay{
		t:      t,
		target: target,
		front:  listenUDP(t),
		rule:   func(Datagram) Verdict { return Forward },
		backs:  make(map[netip.AddrPort]*net.UDPConn),
		news:   make(chan struct{}),
	}
	r.work.Add(1)
	go func() {
		defer r.work.Done()
		readUDP(r.front, r.fromClient)
	}()
	t.Cleanup(r.close)
	return r
}

// Addr is what clients send to.
func (r *Relay) Addr() netip.AddrPort { return r.front.LocalAddr().(*net.UDPAddr).AddrPort() }

// Rule sets what decides about datagrams from now on. It is called for one at a
// time and must not call the relay.
func (r *Relay) Rule(rule func(Datagram) Verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rule = rule
}

// Captured returns all datagrams and what became of them, oldest first.
func (r *Relay) Captured() []Datagram {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

// AwaitHeld waits until a number of datagrams are held.
func (r *Relay) AwaitHeld(t testing.TB, n int) {
	t.Helper()
	timeout := time.After(wait)
	for {
		r.mu.Lock()
		held, news := len(r.held), r.news
		r.mu.Unlock()
		if held >= n {
			return
		}
		select {
		case <-news:
		case <-timeout:
			t.Fatalf("the relay holds %d datagrams, not %d", held, n)
		}
	}
}

// Deliver sends on the datagrams that are held, oldest first.
func (r *Relay) Deliver() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.held {
		p.send(p.data)
	}
	r.held = nil
}

// DeliverReversed is Deliver, newest first.
func (r *Relay) DeliverReversed() {
	r.mu.Lock()
	slices.Reverse(r.held)
	r.mu.Unlock()
	r.Deliver()
}

func (r *Relay) fromClient(b []byte, client netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	back := r.backs[client]
	if back == nil {
		var err error
		back, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
		if err != nil {
			r.t.Error(err)
			return
		}
		r.backs[client] = back
		r.work.Add(1)
		go func() {
			defer r.work.Done()
			readUDP(back, func(b []byte, from netip.AddrPort) {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.decide(ToClient, b, from, func(b []byte) { r.front.WriteToUDPAddrPort(b, client) })
			})
		}()
	}
	r.decide(ToServer, b, client, func(b []byte) { back.WriteToUDPAddrPort(b, r.target) })
}

// decide asks the rule and does what it says. The caller holds the mutex.
func (r *Relay) decide(dir Direction, b []byte, from netip.AddrPort, send func(b []byte)) {
	m, err := ParseUDP(b)
	d := Datagram{
		Received:  Received{Message: m, Err: err, Data: b, From: from, Time: time.Now()},
		Direction: dir,
		N:         r.count[dir],
	}
	r.count[dir]++
	d.Verdict = r.rule(d)
	r.log = append(r.log, d)
	switch d.Verdict {
	case Drop:
		return
	case Hold:
		r.held = append(r.held, pending{b, send})
		close(r.news)
		r.news = make(chan struct{})
		return
	case Swap:
		r.swapped[dir] = append(r.swapped[dir], pending{b, send})
		return
	case Duplicate:
		send(b)
	}
	send(b)
	for _, p := range r.swapped[dir] {
		p.send(p.data)
	}
	r.swapped[dir] = nil
	if d.Verdict == Repeat {
		r.swapped[dir] = append(r.swapped[dir], pending{b, send})
	}
}

// close closes all sockets. What is held is lost.
func (r *Relay) close() {
	r.mu.Lock()
	r.closed = true
	r.front.Close()
	for _, back := range r.backs {
		back.Close()
	}
	r.mu.Unlock()
	r.work.Wait()
}
