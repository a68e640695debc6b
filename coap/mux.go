package coap

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// A Mux is a Handler that passes requests to other handlers by their method and path. The zero
// value is ready for use.
//
// A pattern is a path, optionally with a method before it: "/time", "GET /sensors/{name}", "PUT
// /files/{path...}". {name} matches one segment, and {path...}, at the end, matches all remaining
// segments, of which there may be none: Request.PathValue returns them. Literal segments are
// percent-encoded as in a URI; {$} at the end matches the empty string, as in "/{$}". A literal
// segment takes precedence over {name}, and {name} over {path...}. Registering two patterns for the
// same requests panics.
//
// A request for a path that no pattern matches is answered with 4.04, and one whose method no
// pattern for its path has with 4.05. One whose path has a segment "." or ".." is answered with
// 4.00 (RFC 7252, section 5.10.1). A GET of /.well-known/core is answered with the list of
// resources, unless there is a pattern without wildcards for it.
//
// The methods may be called from any goroutine.
type Mux struct {
	mu   sync.RWMutex
	root branch
	list []*route // in the order of registration
}

// A branch is a place in the tree of paths.
type branch struct {
	literal map[string]*branch
	one     *branch         // for {name}
	rest    map[Code]*route // for {name...}; CodeEmpty: any method
	routes  map[Code]*route // for paths that end here
}

// A route is a pattern with its handler.
type route struct {
	pattern    string
	method     Code
	segments   []segment
	handler    Handler
	attributes []Attribute
}

// A segment is a part of a pattern between slashes.
type segment struct {
	text       string // the name of a wildcard, or a literal, decoded
	wild, rest bool   // {text}, {text...}
}

// Handle registers a handler for a pattern. The attributes describe the resource in
// /.well-known/core. Handle panics if the pattern is not valid, or if there is one for the same
// requests already.
func (m *Mux) Handle(pattern string, h Handler, attributes ...Attribute) {
	r, err := parsePattern(pattern)
	if err == nil && h == nil {
		err = fmt.Errorf("the handler is nil")
	}
	if err != nil {
		panic(fmt.Sprintf("coap: pattern %q: %v", pattern, err))
	}
	r.handler, r.attributes = h, attributes
	m.mu.Lock()
	defer m.mu.Unlock()
	routes := m.root.at(r.segments)
	if *routes == nil {
		*routes = make(map[Code]*route)
	}
	if other := (*routes)[r.method]; other != nil {
		panic(fmt.Sprintf("coap: pattern %q is for the same requests as %q", pattern, other.pattern))
	}
	(*routes)[r.method] = r
	m.list = append(m.list, r)
}

// HandleFunc registers a function as a handler, see Handle.
func (m *Mux) HandleFunc(pattern string, f func(w ResponseWriter, r *Request),
	attributes ...Attribute) {
	m.Handle(pattern, HandlerFunc(f), attributes...)
}

func parsePattern(pattern string) (*route, error) {
	r := &route{pattern: pattern}
	path := pattern
	if method, rest, ok := strings.Cut(pattern, " "); ok {
		for code := MethodGet; code <= MethodIPatch; code++ {
			if strings.EqualFold(code.String(), method) {
				r.method = code
			}
		}
		if r.method == CodeEmpty {
			return nil, fmt.Errorf("there is no method %q", method)
		}
		path = strings.TrimLeft(rest, " ")
	}
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("the path does not begin with /")
	}
	if path == "/" || path == "/{$}" {
		return r, nil
	}
	parts := strings.Split(path[1:], "/")
	for i, part := range parts {
		last := i == len(parts)-1
		if part == "{$}" && last {
			part = ""
		}
		next, err := parseSegment(part)
		switch {
		case err != nil:
			return nil, err
		case next.rest && !last:
			return nil, fmt.Errorf("%s is not at the end", part)
		case next.wild && r.hasName(next.text):
			return nil, fmt.Errorf("two wildcards have the name %q", next.text)
		}
		r.segments = append(r.segments, next)
	}
	return r, nil
}

func parseSegment(part string) (segment, error) {
	if !strings.ContainsAny(part, "{}") {
		text, err := unescape("segment", []string{part})
		if err != nil {
			return segment{}, err
		}
		return segment{text: text[0]}, nil
	}
	name, opened := strings.CutPrefix(part, "{")
	name, closed := strings.CutSuffix(name, "}")
	if !opened || !closed || strings.ContainsAny(name, "{}") {
		return segment{}, fmt.Errorf("braces must enclose a whole segment")
	}
	name, rest := strings.CutSuffix(name, "...")
	switch name {
	case "":
		return segment{}, fmt.Errorf("a wildcard has no name")
	case "$":
		return segment{}, fmt.Errorf("{$} is not at the end")
	}
	return segment{text: name, wild: true, rest: rest}, nil
}

// at returns the routes for a pattern. It makes the branches that lead to them.
func (b *branch) at(segments []segment) *map[Code]*route {
	for _, s := range segments {
		switch {
		case s.rest:
			return &b.rest
		case s.wild:
			if b.one == nil {
				b.one = &branch{}
			}
			b = b.one
		default:
			if b.literal == nil {
				b.literal = make(map[string]*branch)
			}
			if b.literal[s.text] == nil {
				b.literal[s.text] = &branch{}
			}
			b = b.literal[s.text]
		}
	}
	return &b.routes
}

// find returns the route for a request. If there is none, known reports whether there is one for
// another method.
func (b *branch) find(method Code, path []string) (r *route, known bool) {
	if len(path) == 0 {
		if r, known = pick(b.routes, method); r != nil {
			return r, true
		}
	} else {
		for _, next := range []*branch{b.literal[path[0]], b.one} {
			if next == nil {
				continue
			}
			r, k := next.find(method, path[1:])
			if r != nil {
				return r, true
			}
			known = known || k
		}
	}
	r, k := pick(b.rest, method)
	return r, known || k
}

func pick(routes map[Code]*route, method Code) (r *route, known bool) {
	if r = routes[method]; r == nil {
		r = routes[CodeEmpty]
	}
	return r, len(routes) > 0
}

// hasWildcard reports whether the pattern matches more than one path.
func (r *route) hasWildcard() bool {
	return slices.ContainsFunc(r.segments, func(s segment) bool { return s.wild })
}

// hasName reports whether a wildcard of the pattern has a name.
func (r *route) hasName(name string) bool {
	return slices.ContainsFunc(r.segments, func(s segment) bool { return s.wild && s.text == name })
}

// values returns what the wildcards of the pattern match in a path.
func (r *route) values(path []string) (values map[string]string) {
	for i, s := range r.segments {
		if !s.wild {
			continue
		}
		if values == nil {
			values = make(map[string]string)
		}
		if s.rest {
			values[s.text] = strings.Join(path[i:], "/")
		} else {
			values[s.text] = path[i]
		}
	}
	return values
}

// Handler returns the handler for a request, and its pattern, or "" if no pattern matches. It sets
// the values that Request.PathValue returns.
func (m *Mux) Handler(r *Request) (h Handler, pattern string) {
	path := r.Options.PathSegments()
	if len(path) == 1 && path[0] == "" { // the same URI (RFC 7252, section 6.5)
		path = nil
	}
	if slices.Contains(path, ".") || slices.Contains(path, "..") {
		return answer(CodeBadRequest), ""
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	found, known := m.root.find(r.Method, path)
	switch {
	case slices.Equal(path, wellKnownCore) && (found == nil || found.hasWildcard()):
		return wellKnown{m}, ""
	case found != nil:
		r.values = found.values(path)
		return found.handler, found.pattern
	case known:
		return answer(CodeMethodNotAllowed), ""
	}
	return answer(CodeNotFound), ""
}

// answer is a Handler that answers with a code.
type answer Code

func (a answer) ServeCoAP(w ResponseWriter, r *Request) { w.SetCode(Code(a)) }

// ServeCoAP passes the request to the handler that Handler returns.
func (m *Mux) ServeCoAP(w ResponseWriter, r *Request) {
	h, _ := m.Handler(r)
	h.ServeCoAP(w, r)
}

// NotFound answers with 4.04.
func NotFound(w ResponseWriter, r *Request) { w.SetCode(CodeNotFound) }
