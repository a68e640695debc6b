package block

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// seeker can be read and sought in, and tells nothing else.
type seeker struct{ r *strings.Reader }

func (s seeker) Read(p []byte) (int, error)                   { return s.r.Read(p) }
func (s seeker) Seek(offset int64, whence int) (int64, error) { return s.r.Seek(offset, whence) }

func TestSizesOfSources(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, []byte("0123456789"), 0o600))
	file, err := os.Open(name)
	require.NoError(t, err)
	defer file.Close()
	_, err = file.Seek(4, io.SeekStart)
	require.NoError(t, err)
	sought := seeker{strings.NewReader("0123456789")}
	_, _ = sought.Seek(3, io.SeekStart)
	directory, err := os.Open(t.TempDir())
	require.NoError(t, err)
	defer directory.Close()
	for name, tc := range map[string]struct {
		from      io.Reader
		size      int64
		canGoBack bool
	}{
		"with Len":       {strings.NewReader("0123456789"), 10, true},
		"buffer":         {bytes.NewBufferString("0123"), 4, false},
		"file":           {file, 6, true},
		"sought":         {sought, 7, true},
		"directory":      {directory, -1, true},
		"nothing but io": {io.MultiReader(strings.NewReader("x")), -1, false},
	} {
		s, err := FromReader(tc.from)
		require.NoError(t, err, name)
		assert.Equal(t, tc.size, s.size, name)
		assert.Equal(t, tc.canGoBack, s.rewind(), name)
	}
	assert.EqualValues(t, 3, FromBytes([]byte("abc")).size)
}

func TestSourcesShowWhatFollows(t *testing.T) {
	text := strings.Repeat("0123456789", 300)
	fromReader, err := FromReader(iotest.OneByteReader(strings.NewReader(text)))
	require.NoError(t, err)
	for name, s := range map[string]*Source{"bytes": FromBytes([]byte(text)), "reader": fromReader} {
		at := 0
		for _, step := range []struct {
			at, peek int
			part     string
			more     bool
		}{
			{0, 16, text[:16], true},
			{0, 2000, text[:2000], true}, // more than the first buffer has
			{1500, 1499, text[1500:2999], true},
			{1500, 1500, text[1500:], false},
			{1500, 5000, text[1500:], false},
			{3000, 16, "", false},
		} {
			s.skip(step.at - at)
			at = step.at
			part, more, err := s.peek(step.peek)
			require.NoError(t, err)
			assert.Equal(t, step.part, string(part), name)
			assert.Equal(t, step.more, more, name)
		}
	}
}

func TestSourcesGoBack(t *testing.T) {
	from := strings.NewReader("..text")
	_, _ = from.Seek(2, io.SeekStart)
	s, err := FromReader(from)
	require.NoError(t, err)
	for _, s := range []*Source{s, FromBytes([]byte("text"))} {
		s.skip(3)
		part, _, err := s.peek(9)
		require.NoError(t, err)
		assert.Equal(t, "t", string(part))
		assert.True(t, s.rewind())
		part, _, err = s.peek(9)
		require.NoError(t, err)
		assert.Equal(t, "text", string(part))
	}
}

func TestErrorsOfSourcesAreReturned(t *testing.T) {
	failure := errors.New("failure")
	s, err := FromReader(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(failure)))
	require.NoError(t, err)
	part, more, err := s.peek(2)
	require.NoError(t, err)
	assert.Equal(t, "ab", string(part))
	assert.True(t, more)
	_, _, err = s.peek(3)
	assert.ErrorIs(t, err, failure)
}
