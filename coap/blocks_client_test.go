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

	peer "github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

func reply(code Code, body string) wireBlock { return wireBlock{code: code, body: body} }

// A turn is a request that a server gets, and its answer.
type turn struct {
	one, two []byte // options of the request; nil: it must not have it
	body     int    // length
	answer   wireBlock
}

func TestUploadFollowsTheServer(t *testing.T) {
	const code408, code413 = CodeRequestEntityIncomplete, CodeRequestEntityTooLarge
	block, on, done := testBlock, reply(CodeContinue, ""), reply(CodeChanged, "")
	restart := []turn{
		{one: block(0, true, 1024), body: 1024, answer: on.one(0, true, 1024)},
		{one: block(1, true, 1024), body: 1024, answer: reply(code408, "").one(1, false, 1024)},
	}
	for _, test := range []struct {
		name  string
		size  int
		turns []turn
		code  Code
		err   error
	}{
		{"to the end", 2500, []turn{
			{one: block(0, true, 1024), body: 1024, answer: on.one(0, true, 1024)},
			{one: block(1, true, 1024), body: 1024, answer: on.one(1, true, 1024)},
			{one: block(2, false, 1024), body: 452, answer: done.one(2, false, 1024)},
		}, CodeChanged, nil},
		{"to smaller blocks", 1500, []turn{
			{one: block(0, true, 1024), body: 1024, answer: on.one(0, true, 256)},
			{one: block(4, true, 256), body: 256, answer: on.one(4, true, 256)},
			{one: block(5, false, 256), body: 220, answer: done.one(5, false, 256)},
		}, CodeChanged, nil},
		{"that deals with each block alone", 1500, []turn{
			{one: block(0, true, 1024), body: 1024, answer: done.one(0, false, 1024)},
			{one: block(1, false, 1024), body: 476, answer: done.one(1, false, 1024)},
		}, CodeChanged, nil},
		{"that finds a block too large", 1500, []turn{
			{one: block(0, true, 1024), body: 1024, answer: reply(code413, "").one(0, false, 512)},
			{one: block(0, true, 512), body: 512, answer: on.one(0, true, 512)},
			{one: block(1, true, 512), body: 512, answer: on.one(1, true, 512)},
			{one: block(2, false, 512), body: 476, answer: done.one(2, false, 512)},
		}, CodeChanged, nil},
		{"that wants blocks", 100, []turn{
			{body: 100, answer: reply(code413, "").one(0, false, 64)},
			{one: block(0, true, 64), body: 64, answer: on.one(0, true, 64)},
			{one: block(1, false, 64), body: 36, answer: done.one(1, false, 64)},
		}, CodeChanged, nil},
		{"that finds the body too large", 1500, []turn{
			{one: block(0, true, 1024), body: 1024, answer: reply(code413, "").one(0, false, 1024)},
		}, code413, nil},
		{"that has enough", 2500, []turn{
			{one: block(0, true, 1024), body: 1024, answer: on.one(0, true, 1024)},
			{one: block(1, true, 1024), body: 1024, answer: reply(CodeNotFound, "gone")},
		}, CodeNotFound, nil},
		{"that has forgotten", 2500, append(restart, []turn{
			{one: block(0, true, 1024), body: 1024, answer: on.one(0, true, 1024)},
			{one: block(1, true, 1024), body: 1024, answer: on.one(1, true, 1024)},
			{one: block(2, false, 1024), body: 452, answer: done.one(2, false, 1024)},
		}...), CodeChanged, nil},
		{"that always forgets", 2500, append(append(append(append([]turn{}, restart...), restart...), restart...), restart...), code408, nil},
		{"that goes on after the end", 1500, []turn{
			{one: block(0, true, 1024), body: 1024, answer: on.one(0, true, 1024)},
			{one: block(1, false, 1024), body: 476, answer: on.one(1, true, 1024)},
		}, 0, ErrBadBlock},
		{"that acknowledges another block", 1500, []turn{
			{one: block(0, true, 1024), body: 1024, answer: on.one(1, true, 1024)},
		}, 0, ErrBadBlock},
		{"that acknowledges no block", 1500, []turn{
			{one: block(0, true, 1024), body: 1024, answer: on},
		}, 0, ErrBadBlock},
		{"with a reserved size", 1500, []turn{
			{one: block(0, true, 1024), body: 1024, answer: on.with(OptionBlock1, []byte{0x0f})},
		}, 0, ErrBadBlock},
	} {
		t.Run(test.name, func(t *testing.T) {
			peer := newRawPeer(t)
			body := randomBytes(test.size)
			s := connect(t, nil, peer.addr, UDP)
			c := start(waitContext(t), s, &Request{Method: MethodPut, Body: body})
			got := playServer(t, peer, test.turns)
			for _, m := range got {
				if one, ok := m.options.Get(OptionBlock1); ok {
					b, err := parseBlock(one)
					require.NoError(t, err)
					assert.Equal(t, string(body[b.offset():][:len(m.body)]), m.body)
					size, has := m.options.Get(OptionSize1)
					assert.Equal(t, b.num == 0, has)
					assert.True(t, !has || int(parseUint(size)) == test.size)
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
func playServer(t *testing.T, peer *rawPeer, turns []turn) (got []wireBlock) {
	t.Helper()
	for i, turn := range turns {
		m := peer.serve(t, turn.answer)
		one, has1 := m.options.Get(OptionBlock1)
		two, has2 := m.options.Get(OptionBlock2)
		require.Equal(t, turn.one != nil, has1, "Block1 of request %d", i)
		require.Equal(t, turn.two != nil, has2, "Block2 of request %d", i)
		require.True(t, bytes.Equal(turn.one, one), "Block1 of request %d is %x, not %x", i, one, turn.one)
		require.True(t, bytes.Equal(turn.two, two), "Block2 of request %d is %x, not %x", i, two, turn.two)
		require.Len(t, m.body, turn.body)
		got = append(got, m)
	}
	return got
}

func TestDownloadFollowsTheServer(t *testing.T) {
	block, content := testBlock, func(body string, tag string) wireBlock {
		b := reply(CodeContent, body)
		if tag != "" {
			b = b.with(OptionETag, []byte(tag))
		}
		return b
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
			{answer: content(a, "1").two(0, true, 64)},
			{two: block(1, false, 64), answer: content(z, "1").two(1, true, 64)},
			{two: block(2, false, 64), answer: content("!", "1").two(2, false, 64)},
		}, CodeContent, a + z + "!", nil},
		{"to smaller blocks", []turn{
			{answer: content(a, "").two(0, true, 64)},
			{two: block(1, false, 64), answer: content(z[:16], "").two(4, true, 16)},
			{two: block(5, false, 16), answer: content("!", "").two(5, false, 16)},
		}, CodeContent, a + z[:16] + "!", nil},
		{"that says that it is one block", []turn{
			{answer: content(a, "").two(0, false, 1024)},
		}, CodeContent, a, nil},
		{"to an empty last block", []turn{
			{answer: content(a, "").two(0, true, 64)},
			{two: block(1, false, 64), answer: content("", "").two(1, false, 64)},
		}, CodeContent, a, nil},
		{"to a changed body", []turn{
			{answer: content(a, "1").two(0, true, 64)},
			{two: block(1, false, 64), answer: content(z, "2").two(1, true, 64)},
			{two: block(0, false, 64), answer: content(z, "2").two(0, true, 64)},
			{two: block(1, false, 64), answer: content("!", "2").two(1, false, 64)},
		}, CodeContent, z + "!", nil},
		{"to a body that fits now", []turn{
			{answer: content(a, "1").two(0, true, 64)},
			{two: block(1, false, 64), answer: content(z, "2").two(1, true, 64)},
			{two: block(0, false, 64), answer: content("small", "3")},
		}, CodeContent, "small", nil},
		{"whose body always changes", []turn{
			{answer: content(a, "1").two(0, true, 64)},
			{two: block(1, false, 64), answer: content(z, "2").two(1, true, 64)},
			{two: block(0, false, 64), answer: content(a, "3").two(0, true, 64)},
			{two: block(1, false, 64), answer: content(z, "").two(1, true, 64)},
			{two: block(0, false, 64), answer: content(a, "5").two(0, true, 64)},
			{two: block(1, false, 64), answer: content(z, "6").two(1, true, 64)},
			{two: block(0, false, 64), answer: content(a, "7").two(0, true, 64)},
			{two: block(1, false, 64), answer: content(z, "8").two(1, true, 64)},
		}, 0, "", ErrBodyChanged},
		{"that has an error in the middle", []turn{
			{answer: content(a, "1").two(0, true, 64)},
			{two: block(1, false, 64), answer: reply(CodeNotFound, "gone")},
		}, CodeNotFound, "gone", nil},
		{"that sends the block after next", []turn{
			{answer: content(a, "1").two(0, true, 64)},
			{two: block(1, false, 64), answer: content(z, "1").two(2, true, 64)},
		}, 0, "", ErrBadBlock},
		{"that sends a block again", []turn{
			{answer: content(a, "1").two(0, true, 64)},
			{two: block(1, false, 64), answer: content(a, "1").two(0, true, 64)},
		}, 0, "", ErrBadBlock},
		{"that does not begin at the start", []turn{
			{answer: content(a, "1").two(1, true, 64)},
		}, 0, "", ErrBadBlock},
		{"that sends no block", []turn{
			{answer: content(a, "1").two(0, true, 64)},
			{two: block(1, false, 64), answer: content(a, "1")},
		}, 0, "", ErrBadBlock},
		{"with a short block", []turn{
			{answer: content("short", "1").two(0, true, 64)},
		}, 0, "", ErrBadBlock},
		{"with a long block", []turn{
			{answer: content(a+"1", "1").two(0, true, 64)},
		}, 0, "", ErrBadBlock},
		{"with a long last block", []turn{
			{answer: content(a+"1", "1").two(0, false, 64)},
		}, 0, "", ErrBadBlock},
		{"with larger blocks", []turn{
			{answer: content(a, "1").two(0, true, 64)},
			{two: block(1, false, 64), answer: content(z, "1").two(1, true, 64)},
			{two: block(2, false, 64), answer: content(z+z, "1").two(1, true, 128)},
		}, 0, "", ErrBadBlock},
		{"with a reserved size", []turn{
			{answer: content(a, "1").with(OptionBlock2, []byte{0x0f})},
		}, 0, "", ErrBadBlock},
		{"to a body that is announced as too large", []turn{
			{answer: content(a, "1").two(0, true, 64).with(OptionSize2, []byte{1, 0, 0})},
		}, 0, "", ErrBodyTooLarge},
		{"to a body that gets too large", []turn{
			{answer: content(kilobyte, "1").two(0, true, 1024)},
			{two: block(1, false, 1024), answer: content(kilobyte, "1").two(1, true, 1024)},
			{two: block(2, false, 1024), answer: content("1", "1").two(2, false, 1024)},
		}, 0, "", ErrBodyTooLarge},
	} {
		t.Run(test.name, func(t *testing.T) {
			peer := newRawPeer(t)
			s := connect(t, &Config{MaxBody: 2048}, peer.addr, UDP)
			path := Option{OptionURIPath, []byte("x")}
			c := start(waitContext(t), s, &Request{Method: MethodGet, Options: Options{path}})
			for _, m := range playServer(t, peer, test.turns) {
				assert.Equal(t, path, m.options[0], "each request has the options of the first")
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
	peer := newRawPeer(t)
	s := connect(t, nil, peer.addr, UDP)
	c := start(waitContext(t), s, &Request{Method: MethodPost})
	peer.serve(t, reply(CodeChanged, kilobyte).with(OptionETag, []byte("1")).two(0, true, 1024))
	peer.serve(t, reply(CodeChanged, kilobyte).with(OptionETag, []byte("2")).two(1, true, 1024))
	assert.ErrorIs(t, receive(t, c).err, ErrBodyChanged)
}

func TestSmallBlockSizeIsAskedFor(t *testing.T) {
	peer := newRawPeer(t)
	s := connect(t, &Config{BlockSize: 100}, peer.addr, UDP)
	c := start(waitContext(t), s, &Request{Method: MethodPost, Body: []byte(kilobyte[:100])})
	playServer(t, peer, []turn{
		{one: testBlock(0, true, 64), body: 64, answer: reply(CodeContinue, "").one(0, true, 64)},
		{one: testBlock(1, false, 64), two: testBlock(0, false, 64), body: 36, answer: reply(CodeChanged, kilobyte[:64]).one(1, false, 64).two(0, true, 64)},
		{two: testBlock(1, false, 64), answer: reply(CodeChanged, "end").two(1, false, 64)},
	})
	outcome := receive(t, c)
	require.NoError(t, outcome.err)
	assert.Equal(t, kilobyte[:64]+"end", string(outcome.Body))
	assert.Empty(t, outcome.Options)
}

func TestOwnBlockOptionsAreOneExchange(t *testing.T) {
	peer := newRawPeer(t)
	s := connect(t, &Config{BlockSize: 16}, peer.addr, UDP)
	r := &Request{Method: MethodPut, Body: []byte(kilobyte[:64]), Options: Options{{OptionBlock1, testBlock(3, true, 64)}}}
	c := start(waitContext(t), s, r)
	answer := reply(CodeContinue, kilobyte[:16]).one(3, true, 64).two(0, true, 16)
	got := peer.serve(t, answer)
	assert.Equal(t, wireBlock{MethodPut, r.Options, string(r.Body)}, got)
	outcome := receive(t, c)
	require.NoError(t, outcome.err)
	assert.Equal(t, &Response{Code: answer.code, Options: answer.options, Body: []byte(answer.body)}, outcome.Response)

	r.Sink = io.Discard
	_, err := s.Do(waitContext(t), r)
	assert.ErrorContains(t, err, "block options of its own")
}

func TestTransfersAtTheSameTimeAreTagged(t *testing.T) {
	peer := newRawPeer(t)
	s := connect(t, &Config{NSTART: 4}, peer.addr, UDP)
	big := &Request{Method: MethodPut, Body: randomBytes(1500)}
	tag := func(m wireBlock) string {
		tag, _ := m.options.Get(OptionRequestTag)
		return string(tag)
	}
	first := start(waitContext(t), s, big)
	assert.Equal(t, "", tag(peer.serve(t, reply(CodeContinue, "").one(0, true, 1024))))
	lastOfFirst := peer.next(t)
	second := start(waitContext(t), s, big)
	assert.Equal(t, "\x01", tag(peer.serve(t, reply(CodeContinue, "").one(0, true, 1024))))
	assert.Equal(t, "\x01", tag(peer.serve(t, reply(CodeChanged, ""))))
	require.NoError(t, receive(t, second).err)
	done := reply(CodeChanged, "")
	peer.send(t, rawMessage{wireACK, byte(done.code), lastOfFirst.id, lastOfFirst.token, nil, lastOfFirst.from})
	require.NoError(t, receive(t, first).err)
	third := start(waitContext(t), s, big)
	assert.Equal(t, "", tag(peer.serve(t, reply(CodeChanged, ""))))
	require.NoError(t, receive(t, third).err)
}

func TestLostBlocksAreSentAgain(t *testing.T) {
	t.Parallel()
	peer := newRawPeer(t)
	s := connect(t, nil, peer.addr, UDP)
	c := start(waitContext(t), s, &Request{Method: MethodPut, Body: randomBytes(1500)})
	lost := peer.next(t)
	again := parseWireBlock(t, lost)
	assert.Equal(t, again, peer.serve(t, reply(CodeContinue, "").one(0, true, 1024)))
	m := peer.next(t)
	changed := rawMessage{wireACK, byte(CodeChanged), m.id, m.token, nil, m.from}
	stale := reply(CodeContinue, "").one(0, true, 1024)
	peer.send(t, rawMessage{wireACK, byte(stale.code), lost.id, lost.token, stale.raw(), m.from}) // a duplicate
	peer.send(t, changed)
	peer.send(t, changed)
	outcome := receive(t, c)
	require.NoError(t, outcome.err)
	assert.Equal(t, CodeChanged, outcome.Code)
}

// onlyReader hides what else a reader can do.
type onlyReader struct{ io.Reader }

func TestBodiesAreStreamed(t *testing.T) {
	for _, proto := range []Protocol{UDP, TCP} {
		for _, size := range []int{0, 1, 1024, 5000, 100_000} {
			for name, source := range map[string]func([]byte) io.Reader{
				"of a known size":    func(b []byte) io.Reader { return bytes.NewReader(b) },
				"of an unknown size": func(b []byte) io.Reader { return onlyReader{bytes.NewReader(b)} },
			} {
				t.Run(proto.String()+" "+name, func(t *testing.T) {
					s := serveTo(t, proto, nil, &Config{MaxBody: 1}, func(w ResponseWriter, r *Request) { w.Write(r.Body) })
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
						assert.Equal(t, 2*blocks-1, calls, "once for each block, the last ones of both bodies together")
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
	peer := newRawPeer(t)
	s := connect(t, nil, peer.addr, UDP)
	var sink bytes.Buffer
	c := start(waitContext(t), s, &Request{Method: MethodGet, Sink: &sink})
	peer.serve(t, reply(CodeContent, kilobyte).with(OptionETag, []byte("1")).two(0, true, 1024))
	peer.serve(t, reply(CodeContent, kilobyte).with(OptionETag, []byte("2")).two(1, true, 1024))
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
		"reader": {func() io.Reader { return onlyReader{bytes.NewReader(body)} }, CodeRequestEntityIncomplete},
	} {
		t.Run(name, func(t *testing.T) {
			peer := newRawPeer(t)
			s := connect(t, nil, peer.addr, UDP)
			c := start(waitContext(t), s, &Request{Method: MethodPut, Source: test.source()})
			peer.serve(t, reply(CodeContinue, "").one(0, true, 1024))
			peer.serve(t, reply(CodeRequestEntityIncomplete, ""))
			if test.code == CodeChanged {
				assert.Equal(t, string(body[:1024]), peer.serve(t, reply(CodeContinue, "").one(0, true, 1024)).body)
				assert.Equal(t, string(body[1024:]), peer.serve(t, reply(CodeChanged, "")).body)
			}
			outcome := receive(t, c)
			require.NoError(t, outcome.err)
			assert.Equal(t, test.code, outcome.Code)
		})
	}
}

func TestBodyWithMoreBlocksThanNumbersIsNotSent(t *testing.T) {
	peer := newRawPeer(t)
	s := connect(t, &Config{BlockSize: 16}, peer.addr, UDP)
	_, err := s.Do(waitContext(t), &Request{Method: MethodPut, Body: make([]byte, 16<<20+1)})
	assert.ErrorIs(t, err, ErrBodyTooLarge)
}

func TestManyTransfersAtOnceDoNotMix(t *testing.T) {
	for _, proto := range []Protocol{UDP, TCP} {
		t.Run(proto.String(), func(t *testing.T) {
			config := &Config{MTU: 1100, NSTART: 8}
			s := serveTo(t, proto, config, config, func(w ResponseWriter, r *Request) { w.Write(r.Body) })
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
}

func TestBlocksOfABodyHaveOneToken(t *testing.T) {
	if ccoap.TokenIsOfOneMessage {
		return // see TestBodiesSurviveLossAndReordering
	}
	for _, source := range []bool{false, true} {
		t.Run(fmt.Sprintf("source %v", source), func(t *testing.T) {
			server := peer.NewUDP(t)
			s := connect(t, nil, server.Addr(), UDP)
			r := &Request{Method: MethodPut}
			if source {
				r.Source = bytes.NewReader(randomBytes(3000))
			} else {
				r.Body = randomBytes(3000)
			}
			c := start(waitContext(t), s, r)
			var last peer.Message
			for i := range 3 {
				m := server.Receive(t)
				b, ok := m.Block(peer.Block1)
				require.True(t, ok)
				require.EqualValues(t, i, b.Num)
				code := peer.Continue
				if i == 2 {
					code = peer.Changed
				}
				server.Send(m.From, m.Acknowledge())
				if i > 0 { // what was lost on its way comes late
					assert.Equal(t, last.Token, m.Token)
					server.Send(m.From, last)
					server.ExpectReply(t, peer.ACK, peer.Empty, last.ID)
					again := server.Expect(t, peer.CON, peer.PUT)
					assert.Equal(t, m.Options, again.Options)
					assert.NotEqual(t, m.ID, again.ID)
					m = again
					server.Send(m.From, m.Acknowledge())
				}
				last = m.Separate(peer.CON, uint16(100+i), code, nil, b.Option(peer.Block1))
				server.Send(m.From, last)
				server.ExpectReply(t, peer.ACK, peer.Empty, last.ID)
				last.ID += 50
			}
			got := receive(t, c)
			require.NoError(t, got.err)
			assert.Equal(t, CodeChanged, got.Code)
		})
	}
}
