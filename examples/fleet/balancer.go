package main

import (
	"io"
	"net"
	"sync"
)

// A balancer hands connections to the servers in turn. It knows nothing of TLS,
// and skips servers that it cannot reach or that have ended: somebody else may
// listen on their port by now.
type balancer struct {
	net.Listener
	servers []*server
	ended   sync.WaitGroup
}

func newBalancer(servers []*server) (*balancer, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &balancer{Listener: ln, servers: servers}
	b.ended.Add(1)
	go b.run()
	return b, nil
}

// Close ends the balancer when its connections have ended.
func (b *balancer) Close() error {
	err := b.Listener.Close()
	b.ended.Wait()
	return err
}

func (b *balancer) run() {
	defer b.ended.Done()
	for turn := 0; ; turn++ {
		client, err := b.Accept()
		if err != nil {
			return
		}
		b.ended.Add(1)
		go func() {
			defer b.ended.Done()
			b.forward(client.(*net.TCPConn), turn)
		}()
	}
}

func (b *balancer) forward(client *net.TCPConn, turn int) {
	defer client.Close()
	for i := range b.servers {
		server := b.servers[(turn+i)%len(b.servers)]
		if server.hasEnded() {
			continue
		}
		backend, err := net.Dial("tcp", server.addr)
		if err != nil {
			continue
		}
		defer backend.Close()
		done := make(chan struct{})
		go func() {
			pipe(backend.(*net.TCPConn), client)
			close(done)
		}()
		pipe(client, backend.(*net.TCPConn))
		<-done
		return
	}
}

// pipe copies from one side to the other until the end, which it passes on.
func pipe(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	to.CloseWrite()
}
