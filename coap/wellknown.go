package coap

import (
	"slices"
	"strings"
)

var wellKnownCore = []string{".well-known", "core"}

// Links returns the resources of the Mux as /.well-known/core lists them (RFC 6690):
// one link for each path without wildcards, in the order of registration, with the
// attributes that it was registered with (of several with one name, the first), and
// obs where that is a Resource (RFC 7641, section 6).
func (m *Mux) Links() []Link {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var links []Link
	for _, r := range m.list {
		if r.hasWildcard() {
			continue
		}
		if target := r.target(); target != "/.well-known/core" {
			links = addLink(links, target, r)
		}
	}
	return links
}

// target returns the path of a pattern without wildcards.
func (r *route) target() string {
	path := make([]string, len(r.segments))
	for i, s := range r.segments {
		path[i] = s.text
	}
	return joinPath(path)
}

// addLink adds a link, or to the link that there is for another method.
func addLink(links []Link, target string, r *route) []Link {
	i := slices.IndexFunc(links, func(l Link) bool { return l.Target == target })
	if i < 0 {
		i = len(links)
		links = append(links, Link{Target: target})
	}
	attributes := r.attributes
	if isObservable(r.handler) {
		attributes = append(slices.Clone(attributes), Attr("obs"))
	}
	for _, a := range attributes {
		if _, ok := links[i].Get(a.Name); !ok { // most may be there only once
			links[i].Attributes = append(links[i].Attributes, a)
		}
	}
	return links
}

func isObservable(h Handler) bool {
	if i, ok := h.(inline); ok {
		h = i.Handler
	}
	_, ok := h.(*Resource)
	return ok
}

// wellKnown answers for /.well-known/core.
type wellKnown struct{ m *Mux }

func (k wellKnown) ServeCoAP(w ResponseWriter, r *Request) {
	if r.Method != MethodGet {
		w.SetCode(CodeMethodNotAllowed)
		return
	}
	if format, ok := r.Options.Accept(); ok && format != LinkFormat {
		w.SetCode(CodeNotAcceptable)
		return
	}
	links := FilterLinks(k.m.Links(), r.Options.Queries())
	if len(links) == 0 && r.Multicast { // RFC 6690, section 4.1
		w.SetCode(CodeNotFound)
		return
	}
	w.Options().SetContentFormat(LinkFormat)
	w.Write(FormatLinks(links))
}

// Attr returns an attribute of a resource: rt for its types and if for its
// interfaces, each separated by spaces, title, ct for its formats, sz for its size,
// and any other (RFC 6690, section 3). Without a value it is a flag.
func Attr(name string, value ...string) Attribute {
	return Attribute{Name: name, Value: strings.Join(value, " "), Flag: len(value) == 0}
}
