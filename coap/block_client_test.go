package coap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A turn is a request that a server gets, and its answer.
type turn struct {
	one, two coappeer.Option // Block1 and Block2 of the request; none: it must not have it
	body     int             // length
	answer   coappeer.Message
}

func TestUploadFollowsTheServer(t *testing.T) {
	const code408, code413 = CodeRequestEntityIncomplete, CodeRequestEntityTooLarge
	on := func(options ...coappeer.Option) coappeer.Message {
		return message(coappeer.Continue, "", options...)
	}
	done := func(options ...coappeer.Option) coappeer.Message {
		return message(coappeer.Changed, "", options...)
	}
	restart := []turn{
		{one: block1(0, true, 1024), body: 1024, answer: on(block1(0, true, 1024))},
		{one: block1(1, true, 1024), body: 1024,
			answer: message(coappeer.RequestEntityIncomplete, "", block1(1, false, 1024))},
	}
	for _, test := range []struct {
		name  string
		size  int
		turns []turn
		code  Code
		err   error
	}{
		{"to the end", 2500, []turn{
			{one: block1(0, true, 1024), body: 1024, answer: on(block1(0, true, 1024))},
			{one: block1(1, true, 1024), body: 1024, answer: on(block1(1, true, 1024))},
			{one: block1(2, false, 1024), body: 452, answer: done(block1(2, false, 1024))},
		}, CodeChanged, nil},
		{"to smaller blocks", 1500, []turn{
			{one: block1(0, true, 1024), body: 1024, answer: on(block1(0, true, 256))},
			{one: block1(4, true, 256), body: 256, answer: on(block1(4, true, 256))},
			{one: block1(5, false, 256), body: 220, answer: done(block1(5, false, 256))},
		}, CodeChanged, nil},
		{"that deals with each block alone", 1500, []turn{
			{one: block1(0, true, 1024), body: 1024, answer: done(block1(0, false, 1024))},
			{one: block1(1, false, 1024), body: 476, answer: done(block1(1, false, 1024))},
		}, CodeChanged, nil},
		{"that finds a block too large", 1500, []turn{
			{one: block1(0, true, 1024), body: 1024,
				answer: message(coappeer.RequestEntityTooLarge, "", block1(0, false, 512))},
			{one: block1(0, true, 512), body: 512, answer: on(block1(0, true, 512))},
			{one: block1(1, true, 512), body: 512, answer: on(block1(1, true, 512))},
			{one: block1(2, false, 512), body: 476, answer: done(block1(2, false, 512))},
		}, CodeChanged, nil},
		{"that wants blocks", 100, []turn{
			{body: 100, answer: message(coappeer.RequestEntityTooLarge, "", block1(0, false, 64))},
			{one: block1(0, true, 64), body: 64, answer: on(block1(0, true, 64))},
			{one: block1(1, false, 64), body: 36, answer: done(block1(1, false, 64))},
		}, CodeChanged, nil},
		{"that finds the body too large", 1500, []turn{
			{one: block1(0, true, 1024), body: 1024,
				answer: message(coappeer.RequestEntityTooLarge, "", block1(0, false, 1024))},
		}, code413, nil},
		{"that has enough", 2500, []turn{
			{one: block1(0, true, 1024), body: 1024, answer: on(block1(0, true, 1024))},
			{one: block1(1, true, 1024), body: 1024, answer: message(coappeer.NotFound, "gone")},
		}, CodeNotFound, nil},
		{"that has forgotten", 2500, append(restart, []turn{
			{one: block1(0, true, 1024), body: 1024, answer: on(block1(0, true, 1024))},
			{one: block1(1, true, 1024), body: 1024, answer: on(block1(1, true, 1024))},
			{one: block1(2, false, 1024), body: 452, answer: done(block1(2, false, 1024))},
		}...), CodeChanged, nil},
		{"that always forgets", 2500,
			append(append(append(append([]turn{}, restart...), restart...), restart...), restart...),
			code408, nil},
		{"that goes on after the end", 1500, []turn{
			{one: block1(0, true, 1024), body: 1024, answer: on(block1(0, true, 1024))},
			{one: block1(1, false, 1024), body: 476, answer: on(block1(1, true, 1024))},
		}, 0, ErrBadBlock},
		{"that acknowledges another block", 1500, []turn{
			{one: block1(0, true, 1024), body: 1024, answer: on(block1(1, true, 1024))},
		}, 0, ErrBadBlock},
		{"that acknowledges no block", 1500, []turn{
			{one: block1(0, true, 1024), body: 1024, answer: on()},
		}, 0, ErrBadBlock},
		{"with a reserved size", 1500, []turn{
			{one: block1(0, true, 1024), body: 1024, answer: on(coappeer.Uint(coappeer.Block1, 0x0f))},
		}, 0, ErrBadBlock},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := coappeer.NewUDP(t)
			body := randomBytes(test.size)
			s := connect(t, nil, server.Addr(), UDP)
			c := start(waitContext(t), s, &Request{Method: MethodPut, Body: body})
			got := playServer(t, server, test.turns)
			for _, m := range got {
				if b, ok := m.Block(coappeer.Block1); ok {
					assert.Equal(t, body[int(b.Num)*b.Size():][:len(m.Payload)], m.Payload)
					size, has := m.Uint(coappeer.Size1)
					assert.Equal(t, b.Num == 0, has)
					assert.True(t, !has || int(size) == test.size)
				}
			}
			outcome := receive(t, c)
			if test.err != nil {
				assert.ErrorIs(t, outcome.err, test.err)
				return
			}
			require.NoError(t, outcome.err)
			assert.Equal(t, test.code, outcome.Code)
		})
	}
}

// playServer has a server answer requests, and returns them.
func playServer(t *testing.T, server *coappeer.UDP, turns []turn) (got []coappeer.Message) {
	t.Helper()
	for i, turn := range turns {
		m := serve(t, server, turn.answer)
		one, has1 := m.Option(coappeer.Block1)
		two, has2 := m.Option(coappeer.Block2)
		require.Equal(t, turn.one.Number != 0, has1, "Block1 of request %d", i)
		require.Equal(t, turn.two.Number != 0, has2, "Block2 of request %d", i)
		require.Equal(t, turn.one.Value, one, "Block1 of request %d", i)
		require.Equal(t, turn.two.Value, two, "Block2 of request %d", i)
		require.Len(t, m.Payload, turn.body)
		got = append(got, m.Message)
	}
	return got
}

func TestDownloadFollowsTheServer(t *testing.T) {
	content := func(body string, tag string, options ...coappeer.Option) coappeer.Message {
		if tag != "" {
			options = append(options, coappeer.String(coappeer.ETag, tag))
		}
		return message(coappeer.Content, body, options...)
	}
	a, z := kilobyte[:64], strings.Repeat("z", 64)
	for _, test := range []struct {
		name  string
		turns []turn
		code  Code
		body  string
		err   error
	}{
		{"to the end", []turn{
			{answer: content(a, "1", block2(0, true, 64))},
			{two: block2(1, false, 64), answer: content(z, "1", block2(1, true, 64))},
			{two: block2(2, false, 64), answer: content("!", "1", block2(2, false, 64))},
		}, CodeContent, a + z + "!", nil},
		{"to smaller blocks", []turn{
			{answer: content(a, "", block2(0, true, 64))},
			{two: block2(1, false, 64), answer: content(z[:16], "", block2(4, true, 16))},
			{two: block2(5, false, 16), answer: content("!", "", block2(5, false, 16))},
		}, CodeContent, a + z[:16] + "!", nil},
		{"that says that it is one block", []turn{
			{answer: content(a, "", block2(0, false, 1024))},
		}, CodeContent, a, nil},
		{"to an empty last block", []turn{
			{answer: content(a, "", block2(0, true, 64))},
			{two: block2(1, false, 64), answer: content("", "", block2(1, false, 64))},
		}, CodeContent, a, nil},
		{"to a changed body", []turn{
			{answer: content(a, "1", block2(0, true, 64))},
			{two: block2(1, false, 64), answer: content(z, "2", block2(1, true, 64))},
			{two: block2(0, false, 64), answer: content(z, "2", block2(0, true, 64))},
			{two: block2(1, false, 64), answer: content("!", "2", block2(1, false, 64))},
		}, CodeContent, z + "!", nil},
		{"to a body that fits now", []turn{
			{answer: content(a, "1", block2(0, true, 64))},
			{two: block2(1, false, 64), answer: content(z, "2", block2(1, true, 64))},
			{two: block2(0, false, 64), answer: content("small", "3")},
		}, CodeContent, "small", nil},
		{"whose body always changes", []turn{
			{answer: content(a, "1", block2(0, true, 64))},
			{two: block2(1, false, 64), answer: content(z, "2", block2(1, true, 64))},
			{two: block2(0, false, 64), answer: content(a, "3", block2(0, true, 64))},
			{two: block2(1, false, 64), answer: content(z, "", block2(1, true, 64))},
			{two: block2(0, false, 64), answer: content(a, "5", block2(0, true, 64))},
			{two: block2(1, false, 64), answer: content(z, "6", block2(1, true, 64))},
			{two: block2(0, false, 64), answer: content(a, "7", block2(0, true, 64))},
			{two: block2(1, false, 64), answer: content(z, "8", block2(1, true, 64))},
		}, 0, "", ErrBodyChanged},
		{"that has an error in the middle", []turn{
			{answer: content(a, "1", block2(0, true, 64))},
			{two: block2(1, false, 64), answer: message(coappeer.NotFound, "gone")},
		}, CodeNotFound, "gone", nil},
		{"that sends the block after next", []turn{
			{answer: content(a, "1", block2(0, true, 64))},
			{two: block2(1, false, 64), answer: content(z, "1", block2(2, true, 64))},
		}, 0, "", ErrBadBlock},
		{"that sends a block again", []turn{
			{answer: content(a, "1", block2(0, true, 64))},
			{two: block2(1, false, 64), answer: content(a, "1", block2(0, true, 64))},
		}, 0, "", ErrBadBlock},
		{"that does not begin at the start", []turn{
			{answer: content(a, "1", block2(1, true, 64))},
		}, 0, "", ErrBadBlock},
		{"that sends no block", []turn{
			{answer: content(a, "1", block2(0, true, 64))},
			{two: block2(1, false, 64), answer: content(a, "1")},
		}, 0, "", ErrBadBlock},
		{"with a short block", []turn{
			{answer: content("short", "1", block2(0, true, 64))},
		}, 0, "", ErrBadBlock},
		{"with a long block", []turn{
			{answer: content(a+"1", "1", block2(0, true, 64))},
		}, 0, "", ErrBadBlock},
		{"with a long last block", []turn{
			{answer: content(a+"1", "1", block2(0, false, 64))},
		}, 0, "", ErrBadBlock},
		{"with larger blocks", []turn{
			{answer: content(a, "1", block2(0, true, 64))},
			{two: block2(1, false, 64), answer: content(z, "1", block2(1, true, 64))},
			{two: block2(2, false, 64), answer: content(z+z, "1", block2(1, true, 128))},
		}, 0, "", ErrBadBlock},
		{"with a reserved size", []turn{
			{answer: content(a, "1", coappeer.Uint(coappeer.Block2, 0x0f))},
		}, 0, "", ErrBadBlock},
		{"to a body that is announced as too large", []turn{
			{answer: content(a, "1", block2(0, true, 64), coappeer.Uint(coappeer.Size2, 1<<16))},
		}, 0, "", ErrBodyTooLarge},
		{"to a body that gets too large", []turn{
			{answer: content(kilobyte, "1", block2(0, true, 1024))},
			{two: block2(1, false, 1024), answer: content(kilobyte, "1", block2(1, true, 1024))},
			{two: block2(2, false, 1024), answer: content("1", "1", block2(2, false, 1024))},
		}, 0, "", ErrBodyTooLarge},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := coappeer.NewUDP(t)
			s := connect(t, &Config{MaxBody: 2048}, server.Addr(), UDP)
			c := start(waitContext(t),
				s, &Request{Method: MethodGet, Options: Options{{OptionURIPath, []byte("x")}}})
			for _, m := range playServer(t, server, test.turns) {
				assert.Equal(t, coappeer.String(coappeer.URIPath, "x"), m.Options[0],
					"each request has the options of the first")
			}
			outcome := receive(t, c)
			if test.err != nil {
				assert.ErrorIs(t, outcome.err, test.err)
				return
			}
			require.NoError(t, outcome.err)
			assert.Equal(t, test.code, outcome.Code)
			assert.Equal(t, test.body, string(outcome.Body))
		})
	}
}

func TestPostWhoseResponseChangesIsNotRepeated(t *testing.T) {
	server := coappeer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	c := start(waitContext(t), s, &Request{Method: MethodPost})
	serve(t, server,
		message(coappeer.Changed, kilobyte, coappeer.String(coappeer.ETag, "1"), block2(0, true, 1024)))
	serve(t, server,
		message(coappeer.Changed, kilobyte, coappeer.String(coappeer.ETag, "2"), block2(1, true, 1024)))
	assert.ErrorIs(t, receive(t, c).err, ErrBodyChanged)
}

func TestSmallBlockSizeIsAskedFor(t *testing.T) {
	server := coappeer.NewUDP(t)
	s := connect(t, &Config{BlockSize: 100}, server.Addr(), UDP)
	c := start(waitContext(t), s, &Request{Method: MethodPost, Body: []byte(kilobyte[:100])})
	playServer(t, server, []turn{
		{one: block1(0, true, 64), body: 64, answer: message(coappeer.Continue, "", block1(0, true, 64))},
		{one: block1(1, false, 64), two: block2(0, false, 64), body: 36,
			answer: message(coappeer.Changed, kilobyte[:64], block1(1, false, 64), block2(0, true, 64))},
		{two: block2(1, false, 64), answer: message(coappeer.Changed, "end", block2(1, false, 64))},
	})
	outcome := receive(t, c)
	require.NoError(t, outcome.err)
	assert.Equal(t, kilobyte[:64]+"end", string(outcome.Body))
	assert.Empty(t, outcome.Options)
}

func TestLargestBlockSizeIsAskedForWhereItIsSet(t *testing.T) {
	server := coappeer.NewUDP(t)
	s := connect(t, &Config{BlockSize: 1024}, server.Addr(), UDP)
	c := start(waitContext(t), s, &Request{Method: MethodGet})
	playServer(t, server,
		[]turn{{two: block2(0, false, 1024), answer: message(coappeer.Content, "all")}})
	outcome := receive(t, c)
	require.NoError(t, outcome.err)
	assert.Equal(t, "all", string(outcome.Body))
}

func TestOwnBlockOptionsAreOneExchange(t *testing.T) {
	server := coappeer.NewUDP(t)
	s := connect(t, &Config{BlockSize: 16}, server.Addr(), UDP)
	r := &Request{Method: MethodPut, Body: []byte(kilobyte[:64]),
		Options: Options{{OptionBlock1, block1(3, true, 64).Value}}}
	c := start(waitContext(t), s, r)
	got := serve(t, server,
		message(coappeer.Continue, kilobyte[:16], block1(3, true, 64), block2(0, true, 16)))
	assert.Equal(t, message(coappeer.PUT, kilobyte[:64], block1(3, true, 64)), said(got.Message))
	outcome := receive(t, c)
	require.NoError(t, outcome.err)
	assert.Equal(t, &Response{
		Code: CodeContinue,
		Options: Options{{OptionBlock2, block2(0, true, 16).Value},
			{OptionBlock1, block1(3, true, 64).Value}},
		Body: []byte(kilobyte[:16]),
	}, outcome.Response)

	r.Sink = io.Discard
	_, err := s.Do(waitContext(t), r)
	assert.ErrorContains(t, err, "block options of its own")
}

func TestTransfersAtTheSameTimeAreTagged(t *testing.T) {
	server := coappeer.NewUDP(t)
	s := connect(t, &Config{NSTART: 4}, server.Addr(), UDP)
	big := &Request{Method: MethodPut, Body: randomBytes(1500)}
	tag := func(m coappeer.Received) string {
		tag, _ := m.Option(coappeer.RequestTag)
		return string(tag)
	}
	first := start(waitContext(t), s, big)
	assert.Equal(t, "", tag(serve(t, server, message(coappeer.Continue, "", block1(0, true, 1024)))))
	lastOfFirst := server.Receive(t)
	second := start(waitContext(t), s, big)
	assert.Equal(t, "\x01",
		tag(serve(t, server, message(coappeer.Continue, "", block1(0, true, 1024)))))
	assert.Equal(t, "\x01", tag(serve(t, server, message(coappeer.Changed, ""))))
	require.NoError(t, receive(t, second).err)
	server.Send(lastOfFirst.From, lastOfFirst.Respond(coappeer.Changed, nil))
	require.NoError(t, receive(t, first).err)
	third := start(waitContext(t), s, big)
	assert.Equal(t, "", tag(serve(t, server, message(coappeer.Changed, ""))))
	require.NoError(t, receive(t, third).err)
}

// Only the first request for a body of blocks says what it is.
func TestLargeResponsesToRequestsAtTheSameTimeDoNotMix(t *testing.T) {
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		addr := listen(t, nil, proto,
			HandlerFunc(func(w ResponseWriter, r *Request) { w.Write(bytes.Repeat(r.Body, 3000)) }))
		s := connect(t, &Config{NSTART: 4, MTU: 1152}, addr, proto)
		errs := make(chan error, 4)
		for i := range 4 {
			go func() {
				for range 20 {
					r, err := s.Post(waitContext(t), "/", TextPlain, []byte{byte('a' + i)})
					if err == nil && !bytes.Equal(r.Body, bytes.Repeat([]byte{byte('a' + i)}, 3000)) {
						err = errors.New("the body of another response")
					}
					if err != nil {
						errs <- err
						return
					}
				}
				errs <- nil
			}()
		}
		for range cap(errs) {
			assert.NoError(t, receive(t, errs))
		}
	})
}

func TestLostBlocksAreSentAgain(t *testing.T) {
	t.Parallel()
	server := coappeer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	c := start(waitContext(t), s, &Request{Method: MethodPut, Body: randomBytes(1500)})
	lost := server.Receive(t)
	goOn := message(coappeer.Continue, "", block1(0, true, 1024))
	assert.Equal(t, lost.Message, serve(t, server, goOn).Message)
	m := server.Receive(t)
	changed := m.Respond(coappeer.Changed, nil)
	server.Send(m.From, respond(lost, goOn)) // a duplicate
	server.Send(m.From, changed, changed)
	outcome := receive(t, c)
	require.NoError(t, outcome.err)
	assert.Equal(t, CodeChanged, outcome.Code)
}

// onlyReader hides what else a reader can do.
type onlyReader struct{ io.Reader }

func TestBodiesAreStreamed(t *testing.T) {
	for _, proto := range unsecuredProtocols {
		for _, size := range []int{0, 1, 1024, 5000, 100_000} {
			for name, source := range map[string]func([]byte) io.Reader{
				"of a known size":    func(b []byte) io.Reader { return bytes.NewReader(b) },
				"of an unknown size": func(b []byte) io.Reader { return onlyReader{bytes.NewReader(b)} },
			} {
				t.Run(proto.String()+" "+name, func(t *testing.T) {
					s := serveTo(t, proto, nil, &Config{MaxBody: 1}, echo)
					var sink bytes.Buffer
					var last Progress
					calls := 0
					body := randomBytes(size)
					r, err := s.Do(waitContext(t), &Request{
						Method: MethodPost, Source: source(body), Sink: &sink,
						OnProgress: func(p Progress) {
							assert.GreaterOrEqual(t, p.Sent, last.Sent)
							assert.GreaterOrEqual(t, p.Received, last.Received)
							last = p
							calls++
						},
					})
					require.NoError(t, err)
					assert.Empty(t, r.Body)
					assert.True(t, bytes.Equal(body, sink.Bytes()))
					n := int64(size)
					assert.Equal(t, Progress{Sent: n, SendTotal: n, Received: n, ReceiveTotal: n}, last)
					if proto == UDP {
						blocks := max(1, (size+1023)/1024)
						assert.Equal(t, 2*blocks-1, calls,
							"once for each block, the last ones of both bodies together")
					}
				})
			}
		}
	}
}

func TestErrorsAreNotForTheSink(t *testing.T) {
	s := serveTo(t, UDP, nil, nil, func(w ResponseWriter, r *Request) {
		w.SetCode(CodeNotFound)
		w.Write([]byte(kilobyte + "end"))
	})
	var sink bytes.Buffer
	r, err := s.Do(waitContext(t), &Request{Method: MethodGet, Sink: &sink})
	require.NoError(t, err)
	assert.Equal(t, kilobyte+"end", string(r.Body))
	assert.Zero(t, sink.Len())
}

type failing struct {
	after int
	err   error
}

func (f *failing) step(n int) error {
	if f.after -= n; f.after < 0 {
		return f.err
	}
	return nil
}

func (f *failing) Read(p []byte) (int, error)  { return len(p), f.step(len(p)) }
func (f *failing) Write(p []byte) (int, error) { return len(p), f.step(len(p)) }

func TestFailingStreamsEndTheTransfer(t *testing.T) {
	broken := errors.New("broken")
	s := serveTo(t, UDP, nil, nil, func(w ResponseWriter, r *Request) { w.Write(randomBytes(5000)) })
	_, err := s.Do(waitContext(t), &Request{Method: MethodPut, Source: &failing{3000, broken}})
	assert.ErrorIs(t, err, broken)
	_, err = s.Do(waitContext(t), &Request{Method: MethodGet, Sink: &failing{3000, broken}})
	assert.ErrorIs(t, err, broken)
	ctx, cancel := context.WithCancel(waitContext(t))
	_, err = s.Do(ctx, &Request{Method: MethodGet, OnProgress: func(p Progress) {
		if p.Received > 2000 {
			cancel()
		}
	}})
	assert.ErrorIs(t, err, context.Canceled)
	r, err := s.Do(waitContext(t), &Request{Method: MethodGet})
	require.NoError(t, err, "the session goes on")
	assert.Len(t, r.Body, 5000)
}

func TestChangeAfterTheSinkGotSomething(t *testing.T) {
	server := coappeer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	var sink bytes.Buffer
	c := start(waitContext(t), s, &Request{Method: MethodGet, Sink: &sink})
	serve(t, server,
		message(coappeer.Content, kilobyte, coappeer.String(coappeer.ETag, "1"), block2(0, true, 1024)))
	serve(t, server,
		message(coappeer.Content, kilobyte, coappeer.String(coappeer.ETag, "2"), block2(1, true, 1024)))
	assert.ErrorIs(t, receive(t, c).err, ErrBodyChanged)
	assert.Equal(t, kilobyte, sink.String())
}

func TestRestartNeedsASourceThatSeeks(t *testing.T) {
	body := randomBytes(2000)
	for name, test := range map[string]struct {
		source func() io.Reader
		code   Code
	}{
		"seeker": {func() io.Reader {
			r := bytes.NewReader(append([]byte("skipped"), body...))
			r.Seek(7, io.SeekStart)
			return r
		}, CodeChanged},
		"reader": {func() io.Reader { return onlyReader{bytes.NewReader(body)} },
			CodeRequestEntityIncomplete},
	} {
		t.Run(name, func(t *testing.T) {
			server := coappeer.NewUDP(t)
			s := connect(t, nil, server.Addr(), UDP)
			c := start(waitContext(t), s, &Request{Method: MethodPut, Source: test.source()})
			serve(t, server, message(coappeer.Continue, "", block1(0, true, 1024)))
			serve(t, server, message(coappeer.RequestEntityIncomplete, ""))
			if test.code == CodeChanged {
				assert.Equal(t, body[:1024],
					serve(t, server, message(coappeer.Continue, "", block1(0, true, 1024))).Payload)
				assert.Equal(t, body[1024:], serve(t, server, message(coappeer.Changed, "")).Payload)
			}
			outcome := receive(t, c)
			require.NoError(t, outcome.err)
			assert.Equal(t, test.code, outcome.Code)
		})
	}
}

func TestBodyWithMoreBlocksThanNumbersIsNotSent(t *testing.T) {
	server := coappeer.NewUDP(t)
	s := connect(t, &Config{BlockSize: 16}, server.Addr(), UDP)
	_, err := s.Do(waitContext(t), &Request{Method: MethodPut, Body: make([]byte, 16<<20+1)})
	assert.ErrorIs(t, err, ErrBodyTooLarge)
}

func TestManyTransfersAtOnceDoNotMix(t *testing.T) {
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		config := &Config{MTU: 1100, NSTART: 8}
		s := serveTo(t, proto, config, config, echo)
		var group sync.WaitGroup
		for i := range 8 {
			group.Add(1)
			go func() {
				defer group.Done()
				for j := range 10 {
					body := randomBytes(10_000 + 100*i + j)
					r, err := s.Do(waitContext(t), &Request{Method: MethodPost, Body: body})
					if assert.NoError(t, err) {
						assert.Equal(t, CodeChanged, r.Code)
						assert.True(t, bytes.Equal(body, r.Body))
					}
				}
			}()
		}
		group.Wait()
	})
}

func TestBlocksOfABodyHaveOneToken(t *testing.T) {
	if ccoap.TokenIsOfOneMessage {
		return // see TestBodiesSurviveLossAndReordering
	}
	for _, source := range []bool{false, true} {
		t.Run(fmt.Sprintf("source %v", source), func(t *testing.T) {
			server := coappeer.NewUDP(t)
			s := connect(t, nil, server.Addr(), UDP)
			r := &Request{Method: MethodPut}
			if source {
				r.Source = bytes.NewReader(randomBytes(3000))
			} else {
				r.Body = randomBytes(3000)
			}
			c := start(waitContext(t), s, r)
			var last coappeer.Message
			for i := range 3 {
				m := server.Receive(t)
				b, ok := m.Block(coappeer.Block1)
				require.True(t, ok)
				require.EqualValues(t, i, b.Num)
				code := coappeer.Continue
				if i == 2 {
					code = coappeer.Changed
				}
				server.Send(m.From, m.Acknowledge())
				if i > 0 { // what was lost on its way comes late
					assert.Equal(t, last.Token, m.Token)
					server.Send(m.From, last)
					server.ExpectReply(t, coappeer.ACK, coappeer.Empty, last.ID)
					again := server.Expect(t, coappeer.CON, coappeer.PUT)
					assert.Equal(t, m.Options, again.Options)
					assert.NotEqual(t, m.ID, again.ID)
					m = again
					server.Send(m.From, m.Acknowledge())
				}
				last = m.Separate(coappeer.CON, uint16(100+i), code, nil, b.Option(coappeer.Block1))
				server.Send(m.From, last)
				server.ExpectReply(t, coappeer.ACK, coappeer.Empty, last.ID)
				last.ID += 50
			}
			got := receive(t, c)
			require.NoError(t, got.err)
			assert.Equal(t, CodeChanged, got.Code)
		})
	}
}
