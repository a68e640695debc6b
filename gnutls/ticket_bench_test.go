package gnutls

import "testing"

// BenchmarkSendTickets is what a ticket costs both sides together.
func BenchmarkSendTickets(b *testing.B) {
	c, s := connect(b, clientConfig(b), serverConfig(b))
	go func() {
		for buf := make([]byte, 1); ; {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}()
	for b.Loop() {
		if err := s.SendTickets(1); err != nil {
			b.Fatal(err)
		}
	}
}
