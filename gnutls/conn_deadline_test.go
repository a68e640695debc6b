package gnutls

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// deadlineConn notes the deadlines of a transport.
type deadlineConn struct {
	net.Conn
	read, write time.Time
}

func (c *deadlineConn) SetReadDeadline(t time.Time) error  { c.read = t; return nil }
func (c *deadlineConn) SetWriteDeadline(t time.Time) error { c.write = t; return nil }

func TestDeadlinesWhileReadingIsInterrupted(t *testing.T) {
	transport := new(deadlineConn)
	d := deadlines{conn: transport}
	first, second := time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	require.NoError(t, d.setRead(first))
	assert.Equal(t, first, transport.read)
	d.interruptRead()
	require.NoError(t, d.setRead(second))
	assert.Equal(t, longAgo, transport.read)
	d.resumeRead()
	assert.Equal(t, second, transport.read)
}

func TestDeadlinesWakeWhoWatches(t *testing.T) {
	d := deadlines{conn: new(deadlineConn)}
	changed, deadline := d.watchRead()
	assert.Zero(t, deadline)
	limit := time.Now().Add(time.Hour)
	require.NoError(t, d.setRead(limit))
	<-changed
	changed, deadline = d.watchRead()
	assert.Equal(t, limit, deadline)
	d.close()
	<-changed
	assert.ErrorIs(t, d.setRead(limit), net.ErrClosed)
	assert.ErrorIs(t, d.setWrite(limit), net.ErrClosed)
}

func TestDeadlinesBoundWriting(t *testing.T) {
	soon, late := time.Now().Add(time.Second), time.Now().Add(time.Hour)
	for name, set := range map[string]time.Time{"none": {}, "soon": soon, "late": late} {
		t.Run(name, func(t *testing.T) {
			transport := new(deadlineConn)
			d := deadlines{conn: transport}
			require.NoError(t, d.setWrite(set))
			restore := d.boundWrite(time.Minute)
			if set == soon {
				assert.Equal(t, soon, transport.write)
			} else {
				assert.WithinDuration(t, time.Now().Add(time.Minute), transport.write, 10*time.Second)
			}
			restore()
			assert.Equal(t, set, transport.write)

			d.shortenWrite(time.Minute)
			if set == soon {
				assert.Equal(t, soon, d.write)
			} else {
				assert.WithinDuration(t, time.Now().Add(time.Minute), d.write, 10*time.Second)
			}
			assert.Equal(t, d.write, transport.write)
		})
	}
}

func TestDeadlinesThatHavePassed(t *testing.T) {
	d := deadlines{conn: new(deadlineConn)}
	assert.False(t, d.writeExpired())
	require.NoError(t, d.setWrite(time.Now().Add(time.Hour)))
	assert.False(t, d.writeExpired())
	require.NoError(t, d.setWrite(longAgo))
	assert.True(t, d.writeExpired())
}
