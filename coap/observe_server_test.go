package coap

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// A counter is a resource whose state is a number.
type counter struct {
	*Resource
	n      atomic.Int64
	answer atomic.Pointer[HandlerFunc] // in place of the number
}

func newCounter() *counter {
	c := &counter{}
	c.Resource = NewResource(HandlerFunc(func(w ResponseWriter, r *Request) {
		if f := c.answer.Load(); f != nil {
			(*f)(w, r)
			return
		}
		fmt.Fprint(w, c.n.Load())
	}))
	return c
}

func (c *counter) set(n int) {
	c.n.Store(int64(n))
	c.Notify()
}

func (c *counter) respond(code Code) {
	f := HandlerFunc(func(w ResponseWriter, r *Request) { w.SetCode(code) })
	c.answer.Store(&f)
}

func (c *counter) awaitObservers(t testing.TB, n int) {
	t.Helper()
	await(t, func() bool { return c.Observers() == n })
}

// observe sends a request with an Observe option and returns the piggybacked response.
func (c *scriptedClient) observe(t testing.TB, id uint16, token string, observe uint32,
	options ...coappeer.Option) coappeer.Received {
	t.Helper()
	c.Send(c.server, coappeer.Message{
		Type: coappeer.CON, Code: coappeer.GET, ID: id, Token: []byte(token),
		Options: append(options, coappeer.Uint(coappeer.Observe, observe)),
	})
	m := c.Receive(t)
	require.Equal(t, coappeer.ACK, m.Type)
	require.Equal(t, token, string(m.Token))
	return m
}

func (c *scriptedClient) expect(t testing.TB, typ coappeer.Type, state string) coappeer.Received {
	t.Helper()
	m := c.Receive(t)
	require.Equal(t, []any{typ, state}, []any{m.Type, string(m.Payload)}, m.String())
	return m
}

func observed(t testing.TB, res Handler, config *Config) *scriptedClient {
	return newScriptedClient(t, listen(t, config, UDP, res))
}

func sequence(t testing.TB, m coappeer.Received) uint32 {
	t.Helper()
	n, ok := m.Uint(coappeer.Observe)
	require.True(t, ok, "no Observe option in %v", m)
	return n
}

func TestObserverIsToldOfChanges(t *testing.T) {
	res := newCounter()
	o := observed(t, res, nil)
	m := o.observe(t, 1, "tok", 0)
	assert.Equal(t, "0", string(m.Payload))
	last := m
	for i := 1; i <= 5; i++ {
		res.awaitObservers(t, 1)
		res.set(i)
		m := o.expect(t, coappeer.CON, strconv.Itoa(i))
		assert.Equal(t, "tok", string(m.Token))
		assert.Equal(t, coappeer.Content, m.Code)
		assert.True(t, newer(t, m, last))
		last = m
		o.Send(o.server, m.Acknowledge())
	}
}

func TestDeregistration(t *testing.T) {
	res := newCounter()
	o := observed(t, res, nil)
	o.observe(t, 1, "a", 0)
	o.observe(t, 2, "b", 0)
	res.awaitObservers(t, 2)
	_, has := o.observe(t, 3, "a", 1).Option(coappeer.Observe)
	assert.False(t, has)
	res.awaitObservers(t, 1)
	res.set(1)
	m := o.expect(t, coappeer.CON, "1")
	assert.Equal(t, "b", string(m.Token), "the other one goes on")
	o.Send(o.server, m.Acknowledge())
	o.ExpectNothing(t, o.server, 99)
}

func TestRegistrationAgainReplacesTheOldOne(t *testing.T) {
	res := newCounter()
	o := observed(t, res, nil)
	for id := range uint16(3) {
		o.observe(t, id, "same", 0)
	}
	res.awaitObservers(t, 1)
}

func TestObserverThatRejectsANotificationIsForgotten(t *testing.T) {
	for _, nonConfirmable := range []bool{false, true} {
		t.Run(fmt.Sprintf("non-confirmable %v", nonConfirmable), func(t *testing.T) {
			res := newCounter()
			res.NonConfirmable = nonConfirmable
			o := observed(t, res, nil)
			o.observe(t, 1, "tok", 0)
			res.set(1)
			m := o.Receive(t)
			assert.Equal(t, nonConfirmable, m.Type == coappeer.NON)
			o.Send(o.server, m.Reset())
			res.awaitObservers(t, 0)
		})
	}
}

func TestObserverThatNeverAcknowledgesIsForgotten(t *testing.T) {
	t.Parallel()
	res := newCounter()
	o := observed(t, res, &Config{AckTimeout: time.Second, AckRandomFactor: 1.001, MaxRetransmit: 1})
	o.observe(t, 1, "tok", 0)
	for i := 1; i <= 1000; i++ {
		res.set(i)
	}
	m := o.Receive(t)
	assert.Equal(t, coappeer.CON, m.Type)
	res.awaitObservers(t, 0)
	for _, other := range o.Captured()[1:] {
		assert.Equal(t, m.ID, other.ID, "one notification at a time")
	}
}

func TestSlowObserverGetsTheLastState(t *testing.T) {
	res := newCounter()
	o := observed(t, res, nil)
	o.observe(t, 1, "tok", 0)
	res.set(1)
	first := o.expect(t, coappeer.CON, "1")
	for i := 2; i <= 100; i++ {
		res.set(i)
	}
	o.Send(o.server, first.Acknowledge())
	last := o.expect(t, coappeer.CON, "100")
	assert.True(t, newer(t, last, first))
	o.Send(o.server, last.Acknowledge())
	o.ExpectNothing(t, o.server, 99)
}

func TestEveryFifthNonConfirmableNotificationIsConfirmable(t *testing.T) {
	res := newCounter()
	res.NonConfirmable = true
	o := observed(t, res, nil)
	o.observe(t, 1, "tok", 0)
	for i := 1; i <= 10; i++ {
		res.set(i)
		want := coappeer.NON
		if i%5 == 0 {
			want = coappeer.CON
		}
		m := o.expect(t, want, strconv.Itoa(i))
		if want == coappeer.CON {
			o.Send(o.server, m.Acknowledge())
		}
	}
}

func TestAnErrorEndsTheObservation(t *testing.T) {
	res := newCounter()
	o := observed(t, res, nil)
	o.observe(t, 1, "tok", 0)
	res.respond(CodeNotFound)
	res.Notify()
	m := o.Receive(t)
	assert.Equal(t, coappeer.NotFound, m.Code)
	assert.Equal(t, "tok", string(m.Token))
	_, has := m.Option(coappeer.Observe)
	assert.False(t, has)
	o.Send(o.server, m.Acknowledge())
	res.awaitObservers(t, 0)
	res.Notify()
	o.ExpectNothing(t, o.server, 99)
}

func TestAPanicWhileNotifyingEndsTheObservation(t *testing.T) {
	res := newCounter()
	o := observed(t, res, nil)
	o.observe(t, 1, "tok", 0)
	f := HandlerFunc(func(ResponseWriter, *Request) { panic("broken") })
	res.answer.Store(&f)
	res.Notify()
	assert.Equal(t, coappeer.InternalServerError, o.Receive(t).Code)
	res.awaitObservers(t, 0)
}

func TestCancelTellsAllObservers(t *testing.T) {
	res := newCounter()
	o := observed(t, res, nil)
	o.observe(t, 1, "a", 0)
	o.observe(t, 2, "b", 0)
	res.awaitObservers(t, 2)
	res.Cancel(CodeNotFound)
	assert.Zero(t, res.Observers())
	tokens := map[string]bool{}
	for range 2 {
		m := o.Receive(t)
		assert.Equal(t, coappeer.NotFound, m.Code)
		tokens[string(m.Token)] = true
		o.Send(o.server, m.Acknowledge())
	}
	assert.Equal(t, map[string]bool{"a": true, "b": true}, tokens)
	assert.PanicsWithValue(t, "coap: an observation cannot be cancelled with 2.05 Content",
		func() { res.Cancel(CodeContent) })
}

func TestRequestsThatMakeNoObserver(t *testing.T) {
	res := newCounter()
	o := observed(t, res, &Config{MaxObservers: 1, AddressValidation: ValidateNever})
	ask := func(id uint16, code coappeer.Code, options ...coappeer.Option) coappeer.Received {
		o.Send(o.server, coappeer.Message{Type: coappeer.CON, Code: code, ID: id, Token: []byte{byte(id)},
			Options: options})
		return o.Receive(t)
	}
	register := coappeer.Uint(coappeer.Observe, 0)
	for id, m := range []coappeer.Received{
		ask(0, coappeer.GET),
		ask(1, coappeer.POST, register),
		ask(2, coappeer.GET, coappeer.Uint(coappeer.Observe, 7)),
	} {
		_, has := m.Option(coappeer.Observe)
		assert.False(t, has, id)
	}
	res.respond(CodeForbidden)
	_, has := ask(3, coappeer.GET, register).Option(coappeer.Observe)
	assert.False(t, has, "an error")
	assert.Zero(t, res.Observers())

	res.answer.Store(nil)
	sequence(t, ask(4, coappeer.FETCH, register, coappeer.Uint(coappeer.ContentFormat, 0)))
	_, has = ask(5, coappeer.GET, register).Option(coappeer.Observe)
	assert.False(t, has, "one too many")
	assert.Equal(t, 1, res.Observers())
}

func TestNotificationsAreForTheRequestThatRegistered(t *testing.T) {
	res := NewResource(HandlerFunc(func(w ResponseWriter, r *Request) {
		fmt.Fprint(w, r.PathValue("name"), r.Options.Queries(), r.Session.RemoteAddr().IsValid())
	}))
	mux := &Mux{}
	mux.Handle("GET /things/{name}", res)
	o := observed(t, mux, nil)
	m := o.observe(t, 1, "tok", 0,
		append(coappeer.Path("things/door"), coappeer.String(coappeer.URIQuery, "a=1"))...)
	assert.Equal(t, "door[a=1] true", string(m.Payload))
	res.Notify()
	o.expect(t, coappeer.CON, "door[a=1] true")
}

func TestLargeNotificationsGoInBlocks(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 100)
	res := newCounter()
	o := observed(t, res, nil)
	o.observe(t, 1, "tok", 0, coappeer.Block{SZX: 5}.Option(coappeer.Block2))
	f := HandlerFunc(func(w ResponseWriter, r *Request) { w.Write(large) })
	res.answer.Store(&f)
	res.Notify()
	m := o.Receive(t)
	sequence(t, m)
	b, ok := m.Block(coappeer.Block2)
	require.True(t, ok)
	assert.Equal(t, coappeer.Block{More: true, SZX: 5}, b, "of the size that was asked for")
	assert.Equal(t, large[:512], m.Payload)
	o.Send(o.server, m.Acknowledge(), coappeer.Message{
		Type: coappeer.CON, Code: coappeer.GET, ID: 2, Token: []byte("rest"),
		Options: []coappeer.Option{coappeer.Block{Num: 3, SZX: 5}.Option(coappeer.Block2)},
	})
	rest := o.Receive(t)
	assert.Equal(t, large[3*512:], rest.Payload)
	_, has := rest.Option(coappeer.Observe)
	assert.False(t, has)
}

// Also where libcoap's own notification frees what it goes on using.
func TestErrorsWhileNotifyingManyTimes(t *testing.T) {
	res := newCounter()
	addr := listen(t, nil, UDP, res)
	s := connect(t, nil, addr, UDP)
	rounds := 2000
	for i := range rounds {
		res.answer.Store(nil)
		codes := []Code{}
		for r, err := range s.Observe(waitContext(t), get()) {
			require.NoError(t, err)
			codes = append(codes, r.Code)
			if len(codes) == 1 {
				res.respond(CodeNotFound)
				res.Notify()
			}
		}
		require.Equal(t, []Code{CodeContent, CodeNotFound}, codes, "round %d", i)
	}
	assert.Zero(t, res.Observers())
}

func TestObserversComeAndGoWhileNotifying(t *testing.T) {
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		res := newCounter()
		addr := listen(t, nil, proto, res)
		stop := make(chan struct{})
		var notifying, observing sync.WaitGroup
		notifying.Add(1)
		go func() {
			defer notifying.Done()
			for i := 1; ; i++ {
				select {
				case <-stop:
					return
				default:
					res.set(i)
				}
			}
		}()
		for range 4 {
			s := connect(t, nil, addr, proto)
			observing.Add(1)
			go func() {
				defer observing.Done()
				for range 50 {
					seen, last := 0, -1
					for r, err := range s.Observe(waitContext(t), get()) {
						if !assert.NoError(t, err) {
							return
						}
						n, err := strconv.Atoi(string(r.Body))
						assert.NoError(t, err)
						assert.GreaterOrEqual(t, n, last)
						last = n
						if seen++; seen == 3 {
							break
						}
					}
				}
			}()
		}
		observing.Wait()
		close(stop)
		notifying.Wait()
		res.awaitObservers(t, 0)
	})
}

func TestContextClosesWhileNotifying(t *testing.T) {
	res := newCounter()
	server := newTestNode(t, nil)
	addr := listenOn(t, server, UDP, res)
	s := connect(t, nil, addr, UDP)
	for r, err := range s.Observe(waitContext(t), get()) {
		require.NoError(t, err)
		if string(r.Body) == "10" {
			break
		}
		res.set(int(res.n.Load()) + 1)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Add(1)
		go func() {
			defer group.Done()
			for range 100 {
				res.Notify()
			}
		}()
	}
	require.NoError(t, server.Close())
	group.Wait()
	assert.Zero(t, res.Observers())
}

func TestObservableResourcesAreListedAsSuch(t *testing.T) {
	mux := &Mux{}
	mux.Handle("/time", newCounter().Resource, Attr("rt", "clock"))
	mux.Handle("/inline", Inline(newCounter().Resource))
	mux.Handle("/other", hello)
	assert.Equal(t, `</time>;rt="clock";obs,</inline>;obs,</other>`, string(FormatLinks(mux.Links())))
}

func TestLibcoapClientObserves(t *testing.T) {
	t.Parallel()
	for _, flavour := range testenv.CoAPFlavours {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			eachTransport(t, func(t *testing.T, proto Protocol, _ *Config, arguments []string) {
				res := newCounter()
				addr := listen(t, &Config{ServerPSK: pskServer}, proto, res)
				if oldTools {
					if flavour == "gnutls" && proto == TLS {
						return // it aborts where the server is fast
					}
				} else {
					arguments = append(arguments, "-w") // a line for each
				}
				client := testenv.Start(t, "coap-client-"+flavour,
					append(arguments, "-s", "3", uri(proto, addr, "/"))...)
				res.awaitObservers(t, 1)
				for i := 1; i <= 3; i++ {
					res.set(1000 + i)
					client.Expect(t, strconv.Itoa(1000+i))
				}
				assert.Zero(t, client.Wait(t), client.Output())
				res.awaitObservers(t, 0)
			})
		})
	}
}
