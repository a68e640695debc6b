package cgnutls

import (
	"encoding/pem"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m, func() (any, int64) {
		l := LiveObjects()
		return l, l.Sessions + l.Credentials + l.Priorities + l.Buffers + l.Handles
	})
}

// pair is a client and a server that exchange bytes in memory.
type pair struct {
	client, server     *Session
	toClient, toServer []byte
	serverCallbacks    *Callbacks
}

func decodePEM(t testing.TB, name string) []byte {
	block, _ := pem.Decode(testenv.Read(t, name))
	require.NotNil(t, block)
	return block.Bytes
}

// newPair returns a client and a server of one version, whose tickets are
// under one key. They are freed when the test ends.
func newPair(t testing.TB, version string, client, server Options) *pair {
	t.Helper()
	creds, code := NewCertificateCredentials()
	require.GreaterOrEqual(t, code, OK)
	require.GreaterOrEqual(t,
		creds.AddKey([][]byte{decodePEM(t, "server.pem")}, decodePEM(t, "server.key")), OK)
	require.GreaterOrEqual(t, creds.Trust([][]byte{decodePEM(t, "ca.pem")}), OK)
	priority, _, code := NewPriority("NORMAL:-VERS-ALL:+VERS-TLS"+version, false)
	require.GreaterOrEqual(t, code, OK)

	server.Server = true
	p := &pair{serverCallbacks: new(Callbacks)}
	p.client, code = NewSession(client)
	require.GreaterOrEqual(t, code, OK)
	p.server, code = NewSession(server)
	require.GreaterOrEqual(t, code, OK)
	t.Cleanup(func() {
		p.client.Free()
		p.server.Free()
		creds.Free()
		priority.Free()
	})
	for _, s := range []*Session{p.client, p.server} {
		require.Equal(t, OK, s.SetPriority(priority))
		require.Equal(t, OK, s.SetCertificateCredentials(creds))
	}
	require.Equal(t, OK, p.client.SetServerName("localhost"))
	require.Equal(t, OK, p.server.EnableTickets(testTicketKey))
	return p
}

var testTicketKey = make([]byte, 64)

// handshake runs the handshake to its end on both sides.
func (p *pair) handshake(t testing.TB) {
	t.Helper()
	done := func(r Result) bool {
		require.Equal(t, OK, r.Code, r.Code.Message())
		if r.Verify {
			p.client.AcceptPeer()
		}
		return !r.Starved && !r.Verify && !r.Full
	}
	for client, server := false, false; !client || !server; {
		client = client || done(p.stepClient())
		server = server || done(p.stepServer())
	}
}

func (p *pair) stepClient() Result {
	out := make([]byte, OutputSize)
	r := p.client.Handshake(new(Callbacks), p.toClient, false, out)
	p.toClient = p.toClient[r.Used:]
	p.toServer = append(p.toServer, out[:r.Made]...)
	return r
}

func (p *pair) stepServer() Result {
	out := make([]byte, OutputSize)
	r := p.server.Handshake(p.serverCallbacks, p.toServer, false, out)
	p.toServer = p.toServer[r.Used:]
	p.toClient = append(p.toClient, out[:r.Made]...)
	return r
}

// sendTickets makes the server send n tickets.
func (p *pair) sendTickets(t testing.TB, n int) {
	t.Helper()
	out := make([]byte, OutputSize)
	r := p.server.SendTickets(n, out)
	require.Equal(t, OK, r.Code, r.Code.Message())
	p.toClient = append(p.toClient, out[:r.Made]...)
}

// send sends data from the server to the client.
func (p *pair) send(t testing.TB, data string) {
	t.Helper()
	out := make([]byte, OutputSize)
	r := p.server.Send([]byte(data), out)
	require.Equal(t, OK, r.Code)
	require.Equal(t, len(data), r.N)
	p.toClient = append(p.toClient, out[:r.Made]...)
}

// receive lets the client take all that has come, and returns the data.
func (p *pair) receive(t testing.TB) string {
	t.Helper()
	buf := make([]byte, 1<<15)
	r := p.client.Recv(p.toClient, false, buf)
	require.Equal(t, OK, r.Code, r.Code.Message())
	require.True(t, r.Starved)
	p.toClient = p.toClient[r.Used:]
	return string(buf[:r.N])
}
