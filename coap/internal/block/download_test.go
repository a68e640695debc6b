package block

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// content is a part of a body with the ETag "1".
func content(v Value, part string) Part {
	return Part{Code: codeContent, Body: []byte(part), Block: v, HasBlock: true, ETag: []byte("1"),
		HasETag: true}
}

// take asserts which block is to be asked for next.
func take(t testing.TB, d *Download, p Part, want Value) {
	t.Helper()
	next, more, err := d.Add(p)
	require.NoError(t, err)
	require.True(t, more)
	require.Equal(t, want, next)
}

// finish asserts that a part is the last one.
func finish(t testing.TB, d *Download, p Part, body string) {
	t.Helper()
	_, more, err := d.Add(p)
	require.NoError(t, err)
	require.False(t, more)
	require.Equal(t, body, string(d.Body()))
}

func newDownload() *Download {
	d := MakeDownload(nil, 100, true)
	return &d
}

func TestDownloadAsksForWhatFollows(t *testing.T) {
	d := newDownload()
	assert.EqualValues(t, -1, d.Total())
	first := content(Value{0, true, 1}, alphabet[:32])
	first.Size, first.HasSize = 62, true
	take(t, d, first, Value{1, false, 1})
	assert.True(t, d.IsFirst())
	assert.Equal(t, 32, d.Received())
	assert.EqualValues(t, 62, d.Total())
	assert.Equal(t, 62, cap(d.Body()), "made once")
	finish(t, d, content(Value{1, false, 1}, alphabet[32:]), alphabet)
	assert.False(t, d.IsFirst())
	assert.Equal(t, 62, d.Received())
}

func TestBodyInOneMessageIsNotCopied(t *testing.T) {
	for name, p := range map[string]Part{
		"without an option": {Code: codeContent, Body: []byte(alphabet)},
		"with a block":      content(Value{0, false, 6}, alphabet),
		"larger than most":  {Code: codeContent, Body: bytes.Repeat([]byte("x"), 101)},
	} {
		d := newDownload()
		finish(t, d, p, string(p.Body))
		assert.True(t, d.IsFirst(), name)
		assert.Same(t, &p.Body[0], &d.Body()[0], name)
		assert.EqualValues(t, len(p.Body), d.Total(), name)
	}
}

func TestServerMayMakeBlocksSmaller(t *testing.T) {
	d := newDownload()
	take(t, d, content(Value{0, true, 1}, alphabet[:32]), Value{1, false, 1})
	take(t, d, content(Value{2, true, 0}, alphabet[32:48]), Value{3, false, 0})
	finish(t, d, content(Value{3, false, 0}, alphabet[48:]), alphabet)
}

func TestSeveralBlocksInAMessage(t *testing.T) {
	d := MakeDownload(nil, 1<<20, true)
	body := string(bytes.Repeat([]byte(alphabet), 100))
	take(t, &d, content(Value{0, true, BERT}, body[:2048]), Value{2, false, BERT})
	take(t, &d, content(Value{2, true, BERT}, body[2048:5120]), Value{5, false, BERT})
	finish(t, &d, content(Value{5, false, BERT}, body[5120:]), body)
}

func TestBlocksThatWereNotAskedFor(t *testing.T) {
	for name, tc := range map[string]struct {
		before []Part
		part   Part
		text   string
	}{
		"not the first": {nil, content(Value{1, true, 0}, alphabet[:16]),
			"bad block: offset 16 in place of 0"},
		"another one": {first(), content(Value{3, true, 0}, alphabet[:16]),
			"bad block: offset 48 in place of 16"},
		"again": {first(), content(Value{0, true, 0}, alphabet[:16]),
			"bad block: offset 0 in place of 16"},
		"larger": {[]Part{content(Value{0, true, 0}, alphabet[:16]),
			content(Value{1, true, 0}, alphabet[16:32])}, content(Value{1, true, 1}, alphabet[:32]),
			"bad block: larger than asked for"},
		"short": {first(), content(Value{1, true, 0}, "short"),
			"bad block: 5 bytes in a block of 16"},
		"long": {first(), content(Value{1, false, 0}, alphabet[:17]),
			"bad block: 17 bytes in a block of 16"},
		"without option": {first(), Part{Code: codeContent, ETag: []byte("1"), HasETag: true},
			"bad block: none in the response"},
		"long, the first": {nil, content(Value{0, false, 0}, alphabet),
			"bad block: 62 bytes in a block of 16"},
	} {
		d := newDownload()
		for _, p := range tc.before {
			_, more, err := d.Add(p)
			require.NoError(t, err, name)
			require.True(t, more, name)
		}
		_, _, err := d.Add(tc.part)
		assert.ErrorIs(t, err, ErrBad, name)
		assert.EqualError(t, err, tc.text, name)
	}
}

func first() []Part { return []Part{content(Value{0, true, 0}, alphabet[:16])} }

func TestDownloadBeginsAgainWhenTheBodyChanges(t *testing.T) {
	for name, change := range map[string]func(p *Part){
		"another ETag": func(p *Part) { p.ETag = []byte("2") },
		"no ETag":      func(p *Part) { p.ETag, p.HasETag = nil, false },
		"another code": func(p *Part) { p.Code = codeChanged },
	} {
		changed := content(Value{1, false, 0}, "rest")
		change(&changed)
		d := newDownload()
		for range maxRestarts {
			take(t, d, first()[0], Value{1, false, 0})
			take(t, d, changed, Value{0, false, 0})
			assert.Zero(t, d.Received(), name)
			assert.EqualValues(t, -1, d.Total(), name)
			assert.False(t, d.IsFirst(), name)
		}
		take(t, d, first()[0], Value{1, false, 0})
		assert.True(t, d.IsFirst(), name)
		_, _, err := d.Add(changed)
		assert.Equal(t, ErrChanged, err, name)

		once := MakeDownload(nil, 100, false)
		take(t, &once, first()[0], Value{1, false, 0})
		_, _, err = once.Add(changed)
		assert.Equal(t, ErrChanged, err, name)

		var sink bytes.Buffer
		written := MakeDownload(&sink, 100, true)
		take(t, &written, first()[0], Value{1, false, 0})
		_, _, err = written.Add(changed)
		assert.Equal(t, ErrChanged, err, name)
	}
}

func TestErrorInPlaceOfTheRest(t *testing.T) {
	d := newDownload()
	take(t, d, first()[0], Value{1, false, 0})
	finish(t, d, Part{Code: 4<<5 | 4, Body: []byte("gone")}, "gone")
	assert.True(t, d.IsFirst())

	d = newDownload()
	take(t, d, first()[0], Value{1, false, 0})
	inBlocks := Part{Code: 4<<5 | 4, Body: []byte(alphabet[:16]), Block: Value{0, true, 0},
		HasBlock: true}
	take(t, d, inBlocks, Value{1, false, 0})
	assert.True(t, d.IsFirst())
	inBlocks.Body, inBlocks.Block = []byte("end"), Value{1, false, 0}
	finish(t, d, inBlocks, alphabet[:16]+"end")

	d = newDownload()
	take(t, d, first()[0], Value{1, false, 0})
	finish(t, d, Part{Code: codeValid}, "")

	var sink bytes.Buffer
	toSink := MakeDownload(&sink, 100, true)
	take(t, &toSink, first()[0], Value{1, false, 0})
	_, _, err := toSink.Add(Part{Code: codeValid})
	assert.Equal(t, ErrChanged, err)
}

func TestBodiesThatAreTooLarge(t *testing.T) {
	big := string(make([]byte, 64))
	d := newDownload()
	take(t, d, content(Value{0, true, 2}, big), Value{1, false, 2})
	_, _, err := d.Add(content(Value{1, true, 2}, big))
	assert.Equal(t, ErrTooLarge, err)

	d = newDownload()
	announced := content(Value{0, true, 2}, big)
	announced.Size, announced.HasSize = 101, true
	_, _, err = d.Add(announced)
	assert.Equal(t, ErrTooLarge, err)

	d = newDownload()
	announced.Size = 1 << 40 // is not believed
	take(t, d, announced, Value{1, false, 2})
	assert.EqualValues(t, -1, d.Total())

	d = &Download{most: 100, begun: true, code: codeContent, etag: []byte("1"), hasETag: true,
		offset: MaxNum << 4}
	d.sink = new(bytes.Buffer)
	_, _, err = d.Add(content(Value{MaxNum, true, 0}, alphabet[:16]))
	assert.Equal(t, ErrTooLarge, err, "block 2^20 has no number")
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestSinkGetsSuccessfulBodies(t *testing.T) {
	var sink bytes.Buffer
	d := MakeDownload(&sink, 20, true)
	take(t, &d, first()[0], Value{1, false, 0})
	take(t, &d, content(Value{1, true, 0}, alphabet[16:32]), Value{2, false, 0})
	finish(t, &d, content(Value{2, false, 0}, "end"), "")
	assert.Equal(t, alphabet[:32]+"end", sink.String())
	assert.Equal(t, 35, d.Received())

	d = MakeDownload(&sink, 20, true)
	finish(t, &d, Part{Code: codeBadRequest, Body: []byte("why")}, "why")

	failure := errors.New("failure")
	d = MakeDownload(failing{failure}, 20, true)
	_, _, err := d.Add(first()[0])
	assert.Equal(t, failure, err)
}

// FuzzDownload has a download take whatever comes. What it asks for next follows what it has.
func FuzzDownload(f *testing.F) {
	f.Add([]byte{0x08, 16, 0, 0x10, 5, 0})
	f.Add([]byte{0x08, 16, 0, 0x1e, 16, 1, 0x08, 16, 1, 0x10, 3, 1})
	f.Add([]byte{0x08, 16, 0, 0x18, 16, 2, 0, 0, 4})
	f.Fuzz(func(t *testing.T, script []byte) {
		const most = 1000
		d := MakeDownload(nil, most, true)
		for ; len(script) >= 3; script = script[3:] {
			v, err := Parse(script[:1])
			if err != nil {
				continue
			}
			p := Part{Code: codeContent, Body: make([]byte, script[1])}
			if script[2]&4 == 0 {
				p.Block, p.HasBlock = v, true
			}
			if script[2]&2 != 0 {
				p.Code = codeBadRequest
			}
			p.ETag, p.HasETag = script[2:3:3], script[2]&1 != 0
			next, more, err := d.Add(p)
			if err != nil {
				require.True(t, errors.Is(err, ErrBad) || err == ErrTooLarge || err == ErrChanged, "%v", err)
				return
			}
			require.Len(t, d.Body(), d.Received())
			if !more {
				return
			}
			require.EqualValues(t, d.Received(), next.Offset())
			require.LessOrEqual(t, d.Received(), most)
		}
	})
}

// FuzzTransfer sends a body from an upload to an assembly, and cuts it for a download, which
// all are to have the same.
func FuzzTransfer(f *testing.F) {
	f.Add([]byte(alphabet), uint8(0), uint8(0), 100)
	f.Add(bytes.Repeat([]byte(alphabet), 50), uint8(BERT), uint8(6), 2100)
	f.Add([]byte{}, uint8(3), uint8(6), 20)
	f.Fuzz(func(t *testing.T, body []byte, szx, wanted uint8, room int) {
		body = body[:min(len(body), 1500)]
		szx, wanted, room = szx%8, wanted%8, 16+room&0xffff
		u, err := NewUpload(FromBytes(body), szx, room)
		require.NoError(t, err)
		var a Assembly
		for {
			v, part, err := u.Next()
			require.NoError(t, err)
			require.True(t, v.Fits(len(part)))
			require.LessOrEqual(t, len(part), max(room, 16))
			if v.Num == 0 && !v.More {
				require.Equal(t, body, part)
				break
			}
			verdict := a.Add(v, part)
			if !v.More {
				require.Equal(t, Completes, verdict)
				require.Equal(t, body, a.Take())
				break
			}
			require.Equal(t, Taken, verdict)
			step, err := u.Add(codeContinue, Value{v.Num, true, min(v.SZX, wanted)}, true)
			require.NoError(t, err)
			require.Equal(t, Onward, step)
		}

		d := MakeDownload(nil, len(body), false)
		next := Value{SZX: szx}
		for more := true; more; {
			v, part := Cut(body, int(next.Offset()), Shrink(min(next.SZX, szx), room), room)
			next, more, err = d.Add(Part{Code: codeContent, Body: part, Block: v, HasBlock: true})
			require.NoError(t, err)
		}
		require.True(t, bytes.Equal(body, d.Body()))
	})
}
