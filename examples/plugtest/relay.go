package main

import (
	"net"
	"net/netip"
	"sync"
)

// A relay passes datagrams on between one client and a server, and loses each of
// them the first time.
type relay struct {
	near, far *net.UDPConn
	done      sync.WaitGroup

	mu     sync.Mutex
	client netip.AddrPort
	seen   map[string]bool
}

func newRelay(server netip.AddrPort) (*relay, error) {
	local := net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0"))
	near, err := net.ListenUDP("udp", local)
	if err != nil {
		return nil, err
	}
	far, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		near.Close()
		return nil, err
	}
	r := &relay{near: near, far: far, seen: make(map[string]bool)}
	r.done.Add(2)
	go r.pump(near, func(p []byte) { _, _ = far.Write(p) })
	go r.pump(far, func(p []byte) {
		r.mu.Lock()
		client := r.client
		r.mu.Unlock()
		_, _ = near.WriteToUDPAddrPort(p, client)
	})
	return r, nil
}

// pump forwards datagrams that come a second time, until the socket is closed.
func (r *relay) pump(from *net.UDPConn, pass func([]byte)) {
	defer r.done.Done()
	buf := make([]byte, 65536)
	for {
		n, sender, err := from.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		r.mu.Lock()
		if from == r.near {
			r.client = sender
		}
		again := r.seen[string(buf[:n])]
		r.seen[string(buf[:n])] = true
		r.mu.Unlock()
		if again {
			pass(buf[:n])
		}
	}
}

func (r *relay) addr() net.Addr { return r.near.LocalAddr() }

// lost is how many datagrams were lost.
func (r *relay) lost() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

func (r *relay) close() {
	r.near.Close()
	r.far.Close()
	r.done.Wait()
}
