//go:build !libcoap2

package coap

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
	"github.com/gnucoap/gnucoap/internal/cshim/cprogram"
)

// The tests of contexts of C programs are in coap/native. This one expects a piggybacked response,
// however busy the machine is, so it needs the ackDelay of this package.s tests.
func TestLastBlockThatComesAgainIsAnsweredAgain(t *testing.T) {
	for name, borrowed := range map[string]bool{"adopted": false, "borrowed": true} {
		t.Run(name, func(t *testing.T) {
			p := cprogram.New(cprogram.SingleBody)
			began, ended := make(chan *Node), make(chan struct{})
			go func() {
				defer close(ended)
				n, err := takeContext(ccoap.NativeContextAt(p.Context()), nil, borrowed)
				assert.NoError(t, err)
				began <- n
				if borrowed {
					p.Run()
				}
			}()
			n := receive(t, began)
			require.NotNil(t, n)
			t.Cleanup(func() {
				if borrowed {
					p.Stop()
				}
				receive(t, ended)
				assert.NoError(t, n.Close())
				p.Free(borrowed)
			})
			var mux Mux
			mux.HandleFunc("PUT /go", func(w ResponseWriter, r *Request) { w.Write(r.Body) })
			n.Handle(&mux)

			peer, to := coappeer.NewUDP(t), netip.AddrPortFrom(loopback.Addr(), p.Port())
			block := func(id uint16, b coappeer.Block, body string) coappeer.Message {
				options := append(coappeer.Path("go"), b.Option(coappeer.Block1),
					// else libcoap does not put the body together
					coappeer.Uint(coappeer.Size1, 16+uint32(len("the end"))))
				return coappeer.Message{Type: coappeer.CON, Code: coappeer.PUT, ID: id, Token: []byte{1},
					Options: options, Payload: []byte(body)}
			}
			last := block(2, coappeer.Block{Num: 1}, "the end")
			peer.Send(to, block(1, coappeer.Block{More: true}, "0123456789abcdef"))
			peer.Expect(t, coappeer.ACK, coappeer.Continue)
			peer.Send(to, last)
			answer := peer.Expect(t, coappeer.ACK, coappeer.Changed)
			assert.Equal(t, "0123456789abcdefthe end", string(answer.Payload))
			peer.Send(to, last)
			assert.Equal(t, answer.Message, peer.Receive(t).Message)
		})
	}
}
