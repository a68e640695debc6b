package main

import (
	"errors"
	"slices"
	"time"

	"github.com/gnucoap/gnucoap/coap"
)

var coreCases = []testCase{
	{"CORE_01", "GET, confirmable", func(t *tester) error { return t.read("/test") }},
	{"CORE_02", "DELETE, confirmable", func(t *tester) error { return t.remove("/test") }},
	{"CORE_03", "PUT, confirmable", func(t *tester) error { return t.write(coap.MethodPut, "/test") }},
	{"CORE_04", "POST, confirmable",
		func(t *tester) error { return t.write(coap.MethodPost, "/test") }},
	{"CORE_05", "GET, non-confirmable",
		func(t *tester) error { return t.read("/test", nonConfirmable) }},
	{"CORE_06", "DELETE, non-confirmable",
		func(t *tester) error { return t.remove("/test", nonConfirmable) }},
	{"CORE_07", "PUT, non-confirmable",
		func(t *tester) error { return t.write(coap.MethodPut, "/test", nonConfirmable) }},
	{"CORE_08", "POST, non-confirmable",
		func(t *tester) error { return t.write(coap.MethodPost, "/test", nonConfirmable) }},
	{"CORE_09", "GET with a separate response", func(t *tester) error { return t.read("/separate") }},
	{"CORE_10", "GET with a token", func(t *tester) error { return t.read("/test") }},
	{"CORE_11", "separate response with a token",
		func(t *tester) error { return t.read("/separate") }},
	{"CORE_12", "GET without a token",
		func(*tester) error { return skip("this client has a token in each request") }},
	{"CORE_13", "several Uri-Path options",
		func(t *tester) error { return t.read("/seg1/seg2/seg3") }},
	{"CORE_14", "several Uri-Query options",
		func(t *tester) error { return t.read("/query?first=1&second=2&third=3") }},
	{"CORE_15", "piggybacked response, datagrams lost",
		func(t *tester) error { return t.lossy("/test") }},
	{"CORE_16", "separate response, datagrams lost",
		func(t *tester) error { return t.lossy("/separate") }},
	{"CORE_17", "separate response, non-confirmable",
		func(t *tester) error { return t.read("/separate", nonConfirmable) }},
	{"CORE_18", "POST answered with Location-Path", (*tester).locationPath},
	{"CORE_19", "POST answered with Location-Query", (*tester).locationQuery},
	{"CORE_20", "Accept", (*tester).accept},
	{"CORE_21", "ETag", (*tester).validate},
	{"CORE_22", "If-Match", (*tester).ifMatch},
	{"CORE_23", "If-None-Match", (*tester).ifNoneMatch},
	{"CORE_31", "ping", func(t *tester) error { return t.session.Ping(t.ctx) }},
}

func (t *tester) read(path string, change ...func(*coap.Request)) error {
	response, err := t.expect(one(coap.CodeContent), coap.MethodGet, path, change...)
	if err != nil {
		return err
	}
	return check(len(response.Body) > 0, "%s is empty", path)
}

func (t *tester) remove(path string, change ...func(*coap.Request)) error {
	_, err := t.expect(one(coap.CodeDeleted), coap.MethodDelete, path, change...)
	return err
}

func (t *tester) write(method coap.Code, path string, change ...func(*coap.Request)) error {
	_, err := t.expect(created2xx, method, path, append(change, body("written by the plugtest"))...)
	return err
}

func (t *tester) locationPath() error {
	response, err := t.expect(one(coap.CodeCreated), coap.MethodPost, "/test", body("x"))
	if err != nil {
		return err
	}
	path := values(response, coap.OptionLocationPath)
	return check(len(path) > 1, "Location-Path is %q", path)
}

// values are those of all options with an ID.
func values(r *coap.Response, id coap.OptionID) (values []string) {
	for value := range r.Options.All(id) {
		values = append(values, string(value))
	}
	return values
}

func (t *tester) locationQuery() error {
	response, err := t.expect(one(coap.CodeCreated), coap.MethodPost, "/location-query", body("x"))
	if err != nil {
		return err
	}
	queries := values(response, coap.OptionLocationQuery)
	return check(slices.Equal(queries, []string{"first=1", "second=2"}), "Location-Query is %q",
		queries)
}

func (t *tester) accept() error {
	for _, want := range []coap.ContentFormat{coap.TextPlain, coap.XML} {
		response, err := t.expect(one(coap.CodeContent), coap.MethodGet, "/multi-format",
			func(r *coap.Request) { r.Options.SetAccept(want) })
		if err != nil {
			return err
		}
		format, _ := response.Options.ContentFormat()
		if err := check(format == want, "Content-Format is %v, not %v", format, want); err != nil {
			return err
		}
	}
	_, err := t.expect(one(coap.CodeNotAcceptable), coap.MethodGet, "/multi-format",
		func(r *coap.Request) { r.Options.SetAccept(coap.CBOR) })
	return err
}

// tag fetches a resource and its ETag.
func (t *tester) tag(path string) ([]byte, error) {
	response, err := t.expect(one(coap.CodeContent), coap.MethodGet, path)
	if err != nil {
		return nil, err
	}
	tag, ok := response.Options.Get(coap.OptionETag)
	return tag, check(ok, "%s has no ETag", path)
}

func (t *tester) validate() error {
	tag, err := t.tag("/validate")
	if err != nil {
		return err
	}
	known := func(r *coap.Request) { r.Options.Add(coap.OptionETag, tag) }
	response, err := t.expect(one(coap.CodeValid), coap.MethodGet, "/validate", known)
	if err != nil {
		return err
	}
	if err := check(len(response.Body) == 0, "2.03 has a body"); err != nil {
		return err
	}
	other := "not " + string(tag)
	if _, err := t.expect(created2xx, coap.MethodPut, "/validate", body(other)); err != nil {
		return err
	}
	response, err = t.expect(one(coap.CodeContent), coap.MethodGet, "/validate", known)
	if err != nil {
		return err
	}
	return check(string(response.Body) == other, "the new body did not come")
}

func (t *tester) ifMatch() error {
	tag, err := t.tag("/validate")
	if err != nil {
		return err
	}
	match := func(r *coap.Request) { r.Options.Add(coap.OptionIfMatch, tag) }
	if _, err := t.expect(created2xx, coap.MethodPut, "/validate", match,
		body("changed since "+string(tag))); err != nil {
		return err
	}
	_, err = t.expect(one(coap.CodePreconditionFailed), coap.MethodPut, "/validate", match,
		body("again"))
	return err
}

func (t *tester) ifNoneMatch() error {
	// What another run has left is removed first.
	if _, err := t.send(coap.MethodDelete, "/create1"); err != nil {
		return err
	}
	absent := func(r *coap.Request) { r.Options.Add(coap.OptionIfNoneMatch, nil) }
	if _, err := t.expect(one(coap.CodeCreated), coap.MethodPut, "/create1", absent,
		body("made")); err != nil {
		return err
	}
	if _, err := t.expect(one(coap.CodePreconditionFailed), coap.MethodPut, "/create1", absent,
		body("made again")); err != nil {
		return err
	}
	return t.remove("/create1")
}

// lossy reads through a relay that loses each datagram once.
func (t *tester) lossy(path string) error {
	if t.session.Protocol() != coap.UDP {
		return skip("over UDP only")
	}
	if err := t.read(path); err != nil { // a resource that is not offered needs no losses
		return err
	}
	relay, err := newRelay(t.session.RemoteAddr())
	if err != nil {
		return err
	}
	defer relay.close()
	config := *t.config
	config.AckTimeout = time.Second
	session, err := coap.Dial(t.ctx, "coap://"+relay.addr().String(), &config)
	if err != nil {
		return err
	}
	defer session.Close()
	through := *t
	through.session = session
	if err := through.read(path); err != nil {
		return err
	}
	if relay.lost() == 0 {
		return errors.New("nothing was lost")
	}
	return nil
}
