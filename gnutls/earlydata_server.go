package gnutls

import (
	"container/list"
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// receiveEarly keeps the early data that a server has accepted for Read.
func (c *Conn) receiveEarly(cs *ConnectionState) error {
	guard := c.native.early
	if guard == nil {
		return nil
	}
	var data []byte
	var code cgnutls.Code
	err := c.withSession(func(s *cgnutls.Session) {
		cs.EarlyDataAccepted = s.EarlyDataAccepted()
		data = s.TakeEarlyData()
		code = s.SetMaxEarlyData(guard.max) // for the tickets
	})
	if err == nil {
		err = check("setting the limit of early data", code)
	}
	if err != nil {
		return err
	}
	if len(data) > guard.max {
		return &Error{Op: "handshake", Code: CodeUnexpectedPacket,
			Err: fmt.Errorf("the client sent more than %d bytes of early data", guard.max)}
	}
	cs.EarlyData = len(data)
	c.kept.add(data)
	return nil
}

const (
	// earlyWindow is how long a ClientHello with early data may be under way.
	earlyWindow = 10 * time.Second
	// earlyRecord is how long one is remembered. The difference is for the
	// clocks of servers that share tickets.
	earlyRecord = 30 * time.Second
	// antiReplays is how many native anti-replay objects a Config has. GnuTLS
	// refuses early data with tickets that are older than the object, and makes
	// it as young as the early data that it has last seen, if that is more than
	// earlyWindow ago. So the more there are, the older may tickets be.
	antiReplays = 1024
)

// earlyDataGuard decides on a server which early data are accepted. Its native
// objects are used by one handshake at a time.
type earlyDataGuard struct {
	max   int
	store AntiReplay

	mu   sync.Mutex
	free *list.List // of *cgnutls.AntiReplay, the one used longest ago in front
}

func (c *Config) newEarlyDataGuard() (*earlyDataGuard, error) {
	switch {
	case c.MaxEarlyData == 0:
		return nil, nil
	case c.MaxEarlyData < 0 || c.MaxEarlyData > maxEarlyRead:
		return nil, fmt.Errorf("gnutls: Config.MaxEarlyData is %d, which is not 0 to %d", c.MaxEarlyData,
			maxEarlyRead)
	case len(c.NextProtos) > 1:
		return nil, fmt.Errorf("gnutls: Config.MaxEarlyData is set and NextProtos has %d entries",
			len(c.NextProtos))
	}
	if !cgnutls.AtLeast("3.7.2") {
		// A ClientHello with early data and no valid ticket would crash it.
		return nil, nil
	}
	g := &earlyDataGuard{max: c.MaxEarlyData, store: c.AntiReplay, free: list.New()}
	if g.store == nil {
		g.store = NewAntiReplay(0)
	}
	var all []*cgnutls.AntiReplay
	runtime.AddCleanup(g, func(all *[]*cgnutls.AntiReplay) {
		for _, a := range *all {
			a.Free()
		}
	}, &all)
	for range antiReplays {
		a, code := cgnutls.NewAntiReplay(earlyWindow)
		if code < 0 {
			return nil, check("setting up early data", code)
		}
		all = append(all, a)
		g.free.PushBack(a)
	}
	return g, nil
}

// take returns a native object, or nil where all are in use.
func (g *earlyDataGuard) take() *cgnutls.AntiReplay {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free.Len() == 0 {
		return nil
	}
	return g.free.Remove(g.free.Front()).(*cgnutls.AntiReplay)
}

func (g *earlyDataGuard) give(a *cgnutls.AntiReplay, used bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if used {
		g.free.PushBack(a)
	} else {
		g.free.PushFront(a)
	}
}

// acceptEarlyData sets a server up for early data.
func (c *Conn) acceptEarlyData(guard *earlyDataGuard, pr *priority, s *cgnutls.Session) error {
	s.AcceptEarlyData(pr.p, strings.Contains(c.config.Priority, "%SERVER_PRECEDENCE"))
	// Room for the ciphertext of what is refused.
	return check("setting the limit of early data", s.SetMaxEarlyData(2*guard.max+maxEarlyWrite))
}

// A lentAntiReplay is an object of native.early that a handshake has while GnuTLS decides on
// early data.
type lentAntiReplay struct {
	object *cgnutls.AntiReplay
	used   bool // GnuTLS would accept some
}

// takeAntiReplay is called from inside a server's handshake for a ClientHello
// with early data.
func (c *Conn) takeAntiReplay() *cgnutls.AntiReplay {
	if c.handshaking.replay.object == nil {
		c.handshaking.replay.object = c.native.early.take()
	}
	return c.handshaking.replay.object
}

// returnAntiReplay is called after each step of a handshake: GnuTLS deals with a
// ClientHello in one. The caller holds the lock of tls.
func (c *Conn) returnAntiReplay() {
	if h := c.handshaking; h.replay.object != nil {
		h.session.s.DropAntiReplay()
		c.native.early.give(h.replay.object, h.replay.used)
		h.replay.object, h.replay.used = nil, false
	}
}

// recordEarly is called from inside a server's handshake for early data that
// GnuTLS would accept.
func (c *Conn) recordEarly(ctx context.Context) func() (bool, error) {
	h := c.handshaking
	return func() (bool, error) {
		if c.config.AntiReplay != nil {
			if err := c.enter(); err != nil {
				return false, err
			}
		}
		h.replay.used = true
		return c.native.early.store.Add(ctx, h.session.s.ClientRandom(), time.Now().Add(earlyRecord))
	}
}
