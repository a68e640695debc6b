package coap

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// A Mux is a Handler that hands requests on by their method and path. The zero
// value is ready for use.
//
// A pattern is a path, with a method before it where it is for that method alone:
// "/time", "GET /sensors/{name}", "PUT /files/{path...}". {name} stands for one
// segment, and {path...}, at the end, for all segments that are left, also none:
// Request.PathValue returns them. A segment that is written out wins over one that
// is not, and that over the rest of a path. Two patterns for the same requests are an
// error of the program.
//
// A request for a path that no pattern matches is answered with 4.04, and one with
// a method that no pattern for its path has with 4.05. A GET of /.well-known/core is
// answered with the list of what the Mux has, unless there is a pattern for it.
//
// The methods may be called from any goroutine.
type Mux struct {
	mu   sync.RWMutex
	root node
	list []*route // in the order of registration
}

// A node is a place in the tree of paths.
type node struct {
	literal map[string]*node
	one     *node           // for {name}
	rest    map[Code]*route // for {name...}; CodeEmpty: any method
	routes  map[Code]*route // for paths that end here
}

// A route is what a pattern leads to.
type route struct {
	pattern    string
	method     Code
	segments   []string // as in the pattern
	handler    Handler
	attributes []Attribute
}

// Handle registers a handler for a pattern. The attributes describe the resource in
// /.well-known/core. It panics if the pattern is not valid or there is one for the
// same requests.
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

// HandleFunc registers a function for a pattern, see Handle.
func (m *Mux) HandleFunc(pattern string, f func(w ResponseWriter, r *Request), attributes ...Attribute) {
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
	if path == "/" {
		return r, nil
	}
	r.segments = strings.Split(path[1:], "/")
	var names []string
	for i, segment := range r.segments {
		name, rest, ok := wildcard(segment)
		switch {
		case !ok && strings.ContainsAny(segment, "{}"):
			return nil, fmt.Errorf("braces must enclose a whole segment")
		case !ok:
		case name == "":
			return nil, fmt.Errorf("a wildcard has no name")
		case slices.Contains(names, name):
			return nil, fmt.Errorf("two wildcards have the name %q", name)
		case rest && i < len(r.segments)-1:
			return nil, fmt.Errorf("{%s...} is not at the end", name)
		default:
			names = append(names, name)
		}
	}
	return r, nil
}

// wildcard splits {name} and {name...}.
func wildcard(segment string) (name string, rest, ok bool) {
	name, ok = strings.CutPrefix(segment, "{")
	if !ok {
		return "", false, false
	}
	if name, ok = strings.CutSuffix(name, "}"); !ok {
		return "", false, false
	}
	name, rest = strings.CutSuffix(name, "...")
	return name, rest, true
}

// at returns the routes for a pattern, making the way to them.
func (n *node) at(segments []string) *map[Code]*route {
	for _, segment := range segments {
		_, rest, ok := wildcard(segment)
		switch {
		case rest:
			return &n.rest
		case ok:
			if n.one == nil {
				n.one = &node{}
			}
			n = n.one
		default:
			if n.literal == nil {
				n.literal = make(map[string]*node)
			}
			if n.literal[segment] == nil {
				n.literal[segment] = &node{}
			}
			n = n.literal[segment]
		}
	}
	return &n.routes
}

// find returns the route for a request. Where there is none, known says that there
// is one for another method.
func (n *node) find(method Code, path []string) (r *route, known bool) {
	if len(path) == 0 {
		if r, known = pick(n.routes, method); r != nil {
			return r, true
		}
	} else {
		for _, next := range []*node{n.literal[path[0]], n.one} {
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
	r, k := pick(n.rest, method)
	return r, known || k
}

func pick(routes map[Code]*route, method Code) (r *route, known bool) {
	if r = routes[method]; r == nil {
		r = routes[CodeEmpty]
	}
	return r, len(routes) > 0
}

// values returns what the wildcards of the pattern stand for in a path.
func (r *route) values(path []string) (values map[string]string) {
	for i, segment := range r.segments {
		name, rest, ok := wildcard(segment)
		if !ok {
			continue
		}
		if values == nil {
			values = make(map[string]string)
		}
		if rest {
			values[name] = strings.Join(path[i:], "/")
		} else {
			values[name] = path[i]
		}
	}
	return values
}

// Handler returns the handler for a request, and its pattern: "" where no pattern
// matches. It sets what PathValue returns.
func (m *Mux) Handler(r *Request) (h Handler, pattern string) {
	path := r.Options.PathSegments()
	m.mu.RLock()
	defer m.mu.RUnlock()
	found, known := m.root.find(r.Method, path)
	switch {
	case found != nil:
		r.values = found.values(path)
		return found.handler, found.pattern
	case !known && slices.Equal(path, wellKnownCore):
		return wellKnown{m}, ""
	case known:
		return answer(CodeMethodNotAllowed), ""
	}
	return answer(CodeNotFound), ""
}

// answer is a Handler that answers with a code.
type answer Code

func (a answer) ServeCoAP(w ResponseWriter, r *Request) { w.SetCode(Code(a)) }

// ServeCoAP hands the request on.
func (m *Mux) ServeCoAP(w ResponseWriter, r *Request) {
	h, _ := m.Handler(r)
	h.ServeCoAP(w, r)
}

// NotFound answers with 4.04.
func NotFound(w ResponseWriter, r *Request) { w.SetCode(CodeNotFound) }
