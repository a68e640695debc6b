package gnutls

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTicketInboxDeliversInOrder(t *testing.T) {
	b := &ticketInbox{delivers: true}
	one, two, three := new(SessionData), new(SessionData), new(SessionData)
	b.add(one)
	b.add(two)
	var got []*SessionData
	b.deliver(func(d *SessionData) {
		if d == one {
			b.add(three)
			b.deliver(func(*SessionData) { t.Error("somebody delivers already") })
		}
		got = append(got, d)
	})
	require.Len(t, got, 3)
	assert.Same(t, one, got[0])
	assert.Same(t, two, got[1])
	assert.Same(t, three, got[2])
	assert.Same(t, three, b.latest())
	b.deliver(func(*SessionData) { t.Error("all of them were delivered") })
}

func TestTicketInboxAfterAPanic(t *testing.T) {
	b := &ticketInbox{delivers: true}
	b.add(new(SessionData))
	b.add(new(SessionData))
	assert.Panics(t, func() { b.deliver(func(*SessionData) { panic("no") }) })
	delivered := 0
	b.deliver(func(*SessionData) { delivered++ })
	assert.Equal(t, 1, delivered)
}

func TestTicketInboxIsBounded(t *testing.T) {
	b := &ticketInbox{delivers: true}
	first, second := new(SessionData), new(SessionData)
	b.add(first)
	b.add(second)
	for range maxUndelivered - 1 {
		b.add(new(SessionData))
	}
	var got []*SessionData
	b.deliver(func(d *SessionData) { got = append(got, d) })
	require.Len(t, got, maxUndelivered)
	assert.Same(t, second, got[0])

	b = new(ticketInbox)
	b.add(new(SessionData))
	assert.Empty(t, b.undelivered, "nobody wants it")
}

func TestTicketInboxTellsWhoWaits(t *testing.T) {
	b := new(ticketInbox)
	d, arrival := b.current()
	require.Nil(t, d)
	b.refuse(errors.New("useless"))
	select {
	case <-arrival:
		t.Fatal("nothing has come")
	default:
	}
	b.add(new(SessionData))
	<-arrival
	d, _ = b.current()
	assert.NotNil(t, d)
	b.clear()
	assert.Nil(t, b.latest())
}

func TestTicketInboxSaysWhyThereIsNone(t *testing.T) {
	b := new(ticketInbox)
	reason := errors.New("the reason")
	err := b.noTicket(reason)
	assert.EqualError(t, err, "gnutls: no session ticket received: the reason")
	assert.ErrorIs(t, err, ErrNoTicket)
	assert.ErrorIs(t, err, reason)
	b.refuse(&UnusableTicketError{"it is empty"})
	assert.EqualError(t, b.noTicket(reason), "gnutls: no session ticket received: "+
		"gnutls: the server sent a ticket that cannot be used: it is empty (the reason)")
}
