package coap

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func attribute(name, value string) Attribute { return Attribute{Name: name, Value: value} }

func flag(name string) Attribute { return Attribute{Name: name, Flag: true} }

func TestParseLinks(t *testing.T) {
	for _, tc := range []struct {
		text string
		want []Link
	}{
		{"", nil},
		{" \r\n", nil},
		{"</a>", []Link{{Target: "/a"}}},
		{"<>", []Link{{}}},
		// RFC 6690, section 5.
		{`</sensors>;ct=40;title="Sensor Index",</sensors/temp>;rt="temperature-c";if="sensor",` +
			`<http://www.example.com/sensors/t123>;anchor="/sensors/temp";rel="describedby",</t>;anchor="/sensors/temp";rel="alternate"`,
			[]Link{
				{"/sensors", []Attribute{attribute("ct", "40"), attribute("title", "Sensor Index")}},
				{"/sensors/temp", []Attribute{attribute("rt", "temperature-c"), attribute("if", "sensor")}},
				{"http://www.example.com/sensors/t123",
					[]Attribute{attribute("anchor", "/sensors/temp"), attribute("rel", "describedby")}},
				{"/t", []Attribute{attribute("anchor", "/sensors/temp"), attribute("rel", "alternate")}},
			}},
		{`</firmware/v2.1>;rt="firmware";sz=262144;obs`,
			[]Link{{"/firmware/v2.1",
				[]Attribute{attribute("rt", "firmware"), attribute("sz", "262144"), flag("obs")}}}},
		{`</a,b;c="d">;title="x,y;z=\"<\\>"`,
			[]Link{{`/a,b;c="d"`, []Attribute{attribute("title", `x,y;z="<\>`)}}}},
		{`</a>;rt=bare;x="";y=`,
			[]Link{{"/a", []Attribute{attribute("rt", "bare"), attribute("x", ""), attribute("y", "")}}}},
		{" </a> ; obs ; rt = \"b\" ,\r\n\t</c> ",
			[]Link{{"/a", []Attribute{flag("obs"), attribute("rt", "b")}}, {Target: "/c"}}},
		{`</a>;title*=UTF-8'de'%E2%82%AC;title="€"`,
			[]Link{{"/a", []Attribute{attribute("title*", "UTF-8'de'%E2%82%AC"), attribute("title", "€")}}}},
	} {
		links, err := ParseLinks([]byte(tc.text))
		require.NoError(t, err, tc.text)
		assert.Equal(t, tc.want, links, tc.text)
	}
}

func TestBadLinks(t *testing.T) {
	for text, want := range map[string]string{
		"/a":              "coap: links: expected < at byte 0",
		"</a":             "coap: links: no > at byte 1",
		"</a></b>":        "coap: links: expected a comma at byte 4",
		"</a>,":           "coap: links: expected < at byte 5",
		",</a>":           "coap: links: expected < at byte 0",
		"</a>,,</b>":      "coap: links: expected < at byte 5",
		"</a>;":           "coap: links: expected the name of an attribute at byte 5",
		"</a>;;obs":       "coap: links: expected the name of an attribute at byte 5",
		"</a>;=x":         "coap: links: expected the name of an attribute at byte 5",
		`</a>;"x"`:        "coap: links: expected the name of an attribute at byte 5",
		`</a>;rt="x`:      "coap: links: no closing quotation mark at byte 9",
		`</a>;rt="x\"`:    "coap: links: no closing quotation mark at byte 9",
		`</a>;rt="x\`:     "coap: links: no closing quotation mark at byte 9",
		`</a>;rt="x"y`:    "coap: links: expected a comma at byte 11",
		`</a>;rt=x y`:     "coap: links: expected a comma at byte 10",
		`</a>;rt=x"y"`:    "coap: links: expected a comma at byte 9",
		"</a>\x00":        "coap: links: expected a comma at byte 4",
		"</a>;obs;;</b>,": "coap: links: expected the name of an attribute at byte 9",
	} {
		links, err := ParseLinks([]byte(text))
		assert.EqualError(t, err, want, text)
		assert.Nil(t, links)
	}
}

func TestFormatLinks(t *testing.T) {
	for _, tc := range []struct {
		links []Link
		want  string
	}{
		{nil, ""},
		{[]Link{{Target: "/"}, {Target: "/b"}}, "</>,</b>"},
		{[]Link{{"/a", []Attribute{attribute("ct", "40"), attribute("sz", "5"), flag("obs")}}},
			"</a>;ct=40;sz=5;obs"},
		{[]Link{{"/a", []Attribute{attribute("ct", "40 41"), attribute("sz", "")}}},
			`</a>;ct="40 41";sz=""`},
		{[]Link{{"/a",
			[]Attribute{attribute("rt", "a b"), attribute("if", "5"), attribute("title", `say "\"`)}}},
			`</a>;rt="a b";if="5";title="say \"\\\""`},
		{[]Link{{"/a", []Attribute{attribute("hreflang", "de"), attribute("title*", "UTF-8''%41"),
			attribute("x*", "a;b")}}},
			`</a>;hreflang=de;title*=UTF-8''%41;x*="a;b"`},
		{[]Link{{"/a>;b, <\"\n%41ü", nil}}, "</a%3E;b,%20%3C%22%0A%41ü>"},
	} {
		text := FormatLinks(tc.links)
		assert.Equal(t, tc.want, string(text))
		_, err := ParseLinks(text)
		assert.NoError(t, err)
	}
}

func TestAttributesOfALink(t *testing.T) {
	l := Link{"/a", []Attribute{attribute("rt", "first"), flag("obs"), attribute("rt", "second")}}
	value, ok := l.Get("RT")
	assert.True(t, ok)
	assert.Equal(t, "first", value)
	value, ok = l.Get("obs")
	assert.True(t, ok)
	assert.Empty(t, value)
	_, ok = l.Get("sz")
	assert.False(t, ok)
}

func TestFilterLinks(t *testing.T) {
	links, err := ParseLinks(
		[]byte(`</link1>;rt="Type1 Type2";if="If1",</link2>;rt="Type2 Type3";if="If2",` +
			`</link3>;rt="Type1 Type3";if="foo",</path>;ct=40,</path/sub1>;ct="0 40";title="Type1 x";obs,</rt>;rt="Type1";rt=other`))
	require.NoError(t, err)
	for _, tc := range []struct {
		queries []string
		want    []string
	}{
		{nil, []string{"/link1", "/link2", "/link3", "/path", "/path/sub1", "/rt"}},
		{[]string{"rt=Type2"}, []string{"/link1", "/link2"}},
		{[]string{"rt=Type1"}, []string{"/link1", "/link3", "/rt"}},
		{[]string{"rt=other"}, []string{"/rt"}},
		{[]string{"rt=Type"}, nil},
		{[]string{"rt=type1"}, nil},
		{[]string{"RT=Type2"}, []string{"/link1", "/link2"}},
		{[]string{"rt=Type1 Type2"}, []string{"/link1"}},
		{[]string{"rt=Type1*"}, []string{"/link1", "/link3", "/rt"}},
		{[]string{"rt=*"}, []string{"/link1", "/link2", "/link3", "/rt"}},
		{[]string{"rt=*1"}, nil},
		{[]string{"if=If*"}, []string{"/link1", "/link2"}},
		{[]string{"href=/path"}, []string{"/path"}},
		{[]string{"href=/path*"}, []string{"/path", "/path/sub1"}},
		{[]string{"href=*"}, []string{"/link1", "/link2", "/link3", "/path", "/path/sub1", "/rt"}},
		{[]string{"href="}, nil},
		{[]string{"ct=40"}, []string{"/path", "/path/sub1"}},
		{[]string{"title=Type1"}, nil},
		{[]string{"title=Type1 x"}, []string{"/path/sub1"}},
		{[]string{"obs"}, []string{"/path/sub1"}},
		{[]string{"if"}, []string{"/link1", "/link2", "/link3"}},
		{[]string{"rt=Type1", "if=foo"}, []string{"/link3"}},
		{[]string{"rt=Type1", "rt=Type2"}, []string{"/link1"}},
		{[]string{"rt=Type2", "if=foo"}, nil},
		{[]string{"unknown=*"}, nil},
		{[]string{""}, nil},
	} {
		var got []string
		for _, l := range FilterLinks(links, tc.queries) {
			got = append(got, l.Target)
		}
		assert.Equal(t, tc.want, got, tc.queries)
	}
	assert.Len(t, links, 6)
	assert.Equal(t, "/link1", links[0].Target, "the links of the caller stay")
}

func FuzzParseLinks(f *testing.F) {
	for _, text := range []string{
		`</sensors>;ct=40;title="Sensor Index",</sensors/temp>;rt="temperature-c";if="sensor"`,
		`</a>;sz=1;obs,<http://h/>;title*=UTF-8''%41;title="\"\\"`,
		" </a b> ; ct = \"40 41\" ,\r\n</c>;hreflang=de;x=",
		`</a>;rt="x`, "</a>,", "<",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		links, err := ParseLinks(data)
		if err != nil {
			require.Nil(t, links)
			return
		}
		text := FormatLinks(links)
		again, err := ParseLinks(text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, string(text), string(FormatLinks(again)))
		require.Len(t, again, len(links))
		for i := range links { // the targets may have been encoded
			require.Equal(t, links[i].Attributes, again[i].Attributes, "%q", text)
		}
	})
}
