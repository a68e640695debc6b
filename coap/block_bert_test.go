package coap

import (
	"bytes"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

func dialStream(t *testing.T, addr netip.AddrPort) *coappeer.TCP {
	c := coappeer.DialTCP(t, addr)
	exchangeCSM(t, c)
	return c
}

// acceptStream opens a session with a server that the test plays.
func acceptStream(t *testing.T, config *Config) (*Session, *coappeer.TCP) {
	ln := coappeer.ListenTCP(t)
	s := connect(t, config, ln.Addr(), TCP)
	server := ln.Accept(t)
	exchangeCSM(t, server)
	return s, server
}

// acceptOneBlock is acceptStream with a server that has not said that messages may have
// several blocks.
func acceptOneBlock(t *testing.T) (*Session, *coappeer.TCP) {
	ln := coappeer.ListenTCP(t)
	s := connect(t, nil, ln.Addr(), TCP)
	server := ln.Accept(t)
	server.ExchangeCSM(t, coappeer.Uint(coappeer.MaxMessageSize, 5000))
	return s, server
}

// exchangeCSM says that messages may have 5000 bytes, and bodies several blocks in each.
func exchangeCSM(t *testing.T, p *coappeer.TCP) {
	p.ExchangeCSM(t, coappeer.Uint(coappeer.MaxMessageSize, 5000),
		coappeer.Option{Number: coappeer.BlockWiseTransfer})
}

func TestServerTakesSeveralBlocksInAMessage(t *testing.T) {
	body := strings.Repeat(kilobyte, 5) + "end"
	c := dialStream(t, listen(t, nil, TCP, HandlerFunc(func(w ResponseWriter, r *Request) {
		assert.Equal(t, body, string(r.Body))
	})))
	got := askStream(t, c, put(body[:3072], block1(0, true, several)))
	assert.Equal(t, message(coappeer.Continue, "", block1(0, true, several)), got)
	got = askStream(t, c, put(body[3072:], block1(3, false, several)))
	assert.Equal(t, message(coappeer.Changed, "", block1(3, false, several)), got)

	got = askStream(t, c, put(body[:3000], block1(0, true, several)))
	assert.Equal(t, coappeer.BadRequest, got.Code, "not a multiple of 1024")
}

func TestServerSendsSeveralBlocksInAMessage(t *testing.T) {
	body := string(randomBytes(10_000))
	c := dialStream(t,
		listen(t, nil, TCP, HandlerFunc(func(w ResponseWriter, r *Request) { w.Write([]byte(body)) })))
	plain := askStream(t, c, message(coappeer.GET, ""))
	two, _ := plain.Option(coappeer.Block2)
	assert.Equal(t, block2(0, true, 1024).Value, two, "the client has not said that it can do more")
	var received string
	for _, want := range []coappeer.Option{block2(0, true, several), block2(4, true, several),
		block2(8, false, several)} {
		got := askStream(t,
			c, message(coappeer.GET, "", block2(uint32(len(received)/1024), false, several)))
		two, _ := got.Option(coappeer.Block2)
		assert.Equal(t, want.Value, two)
		received += string(got.Payload)
	}
	assert.Equal(t, body, received)
}

func TestClientTakesSeveralBlocksInAMessage(t *testing.T) {
	body := string(randomBytes(10_000))
	s, server := acceptStream(t, nil)
	c := start(waitContext(t), s, get())
	first := serveStream(t, server, message(coappeer.Content, body[:4096], block2(0, true, several)))
	assert.Empty(t, first.Options)
	second := serveStream(t, server, message(coappeer.Content, body[4096:], block2(4, false, several)))
	assert.Equal(t, []coappeer.Option{block2(4, false, several)}, second.Options)
	outcome := receive(t, c)
	require.NoError(t, outcome.err)
	assert.Equal(t, body, string(outcome.Body))
}

func TestClientSendsSeveralBlocksToAServerThatTakesThem(t *testing.T) {
	body := string(randomBytes(10_000))
	s, server := acceptStream(t, nil)
	c := start(waitContext(t), s, &Request{Method: MethodPut, Body: []byte(body)})
	got := serveStream(t, server, message(coappeer.Continue, "", block1(0, true, several)))
	received := string(got.Payload)
	got = serveStream(t, server, message(coappeer.Continue, "", block1(4, true, several)))
	received += string(got.Payload)
	got = serveStream(t, server, message(coappeer.Changed, "", block1(8, false, several)))
	one, _ := got.Option(coappeer.Block1)
	assert.Equal(t, block1(8, false, several).Value, one)
	assert.Equal(t, body, received+string(got.Payload))
	require.NoError(t, receive(t, c).err)
}

func TestClientSendsSeveralBlocksInAMessage(t *testing.T) {
	body := string(randomBytes(10_000))
	s, server := acceptOneBlock(t)
	c := start(waitContext(t), s, &Request{Method: MethodPut, Body: []byte(body)})
	for num := range uint32(10) {
		code := coappeer.Continue
		if num == 9 {
			code = coappeer.Changed
		}
		got := serveStream(t, server, message(code, "", block1(num, num < 9, 1024)))
		one, _ := got.Option(coappeer.Block1)
		assert.Equal(t, block1(num, num < 9, 1024).Value, one,
			"the server has not said that it can do more")
	}
	require.NoError(t, receive(t, c).err)

	c = start(waitContext(t), s, get())
	serveStream(t, server, message(coappeer.Content, "small", block2(0, false, several)))
	require.NoError(t, receive(t, c).err)

	c = start(waitContext(t), s, &Request{Method: MethodPut, Body: []byte(body)})
	var received string
	for _, want := range []coappeer.Option{block1(0, true, several), block1(4, true, several)} {
		got := serveStream(t, server, message(coappeer.Continue, "", want))
		one, _ := got.Option(coappeer.Block1)
		assert.Equal(t, want.Value, one)
		received += string(got.Payload)
	}
	last := serveStream(t, server, message(coappeer.Changed, "", block1(8, false, several)))
	assert.Equal(t, body, received+string(last.Payload))
	require.NoError(t, receive(t, c).err)
}

func TestBodyThatFitsGoesInOneMessage(t *testing.T) {
	s, server := acceptStream(t, nil)
	c := start(waitContext(t), s, &Request{Method: MethodPut, Body: randomBytes(4900)})
	got := serveStream(t, server, message(coappeer.Changed, ""))
	assert.Empty(t, got.Options)
	assert.Len(t, got.Payload, 4900)
	require.NoError(t, receive(t, c).err)
}

// A body from a file or another source of a known size is sent as one from memory would be.
func TestSourceThatFitsGoesInOneMessage(t *testing.T) {
	body := randomBytes(100_000)
	path := filepath.Join(t.TempDir(), "body")
	require.NoError(t, os.WriteFile(path, append([]byte("skipped"), body...), 0o600))
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	file.Seek(7, io.SeekStart)
	stat, err := os.Open(path)
	require.NoError(t, err)
	defer stat.Close()
	seeker := bytes.NewReader(append([]byte("skipped"), body...))
	for name, test := range map[string]struct {
		source io.Reader
		want   []byte
	}{
		"file":            {file, body},
		"with Stat alone": {onlyStat{stat}, append([]byte("skipped"), body...)},
		"with Seek alone": {onlySeeker{seeker}, body},
		"with Len alone":  {bytes.NewBuffer(body), body},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "with Seek alone" {
				seeker.Seek(7, io.SeekStart)
			}
			ln := coappeer.ListenTCP(t)
			s := connect(t, nil, ln.Addr(), TCP)
			server := ln.Accept(t)
			server.ExchangeCSM(t, coappeer.Uint(coappeer.MaxMessageSize, 1<<20),
				coappeer.Option{Number: coappeer.BlockWiseTransfer})
			c := start(waitContext(t), s, &Request{Method: MethodPut, Source: test.source})
			got := serveStream(t, server, message(coappeer.Changed, ""))
			assert.Empty(t, got.Options)
			assert.True(t, bytes.Equal(test.want, got.Payload))
			require.NoError(t, receive(t, c).err)
		})
	}
}

type onlyStat struct{ file *os.File }

func (s onlyStat) Read(p []byte) (int, error) { return s.file.Read(p) }
func (s onlyStat) Stat() (os.FileInfo, error) { return s.file.Stat() }

type onlySeeker struct{ io.ReadSeeker }

func TestSourceWithMoreThanItSaid(t *testing.T) {
	body := randomBytes(1500)
	s, server := acceptOneBlock(t)
	c := start(waitContext(t), s, &Request{Method: MethodPut, Source: lying{bytes.NewReader(body)}})
	first := serveStream(t, server, message(coappeer.Continue, "", block1(0, true, 1024)))
	assert.Equal(t, []coappeer.Option{block1(0, true, 1024)}, first.Options, "the size is not known")
	last := serveStream(t, server, message(coappeer.Changed, "", block1(1, false, 1024)))
	assert.True(t, bytes.Equal(body, append(first.Payload, last.Payload...)))
	require.NoError(t, receive(t, c).err)
}

// A lying source has more bytes in the end than it says at first.
type lying struct{ io.Reader }

func (lying) Len() int { return 1000 }
