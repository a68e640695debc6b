package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gnucoap/gnucoap/bench/coap/cpeer"
)

// patience is how long the answers to all requests of a run may take after its
// end.
const patience = 20 * time.Second

var errWrong = errors.New("a response is wrong")

// A session is one of a Go implementation.
type session interface {
	// do makes a request and checks the response.
	do(ctx context.Context, k cpeer.Kind) error
	close() error
}

// A dialer opens a session in which so many requests may be in flight.
type dialer func(proto string, port, inFlight int) (session, error)

// A goClient is the client of a Go implementation: so many goroutines make
// requests in one session, or have a session each.
type goClient struct {
	inFlight int
	dial     func(inFlight int) (session, error)
	session  session // of the last Run
}

func goClients(dial dialer) func(string, int, int) (client, error) {
	return func(proto string, port, inFlight int) (client, error) {
		return &goClient{
			inFlight: inFlight,
			dial:     func(inFlight int) (session, error) { return dial(proto, port, inFlight) },
		}, nil
	}
}

func (c *goClient) Run(k cpeer.Kind, d time.Duration) (int, error) {
	if k != cpeer.Connect {
		if err := c.Close(); err != nil {
			return 0, err
		}
		var err error
		if c.session, err = c.dial(c.inFlight); err != nil {
			return 0, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), d+patience)
	defer cancel()
	var left atomic.Int64
	left.Store(int64(k.MaxRequests()))
	stop := time.AfterFunc(d, func() { left.Store(0) })
	defer stop.Stop()
	return c.each(func() (n int, err error) {
		for n == 0 || left.Load() > 0 {
			left.Add(-1)
			if k == cpeer.Connect {
				err = c.connect(ctx)
			} else {
				err = c.session.do(ctx, k)
			}
			if err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	})
}

// each has as many goroutines as requests are in flight do the work, and returns
// the sum of what they return.
func (c *goClient) each(work func() (int, error)) (int, error) {
	var total atomic.Int64
	var failure error
	var once sync.Once
	var wg sync.WaitGroup
	for range c.inFlight {
		wg.Add(1)
		go func() {
			defer wg.Done()
			n, err := work()
			total.Add(int64(n))
			if err != nil {
				once.Do(func() { failure = err })
			}
		}()
	}
	wg.Wait()
	return int(total.Load()), failure
}

func (c *goClient) connect(ctx context.Context) error {
	s, err := c.dial(1)
	if err != nil {
		return err
	}
	return errors.Join(s.do(ctx, cpeer.Small), s.close())
}

func (c *goClient) Close() error {
	if c.session == nil {
		return nil
	}
	err := c.session.close()
	c.session = nil
	return err
}
