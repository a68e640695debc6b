package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
)

// A Footprint is memory in bytes.
type Footprint struct {
	Resident float64 // of the process, with what C allocates
	Heap     float64 // Go's
	Stack    float64 // of goroutines
}

func footprint() (Footprint, error) {
	for range 5 { // each one halves the stacks that are too large
		runtime.GC()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return Footprint{}, err
	}
	var size, resident int
	if _, err := fmt.Sscan(string(data), &size, &resident); err != nil {
		return Footprint{}, err
	}
	return Footprint{float64(resident * os.Getpagesize()), float64(m.HeapInuse),
		float64(m.StackInuse)}, nil
}

// Idle returns what one end of an idle connection holds: n connections are
// made, and both ends of each wait in Read. Call it in a process that has done
// nothing else, because memory that was used before hides growth.
func (s *Stack) Idle(n int) (Footprint, error) {
	const warmUp = 8
	reading := make(chan error)
	var open []net.Conn
	ended := make(chan struct{})
	start := func(c Conn) {
		open = append(open, c)
		go func() {
			reading <- c.HandshakeContext(context.Background())
			c.Read(make([]byte, 1))
			ended <- struct{}{}
		}()
	}
	connect := func(n int) error {
		for range n {
			c, sc, err := s.ends()
			if err != nil {
				return err
			}
			start(c)
			start(sc)
			for range 2 {
				if err := <-reading; err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := connect(warmUp); err != nil {
		return Footprint{}, err
	}
	before, err := footprint()
	if err != nil {
		return Footprint{}, err
	}
	if err := connect(n); err != nil {
		return Footprint{}, err
	}
	after, err := footprint()
	if err != nil {
		return Footprint{}, err
	}
	for _, c := range open {
		go c.Close()
	}
	for range open {
		<-ended
	}
	ends := float64(2 * n)
	return Footprint{
		Resident: (after.Resident - before.Resident) / ends,
		Heap:     (after.Heap - before.Heap) / ends,
		Stack:    (after.Stack - before.Stack) / ends,
	}, nil
}
