package coap

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOptionsStayInOrder(t *testing.T) {
	var o Options
	o.AddString(OptionURIQuery, "q1")
	o.AddString(OptionURIPath, "a")
	o.AddUint(OptionAccept, 60)
	o.AddString(OptionURIPath, "b")
	o.AddString(OptionURIHost, "h")
	o.AddString(OptionURIQuery, "q2")
	o.AddString(OptionURIPath, "")
	assert.Equal(t, Options{
		{OptionURIHost, []byte("h")},
		{OptionURIPath, []byte("a")},
		{OptionURIPath, []byte("b")},
		{OptionURIPath, []byte("")},
		{OptionURIQuery, []byte("q1")},
		{OptionURIQuery, []byte("q2")},
		{OptionAccept, []byte{60}},
	}, o)

	o.SetString(OptionURIPath, "only")
	assert.Equal(t, []string{"only"}, o.PathSegments())
	o.Set(OptionETag, []byte{1})
	o.SetUint(OptionAccept, 0)
	o.Remove(OptionURIQuery)
	o.Remove(OptionURIQuery)
	assert.Equal(t, Options{
		{OptionURIHost, []byte("h")},
		{OptionETag, []byte{1}},
		{OptionURIPath, []byte("only")},
		{OptionAccept, []byte{}},
	}, o)
}

func TestAllStopsWhenItsCallerDoes(t *testing.T) {
	var o Options
	for _, tag := range []string{"a", "b", "c"} {
		o.AddString(OptionETag, tag)
	}
	var seen []string
	for value := range o.All(OptionETag) {
		if seen = append(seen, string(value)); len(seen) == 2 {
			break
		}
	}
	assert.Equal(t, []string{"a", "b"}, seen)
	assert.Equal(t, [][]byte{[]byte("a"), []byte("b"), []byte("c")}, o.ETags())
	assert.Empty(t, slices.Collect(o.All(OptionURIPath)))
}

func TestCloneCanBeChanged(t *testing.T) {
	o := make(Options, 0, 8) // with room, where an append would write
	o.AddString(OptionURIPath, "a")
	o.AddString(OptionURIPath, "b")
	c := o.Clone()
	c.SetString(OptionURIPath, "other")
	c.AddUint(OptionAccept, 1)
	o.AddUint(OptionMaxAge, 5)
	assert.Equal(t, "/a/b", o.Path())
	assert.False(t, o.Has(OptionAccept))
	assert.Equal(t, "/other", c.Path())
	assert.False(t, c.Has(OptionMaxAge))
}

func TestNumbersTakeTheFewestBytes(t *testing.T) {
	for _, tc := range []struct {
		n     uint64
		bytes []byte
	}{
		{0, []byte{}},
		{1, []byte{1}},
		{255, []byte{255}},
		{256, []byte{1, 0}},
		{65535, []byte{255, 255}},
		{65536, []byte{1, 0, 0}},
		{1 << 24, []byte{1, 0, 0, 0}},
		{math.MaxUint64, bytes.Repeat([]byte{255}, 8)},
	} {
		var o Options
		o.AddUint(OptionSize1, tc.n)
		value, ok := o.Get(OptionSize1)
		assert.True(t, ok)
		assert.Equal(t, tc.bytes, value)
		n, ok := o.Uint(OptionSize1)
		assert.True(t, ok)
		assert.Equal(t, tc.n, n)
	}
}

func TestNumbersOfPeersMayHaveLeadingZeros(t *testing.T) {
	n, ok := Options{{OptionSize1, []byte{0, 0, 1, 2}}}.Uint(OptionSize1)
	assert.True(t, ok)
	assert.EqualValues(t, 258, n)
	_, ok = Options{{OptionSize1, make([]byte, 9)}}.Uint(OptionSize1)
	assert.False(t, ok, "9 bytes")
}

func TestWhatIsAbsentIsReportedSo(t *testing.T) {
	for name, o := range map[string]Options{
		"no options": nil,
		"others":     {{OptionIfMatch, nil}, {65000, []byte{1}}},
	} {
		t.Run(name, func(t *testing.T) {
			value, ok := o.Get(OptionETag)
			assert.False(t, ok)
			assert.Nil(t, value)
			_, ok = o.Text(OptionURIHost)
			assert.False(t, ok)
			_, ok = o.Uint(OptionSize2)
			assert.False(t, ok)
			_, ok = o.ContentFormat()
			assert.False(t, ok)
			_, ok = o.Accept()
			assert.False(t, ok)
			assert.False(t, o.Has(OptionObserve))
			assert.Equal(t, time.Minute, o.MaxAge())
			assert.Empty(t, o.ETags())
			assert.Equal(t, "/", o.Path())
			assert.Empty(t, o.Queries())
		})
	}
}

func TestFormats(t *testing.T) {
	var o Options
	o.SetContentFormat(TextPlain)
	o.SetAccept(SenMLXML)
	format, ok := o.ContentFormat()
	assert.True(t, ok, "format 0 is one")
	assert.Equal(t, TextPlain, format)
	format, ok = o.Accept()
	assert.True(t, ok)
	assert.Equal(t, SenMLXML, format)

	o.SetUint(OptionContentFormat, 65536)
	_, ok = o.ContentFormat()
	assert.False(t, ok, "more than 16 bits")
}

func TestMaxAgeIsInWholeSeconds(t *testing.T) {
	for _, tc := range []struct{ set, want time.Duration }{
		{0, 0},
		{-time.Second, 0},
		{999 * time.Millisecond, 0},
		{90*time.Second + time.Millisecond, 90 * time.Second},
		{math.MaxInt64, math.MaxUint32 * time.Second},
	} {
		var o Options
		o.SetMaxAge(tc.set)
		assert.Equal(t, tc.want, o.MaxAge())
		assert.NoError(t, o.Validate())
	}
	assert.Equal(t, time.Minute, Options{{OptionMaxAge, []byte{1, 0, 0, 0, 0}}}.MaxAge(),
		"more than 32 bits")
}

func TestPathIsEncodedAsInAURI(t *testing.T) {
	for _, tc := range []struct {
		path     string
		segments []string
		written  string
	}{
		{"", nil, "/"},
		{"/", nil, "/"},
		{"/a/b", []string{"a", "b"}, "/a/b"},
		{"a/b", []string{"a", "b"}, "/a/b"},
		{"/a/", []string{"a", ""}, "/a/"},
		{"//", []string{"", ""}, "//"},
		{"/a%2Fb/100%25", []string{"a/b", "100%"}, "/a%2Fb/100%25"},
		{"/%3f%23", []string{"?#"}, "/%3F%23"},
		{"/ü b", []string{"ü b"}, "/%C3%BC%20b"},
		{"/a:b@c&d+e", []string{"a:b@c&d+e"}, "/a:b@c&d+e"},
		{"/a/./b/../c", []string{"a", "c"}, "/a/c"},
		{"/a/%2e%2E", nil, "/"},
		{"/..", nil, "/"},
		{"/../a/..b/...", []string{"a", "..b", "..."}, "/a/..b/..."},
		{"/a/b/..", []string{"a", ""}, "/a/"},
		{"/a//..", []string{"a", ""}, "/a/"},
	} {
		var o Options
		o.AddString(OptionURIPath, "before")
		require.NoError(t, o.SetPath(tc.path), tc.path)
		assert.Equal(t, tc.segments, o.PathSegments(), tc.path)
		assert.Equal(t, tc.written, o.Path(), tc.path)
		assert.NoError(t, o.Validate(), tc.path)

		var again Options
		require.NoError(t, again.SetPath(o.Path()), tc.path)
		assert.Equal(t, o.PathSegments(), again.PathSegments(), tc.path)
	}
}

func TestBadPathChangesNothing(t *testing.T) {
	for path, want := range map[string]string{
		"/a?b":                           `coap: path "/a?b": a query or a fragment is not allowed`,
		"/a#b":                           `coap: path "/a#b": a query or a fragment is not allowed`,
		"/a/%zz":                         `path segment "%zz": invalid URL escape`,
		"/a\x00":                         "control character",
		"/" + strings.Repeat("%41", 256): "a path segment has 256 bytes, more than 255",
	} {
		var o Options
		o.AddString(OptionURIPath, "kept")
		assert.ErrorContains(t, o.SetPath(path), want)
		assert.Equal(t, "/kept", o.Path())
	}
	var o Options
	assert.NoError(t, o.SetPath(strings.Repeat("%41", 255)))
}

func TestQueriesAreNotEncoded(t *testing.T) {
	var o Options
	o.AddQuery("a=1&2")
	o.AddQuery("%41")
	assert.Equal(t, []string{"a=1&2", "%41"}, o.Queries())
}
