package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gnucoap/gnucoap/coap"
)

// The resource / says this, byte for byte as libcoap's coap-server does.
const (
	index43 = "This is a test server made with libcoap (see https://libcoap.net)\n" +
		"Copyright (C) 2010--2022 Olaf Bergmann <bergmann@tzi.org> and others\n\n"
	index42 = "This is a test server made with libcoap (see https://libcoap.net)\n" +
		"Copyright (C) 2010--2019 Olaf Bergmann <bergmann@tzi.org> and others\n\n"
)

const (
	indexMaxAge  = 0x2ffff * time.Second
	exampleSize  = 1500
	asyncDefault = 4 * time.Second
	asyncMost    = time.Minute
)

// A resource answers for a path.
type resource struct {
	path       string // without its first slash
	methods    map[coap.Code]coap.HandlerFunc
	attributes []coap.Attribute
	multicast  bool           // also with -r
	observable *coap.Resource // or nil
}

func (res *resource) link() coap.Link {
	l := coap.Link{Target: "/" + res.path, Attributes: res.attributes}
	if res.observable != nil {
		l.Attributes = append(slices.Clone(l.Attributes), coap.Attr("obs"))
	}
	return l
}

// ServeCoAP calls the handler of the method.
func (res *resource) ServeCoAP(w coap.ResponseWriter, r *coap.Request) {
	handler := res.methods[r.Method]
	if handler == nil {
		fail(w, coap.CodeMethodNotAllowed)
		return
	}
	handler(w, r)
}

func (res *resource) handler() coap.Handler {
	if res.observable != nil {
		return res.observable
	}
	return res
}

// makeObservable lets clients observe the resource.
func (res *resource) makeObservable(nonConfirmable bool) {
	res.observable = coap.NewResource(coap.HandlerFunc(res.ServeCoAP))
	res.observable.NonConfirmable = nonConfirmable
}

// fail answers with an error and its name, as libcoap does for what no handler decides.
func fail(w coap.ResponseWriter, code coap.Code) {
	w.SetCode(code)
	_, phrase, _ := strings.Cut(code.String(), " ")
	fmt.Fprint(w, phrase)
}

// A site is what the server offers.
type site struct {
	o    *options
	time *resource

	mu       sync.Mutex  // guards what follows
	list     []*resource // in the order of registration
	dynamic  int         // of list
	clock    clock
	example  []byte // nil: nobody has asked for it
	exampleT uint64 // its content format
}

func newSite(o *options) *site {
	s := &site{o: o}
	s.clock.reset()
	text := coap.Attr("ct", "0")
	s.list = append(s.list, &resource{
		multicast:  true,
		methods:    map[coap.Code]coap.HandlerFunc{coap.MethodGet: s.getIndex},
		attributes: []coap.Attribute{coap.Attr("title", "General Info"), text},
	})
	s.time = &resource{
		path: "time",
		methods: map[coap.Code]coap.HandlerFunc{
			coap.MethodGet: s.getTime, coap.MethodPut: s.putTime, coap.MethodDelete: s.deleteTime,
		},
		attributes: []coap.Attribute{coap.Attr("if", "clock"), coap.Attr("rt", "ticks"),
			coap.Attr("title", "Internal Clock"), text},
	}
	s.time.makeObservable(o.nonConfirmable)
	s.list = append(s.list, s.time, &resource{
		path:       "async",
		multicast:  true,
		methods:    map[coap.Code]coap.HandlerFunc{coap.MethodGet: s.getAsync},
		attributes: []coap.Attribute{text},
	})
	if !o.old {
		s.time.methods[coap.MethodFetch] = s.getTime
		example := &resource{
			path:       "example_data",
			attributes: []coap.Attribute{coap.Attr("title", "Example Data"), text},
		}
		example.methods = map[coap.Code]coap.HandlerFunc{
			coap.MethodGet: s.getExample,
			coap.MethodPut: func(w coap.ResponseWriter, r *coap.Request) { s.putExample(example, w, r) },
		}
		example.makeObservable(o.nonConfirmable)
		s.list = append(s.list, example)
	}
	return s
}

// ServeCoAP hands a request to its resource.
func (s *site) ServeCoAP(w coap.ResponseWriter, r *coap.Request) {
	path := strings.TrimPrefix(r.Options.Path(), "/")
	res := s.find(path)
	switch {
	case res != nil && r.Multicast && s.o.perResource && !res.multicast:
		fail(w, coap.CodeMethodNotAllowed)
	case res != nil:
		res.handler().ServeCoAP(w, r)
	case path == ".well-known/core":
		s.serveWellKnown(w, r)
	case s.o.dynamic > 0 && (r.Method == coap.MethodPut || r.Method == coap.MethodPost && !s.o.old):
		s.create(path, w, r)
	case r.Method == coap.MethodDelete:
		fail(w, coap.CodeDeleted)
	default:
		fail(w, coap.CodeNotFound)
	}
}

func (s *site) find(path string) *resource {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.list, func(res *resource) bool { return res.path == path })
	if i < 0 {
		return nil
	}
	return s.list[i]
}

func (s *site) serveWellKnown(w coap.ResponseWriter, r *coap.Request) {
	if r.Method != coap.MethodGet {
		fail(w, coap.CodeMethodNotAllowed)
		return
	}
	s.mu.Lock()
	links := make([]coap.Link, len(s.list))
	for i, res := range s.list {
		links[i] = res.link()
	}
	s.mu.Unlock()
	links = coap.FilterLinks(links, r.Options.Queries())
	if len(links) == 0 && r.Multicast { // RFC 6690, section 4.1
		fail(w, coap.CodeNotFound)
		return
	}
	w.Options().SetContentFormat(coap.LinkFormat)
	w.Write(coap.FormatLinks(links))
}

func (s *site) getIndex(w coap.ResponseWriter, r *coap.Request) {
	text := index43
	if s.o.old {
		text = index42
	}
	w.Options().SetContentFormat(coap.TextPlain)
	w.Options().SetMaxAge(indexMaxAge)
	fmt.Fprint(w, text)
}

// A clock is what /time shows.
type clock struct {
	ahead   time.Duration // of the system's
	deleted bool
}

func (c *clock) reset() { *c = clock{} }

func (c *clock) now() time.Time { return time.Now().Add(c.ahead).UTC() }

func (s *site) getTime(w coap.ResponseWriter, r *coap.Request) {
	s.mu.Lock()
	c := s.clock
	s.mu.Unlock()
	if c.deleted {
		w.SetCode(coap.CodeNotFound)
		return
	}
	ticks := r.Method == coap.MethodGet && slices.Equal(r.Options.Queries(), []string{"ticks"}) ||
		r.Method == coap.MethodFetch && string(r.Body) == "ticks"
	w.Options().SetContentFormat(coap.TextPlain)
	w.Options().SetMaxAge(time.Second)
	if ticks {
		fmt.Fprint(w, c.now().Unix())
	} else {
		fmt.Fprint(w, c.now().Format("Jan 02 15:04:05"))
	}
}

// maxTime is the most seconds since 1970 that the clock can be set to: the year 9999.
const maxTime = 253402300799

func (s *site) putTime(w coap.ResponseWriter, r *coap.Request) {
	defer s.time.observable.Notify()
	s.mu.Lock()
	defer s.mu.Unlock()
	code := coap.CodeChanged
	if s.clock.deleted {
		code = coap.CodeCreated
	}
	s.clock.reset()
	if len(r.Body) > 0 {
		seconds, err := strconv.ParseUint(string(r.Body), 10, 63)
		if err != nil || seconds > maxTime {
			w.SetCode(coap.CodeBadRequest)
			w.Options().SetContentFormat(coap.TextPlain)
			fmt.Fprint(w, "Invalid set time value")
			return
		}
		s.clock.ahead = time.Duration(int64(seconds)-time.Now().Unix()) * time.Second
	}
	w.SetCode(code)
}

func (s *site) deleteTime(w coap.ResponseWriter, r *coap.Request) {
	s.mu.Lock()
	s.clock.deleted = true
	s.mu.Unlock()
	w.SetCode(coap.CodeDeleted)
}

// asyncDelay is how long a query has /async wait: a minute at most.
func asyncDelay(queries []string) (delay time.Duration, ok bool) {
	if len(queries) == 0 {
		return asyncDefault, true
	}
	seconds, err := strconv.ParseUint(strings.Join(queries, "&"), 10, 31)
	return min(time.Duration(seconds)*time.Second, asyncMost), err == nil
}

// getAsync answers after the seconds of its query.
func (s *site) getAsync(w coap.ResponseWriter, r *coap.Request) {
	delay, ok := asyncDelay(r.Options.Queries())
	if !ok || delay == 0 && !s.o.old {
		w.SetCode(coap.CodeBadRequest)
		return
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
	w.Options().SetContentFormat(coap.TextPlain)
	fmt.Fprint(w, "done")
}

// initialExample is 1500 bytes, in tens of which each begins with a letter.
func initialExample() []byte {
	data := make([]byte, exampleSize)
	for i := range data {
		if i%10 == 0 {
			data[i] = byte('a' + i/10%26)
		} else {
			data[i] = byte('0' + i%10)
		}
	}
	return data
}

func (s *site) getExample(w coap.ResponseWriter, r *coap.Request) {
	s.mu.Lock()
	if s.example == nil {
		s.example = initialExample()
	}
	data, format := s.example, s.exampleT
	s.mu.Unlock()
	w.Options().SetUint(coap.OptionContentFormat, format)
	w.Write(data)
}

func (s *site) putExample(res *resource, w coap.ResponseWriter, r *coap.Request) {
	s.mu.Lock()
	code := coap.CodeChanged
	if s.example == nil {
		code = coap.CodeCreated
	}
	s.example = append([]byte{}, r.Body...)
	s.exampleT = contentFormat(r)
	s.mu.Unlock()
	w.SetCode(code)
	s.echo(w, r.Body, contentFormat(r))
	res.observable.Notify()
}

// contentFormat is that of a request's body: plain text, where it does not say.
func contentFormat(r *coap.Request) uint64 {
	format, _ := r.Options.ContentFormat()
	return uint64(format)
}

// echo sends a body back with -e.
func (s *site) echo(w coap.ResponseWriter, body []byte, format uint64) {
	if s.o.echo {
		w.Options().SetUint(coap.OptionContentFormat, format)
		w.Write(body)
	}
}

// create makes a resource that a client puts or posts.
func (s *site) create(path string, w coap.ResponseWriter, r *coap.Request) {
	format := contentFormat(r)
	res := &resource{
		path:       path,
		attributes: []coap.Attribute{coap.Attr("ct", fmt.Sprint(format)), coap.Attr("title", "Dynamic")},
	}
	d := &dynamic{site: s, resource: res, format: format, value: append([]byte{}, r.Body...)}
	res.methods = map[coap.Code]coap.HandlerFunc{
		coap.MethodGet: d.get, coap.MethodPut: d.put, coap.MethodDelete: d.delete,
	}
	if !s.o.old {
		res.methods[coap.MethodPost] = d.put
	}
	res.makeObservable(s.o.nonConfirmable)
	if !s.add(res) {
		w.SetCode(coap.CodeNotAcceptable)
		return
	}
	w.SetCode(coap.CodeCreated)
	if r.Method == coap.MethodPost {
		for _, segment := range r.Options.PathSegments() {
			w.Options().AddString(coap.OptionLocationPath, segment)
		}
		for _, argument := range r.Options.Queries() {
			w.Options().AddString(coap.OptionLocationQuery, argument)
		}
	}
	s.echo(w, r.Body, format)
}

// add reports whether there is room for one more resource of clients.
func (s *site) add(res *resource) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dynamic >= s.o.dynamic ||
		slices.ContainsFunc(s.list, func(other *resource) bool { return other.path == res.path }) {
		return false
	}
	s.dynamic++
	s.list = append(s.list, res)
	return true
}

func (s *site) remove(res *resource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.list, res); i >= 0 {
		s.list = slices.Delete(s.list, i, i+1)
		s.dynamic--
	}
}

// A dynamic is a resource that a client has made. The lock of the site guards value.
type dynamic struct {
	site     *site
	resource *resource
	format   uint64
	value    []byte
}

func (d *dynamic) get(w coap.ResponseWriter, r *coap.Request) {
	d.site.mu.Lock()
	value := d.value
	d.site.mu.Unlock()
	w.Options().SetUint(coap.OptionContentFormat, d.format)
	w.Write(value)
}

func (d *dynamic) put(w coap.ResponseWriter, r *coap.Request) {
	d.site.mu.Lock()
	d.value = append([]byte{}, r.Body...)
	d.site.mu.Unlock()
	w.SetCode(coap.CodeChanged)
	d.site.echo(w, r.Body, d.format)
	d.resource.observable.Notify()
}

func (d *dynamic) delete(w coap.ResponseWriter, r *coap.Request) {
	d.site.remove(d.resource)
	d.resource.observable.Cancel(coap.CodeNotFound)
	w.SetCode(coap.CodeDeleted)
}

// tick tells the observers of /time every second, until the channel is closed.
func (s *site) tick(done <-chan struct{}) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.time.observable.Notify()
		case <-done:
			return
		}
	}
}
