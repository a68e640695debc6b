package main

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// A network stands between the clients and the gateway: it keeps its address when the
// gateway gets another one, and counts bytes.
type network struct {
	front *net.UDPConn // clients send here
	bytes atomic.Int64

	mu     sync.Mutex // guards what follows
	closed bool
	target netip.AddrPort
	backs  map[netip.AddrPort]*net.UDPConn // by client: what its datagrams leave from
	work   sync.WaitGroup
}

var loopback = net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0"))

func newNetwork() (*network, error) {
	front, err := net.ListenUDP("udp4", loopback)
	if err != nil {
		return nil, err
	}
	n := &network{front: front, backs: make(map[netip.AddrPort]*net.UDPConn)}
	front.SetReadBuffer(4 << 20)
	n.work.Add(1)
	go n.receive(front, n.fromClient)
	return n, nil
}

func (n *network) addr() netip.AddrPort { return n.front.LocalAddr().(*net.UDPAddr).AddrPort() }

func (n *network) setTarget(addr netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.target = addr
}

// receive calls f for each datagram until the socket is closed.
func (n *network) receive(conn *net.UDPConn, f func(b []byte, from netip.AddrPort)) {
	defer n.work.Done()
	buf := make([]byte, 1<<16)
	for {
		size, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		n.bytes.Add(int64(size))
		f(buf[:size], from)
	}
}

func (n *network) fromClient(b []byte, client netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	back := n.backs[client]
	if back == nil && !n.closed {
		var err error
		if back, err = net.ListenUDP("udp4", loopback); err != nil {
			return // as if the datagram was lost
		}
		n.backs[client] = back
		n.work.Add(1)
		go n.receive(back, func(b []byte, _ netip.AddrPort) { n.front.WriteToUDPAddrPort(b, client) })
	}
	if back != nil {
		back.WriteToUDPAddrPort(b, n.target)
	}
}

func (n *network) close() {
	n.mu.Lock()
	n.closed = true
	n.front.Close()
	for _, back := range n.backs {
		back.Close()
	}
	n.mu.Unlock()
	n.work.Wait()
}
