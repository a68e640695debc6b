package main

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
)

// A relay stands before a server and counts what is sent, for one client at a time.
type relay struct {
	uri   string
	bytes atomic.Int64
	work  sync.WaitGroup

	mu     sync.Mutex // guards what follows
	closed bool
	conns  []io.Closer
}

func newRelay(server string) (*relay, error) {
	scheme, addr, _ := strings.Cut(server, "://")
	r := &relay{}
	listen := r.listenUDP
	if scheme == "coaps+tcp" {
		listen = r.listenTCP
	}
	own, err := listen(addr)
	r.uri = scheme + "://" + own
	return r, err
}

// keep notes what close closes.
func (r *relay) keep(c io.Closer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		c.Close()
	}
	r.conns = append(r.conns, c)
}

func (r *relay) close() {
	r.mu.Lock()
	r.closed = true
	for _, c := range r.conns {
		c.Close()
	}
	r.mu.Unlock()
	r.work.Wait()
}

func (r *relay) run(f func()) {
	r.work.Add(1)
	go func() {
		defer r.work.Done()
		f()
	}()
}

// Write counts.
func (r *relay) Write(p []byte) (int, error) {
	r.bytes.Add(int64(len(p)))
	return len(p), nil
}

func (r *relay) listenTCP(server string) (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	r.keep(ln)
	forward := func(to, from net.Conn) {
		io.Copy(to, io.TeeReader(from, r))
		to.Close()
		from.Close()
	}
	r.run(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			r.keep(client)
			peer, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			r.keep(peer)
			r.run(func() { forward(peer, client) })
			r.run(func() { forward(client, peer) })
		}
	})
	return ln.Addr().String(), nil
}

func (r *relay) listenUDP(server string) (string, error) {
	to, err := net.ResolveUDPAddr("udp4", server)
	if err != nil {
		return "", err
	}
	front, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return "", err
	}
	r.keep(front)
	backs := make(map[netip.AddrPort]*net.UDPConn) // by client
	r.run(func() {
		buf := make([]byte, 1<<16)
		for {
			n, client, err := front.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			back := backs[client]
			if back == nil {
				if back, err = net.DialUDP("udp4", nil, to); err != nil {
					continue // as if the datagram was lost
				}
				backs[client] = back
				r.keep(back)
				r.run(func() { r.answer(front, back, client) })
			}
			r.bytes.Add(int64(n))
			back.Write(buf[:n])
		}
	})
	return front.LocalAddr().String(), nil
}

func (r *relay) answer(front, back *net.UDPConn, client netip.AddrPort) {
	buf := make([]byte, 1<<16)
	for {
		n, err := back.Read(buf)
		if err != nil {
			return
		}
		r.bytes.Add(int64(n))
		front.WriteToUDPAddrPort(buf[:n], client)
	}
}
