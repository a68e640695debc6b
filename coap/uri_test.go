package coap

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseURI(t *testing.T) {
	long := strings.Repeat("a", 255)
	for _, tc := range []struct {
		uri     string
		want    URI
		address string
		written string // where it is not uri
	}{
		// RFC 7252, section 6.3.
		{"coap://example.com:5683/~sensors/temp.xml",
			URI{UDP, "example.com", 5683, []string{"~sensors", "temp.xml"}, nil},
			"example.com:5683", "coap://example.com/~sensors/temp.xml"},
		{"coap://EXAMPLE.com/%7Esensors/temp.xml",
			URI{UDP, "example.com", 0, []string{"~sensors", "temp.xml"}, nil},
			"example.com:5683", "coap://example.com/~sensors/temp.xml"},
		{"coap://EXAMPLE.com:/%7esensors/temp.xml",
			URI{UDP, "example.com", 0, []string{"~sensors", "temp.xml"}, nil},
			"example.com:5683", "coap://example.com/~sensors/temp.xml"},
		// RFC 7252, appendix B.
		{"coap://[2001:db8::2:1]/",
			URI{UDP, "2001:db8::2:1", 0, nil, nil}, "[2001:db8::2:1]:5683", ""},
		{"coap://example.net/.well-known/core",
			URI{UDP, "example.net", 0, []string{".well-known", "core"}, nil}, "example.net:5683", ""},
		{"coap://xn--18j4d.example/%E3%81%93%E3%82%93%E3%81%AB%E3%81%A1%E3%81%AF",
			URI{UDP, "xn--18j4d.example", 0, []string{"こんにちは"}, nil}, "xn--18j4d.example:5683", ""},
		{"coap://198.51.100.1:61616//%2F//?%2F%2F&?%26",
			URI{UDP, "198.51.100.1", 61616, []string{"", "/", "", ""}, []string{"//", "?&"}},
			"198.51.100.1:61616", "coap://198.51.100.1:61616//%2F//?//&?%26"},

		{"COAPS://h", URI{DTLS, "h", 0, nil, nil}, "h:5684", "coaps://h/"},
		{"coaps://h:5683/", URI{DTLS, "h", 5683, nil, nil}, "h:5683", ""},
		{"coap+tcp://h/a", URI{TCP, "h", 0, []string{"a"}, nil}, "h:5683", ""},
		{"coaps+tcp://h:65535/a", URI{TLS, "h", 65535, []string{"a"}, nil}, "h:65535", ""},
		{"coap://h?", URI{UDP, "h", 0, nil, []string{""}}, "h:5683", "coap://h/?"},
		{"coap://h?a=1&&b=%26", URI{UDP, "h", 0, nil, []string{"a=1", "", "b=&"}}, "h:5683",
			"coap://h/?a=1&&b=%26"},
		{"coap://h/a+b?c+d", URI{UDP, "h", 0, []string{"a+b"}, []string{"c+d"}}, "h:5683", ""},
		{"coap://h/@:80/?http://u@h/", URI{UDP, "h", 0, []string{"@:80", ""}, []string{"http://u@h/"}},
			"h:5683", ""},
		{`coap://h/a%2Fb"c d`, URI{UDP, "h", 0, []string{"a/b\"c d"}, nil}, "h:5683",
			"coap://h/a%2Fb%22c%20d"},
		{"coap://h/a/./../%2e%2e/b", URI{UDP, "h", 0, []string{"b"}, nil}, "h:5683", "coap://h/b"},
		{"coap://h/%FF", URI{UDP, "h", 0, []string{"\xff"}, nil}, "h:5683", ""},
		{"coap://b%C3%BCcher.%45xample/", URI{UDP, "bücher.example", 0, nil, nil},
			"bücher.example:5683", "coap://b%C3%BCcher.example/"},
		{"coap://h&m/", URI{UDP, "h&m", 0, nil, nil}, "h&m:5683", ""},
		{"coap://[2001:DB8:0:0::1]:1/", URI{UDP, "2001:db8::1", 1, nil, nil}, "[2001:db8::1]:1",
			"coap://[2001:db8::1]:1/"},
		{"coap://[fe80::1%eth0]/a", URI{UDP, "fe80::1%eth0", 0, []string{"a"}, nil},
			"[fe80::1%eth0]:5683", "coap://[fe80::1%25eth0]/a"},
		{"coap://[fe80::1%1]/", URI{UDP, "fe80::1%1", 0, nil, nil}, "[fe80::1%1]:5683",
			"coap://[fe80::1%251]/"},
		{"coap://[fe80::1%25Wlan0]:1/", URI{UDP, "fe80::1%Wlan0", 1, nil, nil}, "[fe80::1%Wlan0]:1", ""},
		{"coap://[::ffff:192.0.2.1]/", URI{UDP, "::ffff:192.0.2.1", 0, nil, nil},
			"[::ffff:192.0.2.1]:5683", ""},
		{"coap://" + long + "/" + long + "?" + long,
			URI{UDP, long, 0, []string{long}, []string{long}}, long + ":5683", ""},
	} {
		t.Run(tc.uri, func(t *testing.T) {
			u, err := ParseURI(tc.uri)
			require.NoError(t, err)
			assert.Equal(t, &tc.want, u)
			assert.Equal(t, tc.address, u.Address())
			if tc.written == "" {
				tc.written = tc.uri
			}
			assert.Equal(t, tc.written, u.String())
			assert.NoError(t, u.Options().Validate())
		})
	}
}

func TestBadURIs(t *testing.T) {
	long := strings.Repeat("a", 256)
	const scheme, noHost, fragment = "the scheme is none of coap, coaps, coap+tcp, coaps+tcp",
		"no host", "a fragment is not allowed"
	for _, tc := range []struct{ uri, want string }{
		{"", scheme},
		{"/a/b", scheme},
		{"example.org/a", scheme},
		{"example.org:5683/a", scheme},
		{"http://example.org/", scheme},
		{"coap+ws://example.org/", scheme},
		{" coap://example.org/", scheme},
		{"coap:", noHost},
		{"coap:/a", noHost},
		{"coap:example.org", noHost},
		{"coap://", noHost},
		{"coap:///a", noHost},
		{"coap://:5683/a", noHost},
		{"coap://?a", noHost},
		{"coap://h#f", fragment},
		{"coap://h/a#", fragment},
		{"coap://h/?a#b", fragment},
		{"coap://" + long + "/", "the host has 256 bytes, more than 255"},
		{"coap://[fe80::1%25" + long + "]/", "the host has 264 bytes, more than 255"},
		{"coap://a%00b/", `host "a\x00b" has a space, a NUL or another control character`},
		{"coap://a b/", `host "a b" has a space`},
		{"coap://[fe80::1%25%0A]/", `host "fe80::1%\n" has a space`},
		{"coap://a%zz/", `host "a%zz": invalid URL escape "%zz"`},
		{"coap://a%FF/", `host "a%FF" is neither a name nor an address`},
		{"coap://a%2Fb/", `host "a%2Fb" is neither`},
		{"coap://%5B::1%5D/", `is neither`},
		{"coap://2001:db8::1/", `host "2001:db8::1" is neither`},
		{"coap://[::1/", `host "[::1" is not an IPv6 address`},
		{"coap://[::1]x/", `host "[::1]x" is not an IPv6 address`},
		{"coap://[192.0.2.1]/", `is not an IPv6 address`},
		{"coap://[example.org]/", `is not an IPv6 address`},
		{"coap://[v1.x]/", `is not an IPv6 address`},
		{"coap://[]/", `is not an IPv6 address`},
		{"coap://[fe80::1%25]/", `is not an IPv6 address`},
		{"coap://[fe80::1%]/", `is not an IPv6 address`},
		{"coap://[127.0.0.1%eth0]/", `is not an IPv6 address`},
		{"coap://[fe80::1%25%zz]/", `invalid URL escape "%zz"`},
		{"coap://h:0/", `port "0" is not one of 1 to 65535`},
		{"coap://h:65536/", `port "65536" is not one of`},
		{"coap://h:-1/", `port "-1" is not one of`},
		{"coap://h:coap/", `port "coap" is not one of`},
		{"coap://[::1]:x/", `port "x" is not one of`},
		{"coap://h/a/%", `path segment "%": invalid URL escape "%"`},
		{"coap://h/%4", `path segment "%4": invalid URL escape "%4"`},
		{"coap://h/a\nb", `path segment "a\nb" has a control character`},
		{"coap://h/?a&%zz", `query argument "%zz": invalid URL escape "%zz"`},
		{"coap://h/?\x00", `query argument "\x00" has a control character`},
		{"coap://h/" + long, "a path segment has 256 bytes, more than 255"},
		{"coap://h/?" + long, "a query argument has 256 bytes, more than 255"},
	} {
		u, err := ParseURI(tc.uri)
		assert.ErrorContains(t, err, tc.want)
		assert.Nil(t, u, tc.uri)
		if err != nil {
			assert.True(t, strings.HasPrefix(err.Error(), "coap: URI "), err)
			assert.NotContains(t, err.Error(), "\n")
		}
	}
}

func TestUserInformationIsRefusedAndNotRepeated(t *testing.T) {
	for _, uri := range []string{"coap://user:secret@h/", "coap://secret@h:1", "coap://@h",
		"http://u:secret@h/"} {
		u, err := ParseURI(uri)
		assert.EqualError(t, err, "coap: URI: user information is not allowed")
		assert.Nil(t, u)
	}
}

func TestOptionsOfAURI(t *testing.T) {
	for uri, want := range map[string]Options{
		"coap://192.0.2.1/":            nil,
		"coap://192.0.2.1:7777/a":      {{OptionURIPath, []byte("a")}},
		"coaps://[2001:db8::1]:1/?q":   {{OptionURIQuery, []byte("q")}},
		"coap://[fe80::1%25eth0]/":     nil,
		"coap+tcp://Example.org:7777/": {{OptionURIHost, []byte("example.org")}},
		"coap://h/a%2Fb//?x=1&y": {
			{OptionURIHost, []byte("h")},
			{OptionURIPath, []byte("a/b")}, {OptionURIPath, []byte{}}, {OptionURIPath, []byte{}},
			{OptionURIQuery, []byte("x=1")}, {OptionURIQuery, []byte("y")},
		},
	} {
		u, err := ParseURI(uri)
		require.NoError(t, err)
		assert.Equal(t, want, u.Options(), uri)
	}
}

func TestReferenceSetsPathAndQuery(t *testing.T) {
	var o Options
	o.AddString(OptionURIPath, "old")
	o.AddQuery("old")
	o.SetAccept(CBOR)
	require.NoError(t, o.setReference("a/%2F?b=%26&c"))
	assert.Equal(t, []string{"a", "/"}, o.PathSegments())
	assert.Equal(t, []string{"b=&", "c"}, o.Queries())
	assert.True(t, o.Has(OptionAccept))

	for reference, want := range map[string]string{
		"/a#b":  `coap: path "/a#b": a fragment is not allowed`,
		"/%":    `coap: path "/%": path segment "%": invalid URL escape "%"`,
		"/a?%z": `coap: path "/a?%z": query argument "%z": invalid URL escape "%z"`,
	} {
		assert.EqualError(t, o.setReference(reference), want)
	}
	assert.Equal(t, "/a/%2F", o.Path(), "what fails changes nothing")

	require.NoError(t, o.setReference(""))
	assert.Equal(t, "/", o.Path())
	assert.Empty(t, o.Queries())
}

func FuzzParseURI(f *testing.F) {
	for _, uri := range []string{
		"coap://example.com:5683/~sensors/temp.xml",
		"coap://198.51.100.1:61616//%2F//?%2F%2F&?%26",
		"coaps+tcp://[fe80::1%25eth0]:1/a/../b?c&",
		"COAP://%45x%C3%BC/%00?%FF",
		"coap://u@h", "coap://h:0", "coap:h", "coap://h#",
	} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		u, err := ParseURI(uri)
		if err != nil {
			require.Nil(t, u)
			return
		}
		require.NoError(t, u.Options().Validate())
		again, err := ParseURI(u.String())
		require.NoError(t, err)
		require.Equal(t, u.String(), again.String())
		require.Equal(t, u.Address(), again.Address())
		again.Port = u.Port // String leaves the default out
		require.Equal(t, u, again)

		var o Options
		require.NoError(t, o.SetPath(u.Options().Path()))
		require.Equal(t, u.Path, o.PathSegments())
	})
}
