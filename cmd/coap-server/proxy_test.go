package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/gnucoap/gnucoap/coap"
)

// An answer is what a handler writes.
type answer struct {
	code    coap.Code
	options coap.Options
}

func (a *answer) SetCode(code coap.Code)      { a.code = code }
func (a *answer) Options() *coap.Options      { return &a.options }
func (a *answer) Write(p []byte) (int, error) { return len(p), nil }

func TestProxyForwardsSoManyRequestsAtOnce(t *testing.T) {
	p := &proxy{names: []string{"here.example"}}
	p.forwarded.Store(maxForwarded)
	r := &coap.Request{Method: coap.MethodGet}
	r.Options.AddString(coap.OptionProxyURI, "coap://there.example/")
	w := &answer{}
	p.ServeCoAP(w, r)
	assert.Equal(t, coap.CodeServiceUnavailable, w.code)
	assert.Equal(t, 5*time.Second, w.options.MaxAge())
	assert.EqualValues(t, maxForwarded, p.forwarded.Load())
}
