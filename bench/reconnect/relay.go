package main

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
)

// A relay stands before a server and counts what is sent.
type relay struct {
	uri  string
	work sync.WaitGroup

	mu     sync.Mutex // guards what follows
	closed bool
	conns  []io.Closer
	newest *counter // of the client that came last
}

// A counter counts the bytes from and to a client.
type counter struct{ atomic.Int64 }

// Write counts.
func (c *counter) Write(p []byte) (int, error) {
	c.Add(int64(len(p)))
	return len(p), nil
}

func (r *relay) newCounter() *counter {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.newest = new(counter)
	return r.newest
}

// bytes returns how many the client that came last has sent and received.
func (r *relay) bytes() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.newest.Load()
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

func (r *relay) listenTCP(server string) (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	r.keep(ln)
	forward := func(to, from net.Conn, count *counter) {
		io.Copy(to, io.TeeReader(from, count))
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
			count := r.newCounter()
			r.run(func() { forward(peer, client, count) })
			r.run(func() { forward(client, peer, count) })
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
	type back struct {
		*net.UDPConn
		count *counter
	}
	backs := make(map[netip.AddrPort]*back) // by client
	r.run(func() {
		buf := make([]byte, 1<<16)
		for {
			n, client, err := front.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			b := backs[client]
			if b == nil {
				conn, err := net.DialUDP("udp4", nil, to)
				if err != nil {
					continue // as if the datagram was lost
				}
				b = &back{conn, r.newCounter()}
				backs[client] = b
				r.keep(conn)
				r.run(func() { answer(front, conn, client, b.count) })
			}
			b.count.Write(buf[:n])
			b.UDPConn.Write(buf[:n])
		}
	})
	return front.LocalAddr().String(), nil
}

func answer(front, back *net.UDPConn, client netip.AddrPort, count *counter) {
	buf := make([]byte, 1<<16)
	for {
		n, err := back.Read(buf)
		if err != nil {
			return
		}
		count.Write(buf[:n])
		front.WriteToUDPAddrPort(buf[:n], client)
	}
}
