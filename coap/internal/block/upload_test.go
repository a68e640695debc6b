package block

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	codeChanged    = 2<<5 | 4
	codeContent    = 2<<5 | 5
	codeBadRequest = 4 << 5
)

func newUpload(t testing.TB, source *Source, szx uint8, room int) *Upload {
	t.Helper()
	u, err := NewUpload(source, szx, room)
	require.NoError(t, err)
	return u
}

// next asserts what is to be sent next.
func next(t testing.TB, u *Upload, want Value, part string) {
	t.Helper()
	v, got, err := u.Next()
	require.NoError(t, err)
	require.Equal(t, want, v)
	require.Equal(t, part, string(got))
}

// add asserts what becomes of an upload.
func add(t testing.TB, u *Upload, code uint8, got Value, has bool, want Step) {
	t.Helper()
	step, err := u.Add(code, got, has)
	require.NoError(t, err)
	require.Equal(t, want, step)
}

const alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" // 62 bytes

func TestUploadGoesOnBehindWhatIsAcknowledged(t *testing.T) {
	for name, source := range map[string]*Source{"bytes": FromBytes([]byte(alphabet)),
		"reader": reader(t, alphabet)} {
		t.Run(name, func(t *testing.T) {
			u := newUpload(t, source, 1, 100)
			assert.EqualValues(t, 62, u.Total())
			next(t, u, Value{0, true, 1}, alphabet[:32])
			add(t, u, codeContinue, Value{0, true, 1}, true, Onward)
			assert.Equal(t, 32, u.Sent())
			next(t, u, Value{1, false, 1}, alphabet[32:])
			add(t, u, codeChanged, Value{1, false, 1}, true, Over)
			assert.Equal(t, 62, u.Sent())
			assert.EqualValues(t, 62, u.Total())
		})
	}
}

func reader(t testing.TB, text string) *Source {
	t.Helper()
	s, err := FromReader(strings.NewReader(text))
	require.NoError(t, err)
	return s
}

func TestUploadTakesTheSizeThatTheServerWants(t *testing.T) {
	u := newUpload(t, FromBytes([]byte(alphabet)), 1, 100)
	next(t, u, Value{0, true, 1}, alphabet[:32])
	add(t, u, codeContinue, Value{0, true, 0}, true, Onward)
	next(t, u, Value{2, true, 0}, alphabet[32:48])
	add(t, u, codeContinue, Value{2, true, 5}, true, Onward) // a larger one is not taken
	next(t, u, Value{3, false, 0}, alphabet[48:])

	u = newUpload(t, FromBytes([]byte(alphabet)), 2, 100)
	next(t, u, Value{0, false, 2}, alphabet)
	add(t, u, codeTooLarge, Value{0, true, 0}, true, Again)
	next(t, u, Value{0, true, 0}, alphabet[:16])
	add(t, u, codeTooLarge, Value{0, true, 0}, true, Over) // there is no smaller one to be tried
	assert.Zero(t, u.Sent())
}

func TestUploadBeginsAgainWhereBlocksAreMissing(t *testing.T) {
	for name, source := range map[string]*Source{"bytes": FromBytes([]byte(alphabet)),
		"reader": reader(t, alphabet)} {
		t.Run(name, func(t *testing.T) {
			u := newUpload(t, source, 1, 100)
			for restarts := range maxRestarts + 1 {
				next(t, u, Value{0, true, 1}, alphabet[:32])
				add(t, u, codeContinue, Value{0, true, 1}, true, Onward)
				next(t, u, Value{1, false, 1}, alphabet[32:])
				if restarts < maxRestarts {
					add(t, u, codeIncomplete, Value{}, false, Again)
					assert.Zero(t, u.Sent())
				}
			}
			add(t, u, codeIncomplete, Value{}, false, Over)
			assert.Equal(t, 32, u.Sent())
		})
	}

	once, err := FromReader(io.MultiReader(strings.NewReader(alphabet)))
	require.NoError(t, err)
	u := newUpload(t, once, 1, 100)
	assert.EqualValues(t, -1, u.Total())
	next(t, u, Value{0, true, 1}, alphabet[:32])
	add(t, u, codeIncomplete, Value{}, false, Over) // of the first block, that cannot be true
	add(t, u, codeContinue, Value{0, true, 1}, true, Onward)
	next(t, u, Value{1, false, 1}, alphabet[32:])
	add(t, u, codeIncomplete, Value{}, false, Over)
}

func TestErrorsEndAnUpload(t *testing.T) {
	u := newUpload(t, FromBytes([]byte(alphabet)), 1, 100)
	next(t, u, Value{0, true, 1}, alphabet[:32])
	add(t, u, codeBadRequest, Value{0, true, 1}, true, Over)
	assert.Zero(t, u.Sent())

	u = newUpload(t, FromBytes([]byte(alphabet)), 1, 100)
	next(t, u, Value{0, true, 1}, alphabet[:32])
	add(t, u, codeChanged, Value{}, false, Over) // the server wants no more of it
	assert.Equal(t, 32, u.Sent())
	assert.EqualValues(t, 32, u.Total())
}

func TestContinueMustFit(t *testing.T) {
	for name, tc := range map[string]struct {
		size int
		got  Value
		has  bool
	}{
		"without Block1": {62, Value{}, false},
		"another block":  {62, Value{1, true, 1}, true},
		"the last block": {32, Value{0, false, 1}, true},
	} {
		u := newUpload(t, FromBytes([]byte(alphabet[:tc.size])), 1, 100)
		_, _, err := u.Next()
		require.NoError(t, err)
		_, err = u.Add(codeContinue, tc.got, tc.has)
		assert.ErrorIs(t, err, ErrBad, name)
		assert.EqualError(t, err, "bad block: 2.31 Continue does not fit block 0", name)
	}
}

func TestUploadFitsItsMessages(t *testing.T) {
	u := newUpload(t, FromBytes([]byte(alphabet)), 6, 40)
	next(t, u, Value{0, true, 1}, alphabet[:32])

	body := string(bytes.Repeat([]byte(alphabet), 100))
	u = newUpload(t, FromBytes([]byte(body)), BERT, 3000)
	next(t, u, Value{0, true, BERT}, body[:2048])
	add(t, u, codeContinue, Value{0, true, BERT}, true, Onward)
	next(t, u, Value{2, true, BERT}, body[2048:4096])
	add(t, u, codeContinue, Value{2, true, 6}, true, Onward)
	next(t, u, Value{4, true, 6}, body[4096:5120])
}

func TestUploadInOneMessage(t *testing.T) {
	body := string(bytes.Repeat([]byte(alphabet), 100))
	whole := func(t *testing.T, source *Source, room, most int) *Upload {
		u := newUpload(t, source, 6, room)
		u.Join(most)
		return u
	}
	next(t, whole(t, FromBytes([]byte(body)), 10000, 10000), Value{0, false, 6}, body)
	next(t, whole(t, FromBytes([]byte(body)), 6199, 10000), Value{0, true, 6}, body[:1024])
	next(t, whole(t, FromBytes([]byte(body)), 10000, 6199), Value{0, true, 6}, body[:1024])
	next(t, whole(t, FromBytes(nil), 0, 10000), Value{0, false, 0}, "")

	unknown, err := FromReader(iotest.HalfReader(strings.NewReader(body)))
	require.NoError(t, err)
	next(t, whole(t, unknown, 1<<20, 1<<20), Value{0, false, 6}, body)
}

// liar has more to read than its Len says.
type liar struct{ io.Reader }

func (liar) Len() int { return 10 }

func TestSourceWithMoreThanItSays(t *testing.T) {
	source, err := FromReader(liar{strings.NewReader(alphabet)})
	require.NoError(t, err)
	u := newUpload(t, source, 1, 100)
	u.Join(100)
	assert.EqualValues(t, 10, u.Total())
	next(t, u, Value{0, true, 1}, alphabet[:32])
	assert.EqualValues(t, -1, u.Total())
}

func TestUploadRepeatsWhatWasSent(t *testing.T) {
	u := newUpload(t, FromBytes([]byte(alphabet)), 1, 40)
	next(t, u, Value{0, true, 1}, alphabet[:32])
	add(t, u, codeContinue, Value{0, true, 1}, true, Onward)
	next(t, u, Value{1, false, 1}, alphabet[32:])
	require.True(t, u.Repeat(5), "the last block: all of the body")
	assert.Zero(t, u.Sent())
	next(t, u, Value{0, true, 1}, alphabet[:32])
	require.True(t, u.Repeat(5), "there is room for 30 bytes now")
	next(t, u, Value{0, true, 0}, alphabet[:16])
	add(t, u, codeContinue, Value{0, true, 0}, true, Onward)
	next(t, u, Value{1, true, 0}, alphabet[16:32])
	require.True(t, u.Repeat(5), "another block: that one")
	next(t, u, Value{1, true, 0}, alphabet[16:32])

	once, err := FromReader(io.MultiReader(strings.NewReader(alphabet)))
	require.NoError(t, err)
	u = newUpload(t, once, 1, 40)
	next(t, u, Value{0, true, 1}, alphabet[:32])
	require.True(t, u.Repeat(0))
	next(t, u, Value{0, true, 1}, alphabet[:32])
	add(t, u, codeContinue, Value{0, true, 1}, true, Onward)
	next(t, u, Value{1, false, 1}, alphabet[32:])
	assert.False(t, u.Repeat(0))
}

// endless has no end, and says so.
type endless struct{ size int }

func (e endless) Len() int { return e.size }

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestBlocksThatCannotBeNumberedAreNotSent(t *testing.T) {
	source, err := FromReader(endless{16<<20 + 1})
	require.NoError(t, err)
	_, err = NewUpload(source, 0, 100)
	assert.Equal(t, ErrTooLarge, err)
	_, err = NewUpload(source, 1, 100)
	assert.NoError(t, err)

	source, err = FromReader(io.MultiReader(endless{}))
	require.NoError(t, err)
	u := newUpload(t, source, 0, 100)
	zeros := string(make([]byte, 16))
	for n := range uint32(MaxNum + 1) {
		v, _, err := u.Next()
		if err != nil || v != (Value{n, true, 0}) {
			require.NoError(t, err)
			require.Equal(t, Value{n, true, 0}, v)
		}
		if n == MaxNum {
			next(t, u, v, zeros)
		}
		if step, err := u.Add(codeContinue, v, true); step != Onward || err != nil {
			require.NoError(t, err)
			require.Equal(t, Onward, step)
		}
	}
	_, _, err = u.Next()
	assert.Equal(t, ErrTooLarge, err)
}

func TestUploadReturnsTheErrorOfItsSource(t *testing.T) {
	failure := errors.New("failure")
	source, err := FromReader(iotest.ErrReader(failure))
	require.NoError(t, err)
	_, _, err = newUpload(t, source, 1, 100).Next()
	assert.ErrorIs(t, err, failure)
}
