package block

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAssemblyPutsABodyTogether(t *testing.T) {
	var a Assembly
	assert.Equal(t, Taken, a.Add(Value{0, true, 1}, []byte(alphabet[:32])))
	assert.Equal(t, 32, a.Len())
	assert.Equal(t, Completes, a.Add(Value{1, false, 1}, []byte(alphabet[32:])))
	assert.Equal(t, 62, a.Len())
	assert.Equal(t, alphabet, string(a.Take()))
	assert.Zero(t, a.Len())
}

func TestSizeOfBlocksMayChangeInABody(t *testing.T) {
	var a Assembly
	assert.Equal(t, Taken, a.Add(Value{0, true, 1}, []byte(alphabet[:32])))
	assert.Equal(t, Taken, a.Add(Value{2, true, 0}, []byte(alphabet[32:48])))
	assert.Equal(t, Completes, a.Add(Value{3, false, 0}, []byte(alphabet[48:])))
	assert.Equal(t, alphabet, string(a.Take()))
}

func TestBlocksThatComeAgain(t *testing.T) {
	var a Assembly
	blocks := []Value{{0, true, 0}, {1, true, 0}, {2, true, 0}, {3, false, 0}}
	part := func(n int) []byte { return []byte(alphabet[16*n : min(16*n+16, 62)]) }
	for n := range 3 {
		assert.Equal(t, Taken, a.Add(blocks[n], part(n)))
	}
	assert.Equal(t, Taken, a.Add(blocks[2], part(2)), "the last one so far")
	assert.Equal(t, 48, a.Len(), "not twice")
	assert.Equal(t, Lags, a.Add(blocks[1], part(1)))
	assert.Equal(t, LagsAgain, a.Add(blocks[1], part(1)))
	assert.Equal(t, Misses, a.Add(blocks[1], part(0)), "with other bytes")
	assert.Equal(t, Misses, a.Add(blocks[2], part(0)), "with other bytes")

	assert.Equal(t, Completes, a.Add(blocks[3], part(3)))
	body := a.Take()
	assert.Equal(t, alphabet, string(body))
	assert.Equal(t, Repeats, a.Add(blocks[3], part(3)))
	assert.Equal(t, Repeats, a.Add(blocks[3], part(3)))
	assert.Equal(t, Lags, a.Add(blocks[2], part(2)))
	assert.Equal(t, LagsAgain, a.Add(blocks[1], part(1)))
	assert.Equal(t, Misses, a.Add(Value{3, false, 0}, []byte("other")))
	assert.Equal(t, Misses, a.Add(Value{4, false, 0}, nil))
	assert.Equal(t, alphabet, string(body))
}

func TestBlocksBeforeTheOneMustBeThere(t *testing.T) {
	var a Assembly
	assert.Equal(t, Misses, a.Add(Value{1, false, 0}, []byte("x")))
	assert.Equal(t, Taken, a.Add(Value{0, true, 0}, []byte(alphabet[:16])))
	assert.Equal(t, Misses, a.Add(Value{2, true, 0}, []byte(alphabet[32:48])))
	assert.Equal(t, Taken, a.Add(Value{1, true, 0}, []byte(alphabet[16:32])))
}

// FuzzAssembly sends the blocks of a body with repetitions and gaps. Whatever comes, a body that
// is complete is the body.
func FuzzAssembly(f *testing.F) {
	f.Add([]byte(alphabet), []byte{0, 1, 2, 3})
	f.Add([]byte(alphabet), []byte{0, 1, 1, 0, 2, 2, 3, 3, 1})
	f.Add([]byte(""), []byte{0})
	f.Fuzz(func(t *testing.T, body, order []byte) {
		var a Assembly
		whole := false
		for _, n := range order {
			offset := 16 * int(n)
			if offset > 0 && offset >= len(body) {
				continue
			}
			if n == 0 { // as a server does
				a, whole = Assembly{}, false
			}
			v, part := Cut(body, offset, 0, 100)
			had := a.Len()
			switch a.Add(v, part) {
			case Completes:
				require.False(t, whole)
				require.Equal(t, body, append([]byte{}, a.Take()...))
				whole = true
			case Taken:
				require.True(t, v.More)
				require.False(t, whole)
				require.LessOrEqual(t, a.Len(), had+16)
			case Repeats:
				require.True(t, whole)
				require.False(t, v.More)
			case Lags, LagsAgain:
				require.True(t, v.More)
				require.Equal(t, had, a.Len())
			case Misses:
				require.Equal(t, had, a.Len())
			}
		}
	})
}
