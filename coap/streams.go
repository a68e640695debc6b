package coap

import (
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// streamLimits bound what peers can make a server keep over TCP and TLS. Tests change them.
var streamLimits = ccoap.StreamLimits{
	Answers:    4 << 20,
	Waiting:    128 << 20,
	AllWaiting: 256 << 20,
	GreetingIn: 20 * time.Second,
	TakesIn:    time.Minute,
}

// Of the connections that a server has, so many at most have yet to say what their peers
// can: a tenth of Config.MaxSessions, but not fewer or more than these.
const (
	fewGreeting  = 16
	manyGreeting = 1000
)

func (c *Config) streamLimits() ccoap.StreamLimits {
	limits := streamLimits
	limits.Requests = orDefault(c.MaxSessionRequests, defaultMaxOfSession)
	limits.Greeting = min(max(orDefault(c.MaxSessions, defaultMaxSessions)/10, fewGreeting),
		manyGreeting)
	return limits
}

// onSession is called when a connection that a peer has made can be used.
func (l *loop) onSession(id ccoap.SessionID, native ccoap.Session) {
	c := l.newConn(id, native, true, false)
	l.idle.add(c)
	l.todo.locked(c.configure)
}
