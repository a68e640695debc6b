package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// acceptPause comes after a failed Accept, for the system to recover.
const acceptPause = 100 * time.Millisecond

// serveEcho serves until ctx ends and the connections have ended, at most
// opts.grace later.
func serveEcho(ctx context.Context, ln net.Listener, opts *options, log *slog.Logger) {
	alive, end := context.WithCancel(context.Background())
	defer end()
	stop := context.AfterFunc(ctx, func() {
		ln.Close()
		time.AfterFunc(opts.grace, end)
	})
	defer stop()
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		c, err := ln.Accept()
		switch {
		case err == nil:
			conns.Add(1)
			go func() {
				defer conns.Done()
				echo(alive, c.(*conn), opts.idleLimit)
			}()
		case ctx.Err() != nil:
			return
		default:
			log.Warn("accepting a connection failed", "error", err)
			time.Sleep(acceptPause)
		}
	}
}

// echo serves one connection until alive ends or it is idle for too long.
func echo(alive context.Context, c *conn, idle time.Duration) {
	defer c.Close()
	stop := context.AfterFunc(alive, func() { c.Close() })
	defer stop()
	if c.handshake() != nil {
		return
	}
	buf := make([]byte, 16<<10)
	for {
		c.SetReadDeadline(time.Now().Add(idle))
		n, err := c.Read(buf)
		if err == nil {
			c.SetWriteDeadline(time.Now().Add(idle))
			_, err = c.Write(buf[:n])
			c.SetWriteDeadline(time.Time{}) // Close has one of its own
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), alive.Err() != nil:
			return
		default:
			c.log.Warn("broken", "error", err)
			return
		}
	}
}
