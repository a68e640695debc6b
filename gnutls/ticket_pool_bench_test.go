package gnutls

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// BenchmarkTicketPool takes a ticket and puts it back, from 8 goroutines, on a
// full pool of 10,000 servers.
func BenchmarkTicketPool(b *testing.B) {
	const goroutines, servers = 8, 10_000
	pool := TicketPool{Servers: servers}
	keys := make([]string, servers)
	for i := range keys {
		keys[i] = fmt.Sprintf("server-%d.example.test:443", i)
		for j := range defaultPoolTickets {
			pool.Put(keys[i], fakeSession(VersionTLS13, time.Duration(j)*time.Minute))
		}
	}
	b.SetParallelism(max(1, goroutines/runtime.GOMAXPROCS(0)))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			key := keys[rand.IntN(servers)]
			if d := pool.Get(key); d != nil {
				pool.Put(key, d)
			}
		}
	})
}
