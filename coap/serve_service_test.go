package coap

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestServiceChoosesTheHandler(t *testing.T) {
	code := func(h Handler) Code {
		w := &response{}
		h.ServeCoAP(w, get())
		return w.code
	}
	forProxy := &Request{Method: MethodGet}
	forProxy.Options.AddString(OptionProxyURI, "coap://a.test/")
	mux := &Mux{}
	mux.Handle("/", answer(CodeValid))
	s := service{handler: mux}
	assert.Equal(t, CodeValid, code(s.choose(get())), "what the Mux chooses")
	assert.Equal(t, CodeProxyingNotSupported, code(s.choose(forProxy)))
	s.proxy = answer(CodeBadGateway)
	assert.Equal(t, CodeBadGateway, code(s.choose(forProxy)))
	assert.Equal(t, CodeValid, code(s.choose(get())))
	s.drain()
	assert.Equal(t, CodeServiceUnavailable, code(s.choose(get())))
	assert.Equal(t, CodeServiceUnavailable, code(s.choose(forProxy)))
}

func TestServiceIsDrainedWithTheLastRequest(t *testing.T) {
	isClosed := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	var idle, stopped, s service
	assert.True(t, isClosed(idle.drain()))
	idle.stop()
	s.begin()
	s.begin()
	drained := s.drain()
	s.finish()
	assert.False(t, isClosed(drained))
	s.finish()
	assert.True(t, isClosed(drained))
	assert.Equal(t, drained, s.drain())
	s.begin() // is refused
	s.finish()

	stopped.begin()
	drained = stopped.drain()
	stopped.stop()
	assert.True(t, isClosed(drained))
}
