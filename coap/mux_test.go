package coap

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serveDirectly has h answer a request without a network.
func serveDirectly(t testing.TB, h Handler, method Code, path string) *response {
	t.Helper()
	r, err := NewRequest(method, path)
	require.NoError(t, err)
	w := &response{}
	h.ServeCoAP(w, r)
	return w
}

func TestMuxPicksTheMostSpecificPattern(t *testing.T) {
	var m Mux
	for _, pattern := range []string{
		"/", "/a", "GET /a/b", "PUT /a/b", "/a/{x}", "/a/{x}/c", "/a/b/{rest...}", "POST /a/{x}", "/a//",
		"/{one}/{two}/{three...}", "/q%2Fr",
		"/%C3%A9/%7Bx%7D/{$}",
	} {
		m.HandleFunc(pattern, func(w ResponseWriter, r *Request) {
			w.Write([]byte(pattern))
			for _, name := range []string{"x", "rest", "one", "two", "three"} {
				if v := r.PathValue(name); v != "" {
					w.Write([]byte(" " + name + "=" + v))
				}
			}
		})
	}
	for _, test := range []struct {
		method Code
		path   string
		want   string // "": none
		code   Code
	}{
		{MethodGet, "/", "/", 0},
		{MethodGet, "", "/", 0},
		{MethodGet, "/a", "/a", 0},
		{MethodGet, "a", "/a", 0},
		{MethodGet, "/a/b", "GET /a/b", 0},
		{MethodPut, "/a/b", "PUT /a/b", 0},
		{MethodDelete, "/a/b", "/a/b/{rest...}", 0},
		{MethodPost, "/a/b", "/a/b/{rest...}", 0},
		{MethodPost, "/a/z", "POST /a/{x} x=z", 0},
		{MethodGet, "/a/z", "/a/{x} x=z", 0},
		{MethodGet, "/a/b/c", "/a/b/{rest...} rest=c", 0},
		{MethodGet, "/a/z/c", "/a/{x}/c x=z", 0},
		{MethodGet, "/a/z/d", "/{one}/{two}/{three...} one=a two=z three=d", 0},
		{MethodGet, "/a/x%2Fy", "/a/{x} x=x/y", 0},
		{MethodGet, "/a//", "/a//", 0},
		{MethodGet, "/s/t", "/{one}/{two}/{three...} one=s two=t", 0},
		{MethodGet, "/q%2Fr", "/q%2Fr", 0},
		{MethodGet, "/%C3%A9/%7Bx%7D/", "/%C3%A9/%7Bx%7D/{$}", 0},
		{MethodGet, "/%C3%A9/%7Bx%7D", "/{one}/{two}/{three...} one=é two={x}", 0},
		{MethodGet, "/s", "", CodeNotFound},
	} {
		w := serveDirectly(t, &m, test.method, test.path)
		assert.Equal(t, test.want, string(w.body), "%v %s", test.method, test.path)
		assert.Equal(t, test.code, w.code, "%v %s", test.method, test.path)
	}
}

func TestMuxTellsAnotherMethodFromAnotherPath(t *testing.T) {
	var m Mux
	m.Handle("GET /only", hello)
	assert.Equal(t, CodeMethodNotAllowed, serveDirectly(t, &m, MethodPut, "/only").code)
	assert.Equal(t, CodeNotFound, serveDirectly(t, &m, MethodPut, "/other").code)
	assert.Equal(t, CodeNotFound, serveDirectly(t, &m, MethodDelete, "/only/more").code)
	assert.Equal(t, CodeNotFound, serveDirectly(t, &Mux{}, MethodGet, "/").code)
}

func TestMuxRefusesBadPatterns(t *testing.T) {
	for pattern, problem := range map[string]string{
		"":                     "begin with /",
		"a":                    "begin with /",
		"FROB /a":              `no method "FROB"`,
		"/{}":                  "no name",
		"/{...}":               "no name",
		"/a{b}":                "whole segment",
		"/{a":                  "whole segment",
		"/{a}/{a}":             "two wildcards",
		"/{a...}/b":            "not at the end",
		"GET /taken":           "same requests",
		"GET /wild/{other}":    "same requests",
		"/rest/{something...}": "same requests",
		"GET /%74aken":         "same requests",
		"/{$}/a":               "{$} is not at the end",
		"/a/%zz":               "%zz",
	} {
		var m Mux
		m.Handle("GET /taken", hello)
		m.Handle("GET /wild/{name}", hello)
		m.Handle("/rest/{rest...}", hello)
		func() {
			defer func() { assert.Contains(t, recover(), problem, pattern) }()
			m.Handle(pattern, hello)
		}()
	}
	assert.Panics(t, func() { new(Mux).Handle("/", nil) })
}

func TestMuxRefusesSegmentsThatAreNone(t *testing.T) {
	var m Mux
	m.Handle("/files/{path...}", hello)
	for _, path := range [][]string{{"files", ".."}, {"files", "a", "..", "b"}, {"."}} {
		r := get()
		for _, segment := range path {
			r.Options.AddString(OptionURIPath, segment)
		}
		w := &response{}
		m.ServeCoAP(w, r)
		assert.Equal(t, CodeBadRequest, w.code, path)
		assert.Empty(t, w.body)
	}
}

func TestMuxTakesAnEmptySegmentForTheRoot(t *testing.T) {
	for _, pattern := range []string{"/", "/{$}"} {
		var m Mux
		m.Handle(pattern, hello)
		r := get()
		r.Options.AddString(OptionURIPath, "")
		w := &response{}
		m.ServeCoAP(w, r)
		assert.Equal(t, "hello", string(w.body))
		assert.Equal(t, CodeNotFound, serveDirectly(t, &m, MethodGet, "/a").code)
	}
}

func TestMuxInsideMuxAndMiddleware(t *testing.T) {
	var inner, outer Mux
	inner.Handle("/in", hello)
	twice := func(h Handler) Handler {
		return HandlerFunc(func(w ResponseWriter, r *Request) {
			h.ServeCoAP(w, r)
			h.ServeCoAP(w, r)
		})
	}
	outer.Handle("/in", twice(&inner))
	assert.Equal(t, "hellohello", string(serveDirectly(t, &outer, MethodGet, "/in").body))
}

func TestMiddlewareGivesRequestsAnotherContext(t *testing.T) {
	type key struct{}
	var m Mux
	m.HandleFunc("/{name}", func(w ResponseWriter, r *Request) {
		fmt.Fprint(w, r.PathValue("name"), " ", r.Context().Value(key{}))
	})
	outer := HandlerFunc(func(w ResponseWriter, r *Request) {
		assert.Nil(t, r.Context().Value(key{}))
		m.ServeCoAP(w, r.WithContext(context.WithValue(r.Context(), key{}, "a value")))
		assert.Nil(t, r.Context().Value(key{}), "the request itself is the same")
	})
	assert.Equal(t, "a a value", string(serveDirectly(t, outer, MethodGet, "/a").body))
}

func TestWellKnownCoreListsTheResources(t *testing.T) {
	var m Mux
	m.Handle("GET /b", hello, Attr("rt", "Type1 Type2"), Attr("if", "If1"))
	m.Handle("PUT /b", hello, Attr("obs"))
	m.Handle("/a", hello, Attr("ct", "40"), Attr("title", `a "title"`))
	m.Handle("/a/{x}", hello)
	m.Handle("/", hello)
	for query, want := range map[string]string{
		"":            `</b>;rt="Type1 Type2";if="If1";obs,</a>;ct=40;title="a \"title\"",</>`,
		"?rt=Type2":   `</b>;rt="Type1 Type2";if="If1";obs`,
		"?rt=Type1*":  `</b>;rt="Type1 Type2";if="If1";obs`,
		"?if=If1":     `</b>;rt="Type1 Type2";if="If1";obs`,
		"?href=/a":    `</a>;ct=40;title="a \"title\""`,
		"?href=/*":    `</b>;rt="Type1 Type2";if="If1";obs,</a>;ct=40;title="a \"title\"",</>`,
		"?ct=40":      `</a>;ct=40;title="a \"title\""`,
		"?rt=Type3":   ``,
		"?rt=x&ct=40": ``,
	} {
		w := serveDirectly(t, &m, MethodGet, "/.well-known/core"+query)
		assert.Equal(t, want, string(w.body), query)
		format, _ := w.options.ContentFormat()
		assert.Equal(t, LinkFormat, format)
	}
	assert.Equal(t, CodeMethodNotAllowed, serveDirectly(t, &m, MethodPut, "/.well-known/core").code)
	m.Handle("/.well-known/core", hello)
	assert.Equal(t, "hello", string(serveDirectly(t, &m, MethodGet, "/.well-known/core").body))
}

func TestWildcardsLeaveWellKnownCoreAlone(t *testing.T) {
	var m Mux
	m.Handle("/{all...}", hello)
	m.Handle("PUT /{a}/{b}", hello)
	m.Handle("GET /%7B", hello, Attr("rt", "first"), Attr("ct", "0"))
	m.Handle("PUT /%7B", hello, Attr("rt", "second"), Attr("sz", "5"))
	assert.Equal(t, `</%7B>;rt="first";ct=0;sz=5`,
		string(serveDirectly(t, &m, MethodGet, "/.well-known/core").body))
	assert.Equal(t, CodeMethodNotAllowed, serveDirectly(t, &m, MethodPut, "/.well-known/core").code)
	m.Handle("PUT /.well-known/core", hello)
	assert.Equal(t, "hello", string(serveDirectly(t, &m, MethodPut, "/.well-known/core").body))
	assert.Contains(t, string(serveDirectly(t, &m, MethodGet, "/.well-known/core").body), "rt=")
}
