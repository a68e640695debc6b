package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/gnucoap/gnucoap/coap"
)

var observeCases = []testCase{
	{"OBS_01", "confirmable notifications", func(t *tester) error { return t.states("/obs", 3) }},
	{"OBS_02", "non-confirmable notifications",
		func(t *tester) error { return t.states("/obs-non", 3) }},
	{"OBS_07", "DELETE ends the observation", (*tester).deleted},
	{"OBS_08", "another Content-Format ends the observation", (*tester).otherFormat},
	{"OBS_09", "PUT is notified",
		func(t *tester) error { return t.updated("/obs", "put by the plugtest") }},
	{"OBS_10", "GET without Observe changes nothing", (*tester).getMeanwhile},
	{"OBS_12", "the client ends the observation", (*tester).deregister},
	{"OBS_13", "notifications in blocks", func(t *tester) error { return t.states("/obs-large", 2) }},
	{"OBS_14", "notifications of different sizes", (*tester).sizes},
}

var errEnough = errors.New("enough was seen")

// observe calls f with each state, until that returns an error. What comes to an end
// by itself is over.
func (t *tester) observe(path string, f func(n int, r *coap.Response) error) error {
	request, err := coap.NewRequest(coap.MethodGet, path)
	if err != nil {
		return err
	}
	n := 0
	for response, err := range t.session.Observe(t.ctx, request) {
		switch {
		case err != nil:
			return err
		case n == 0 && response.Code == coap.CodeNotFound:
			return notOffered
		case n == 0 && !response.Options.Has(coap.OptionObserve):
			return check(false, "%s cannot be observed", path)
		}
		if err := f(n, response); err != nil {
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		}
		n++
	}
	return fmt.Errorf("the observation ended after %d states", n)
}

// states waits for so many states that differ.
func (t *tester) states(path string, want int) error {
	var last []byte
	return t.observe(path, func(n int, r *coap.Response) error {
		if err := check(r.Code == coap.CodeContent && !bytes.Equal(r.Body, last),
			"state %d is %v and did not change", n, r.Code); err != nil {
			return err
		}
		last = r.Body
		if n+1 == want {
			return errEnough
		}
		return nil
	})
}

// deregister observes twice in one session: the first time must not disturb the
// second.
func (t *tester) deregister() error {
	if err := t.states("/obs", 1); err != nil {
		return err
	}
	return t.states("/obs", 2)
}

// ends does something to a resource that must end its observation with a code.
func (t *tester) ends(path string, act func(ctx context.Context) error,
	accepted func(coap.Code) bool) error {
	return t.observe(path, func(n int, r *coap.Response) error {
		switch {
		case n == 0:
			return act(t.ctx)
		case r.Code.IsSuccess():
			return check(n < 5, "the observation continues")
		case accepted(r.Code):
			return errEnough
		}
		return fmt.Errorf("it ended with %v", r.Code)
	})
}

func (t *tester) deleted() error {
	return t.ends("/obs", func(context.Context) error { return t.remove("/obs") },
		func(code coap.Code) bool { return code == coap.CodeNotFound })
}

// otherFormat takes any error: RFC 7641, section 4.2, has 4.06, and the plugtests,
// which are older, 5.00. What was there is put back for the cases that follow.
func (t *tester) otherFormat() error {
	before, err := t.expect(one(coap.CodeContent), coap.MethodGet, "/obs")
	if err != nil {
		return err
	}
	format, _ := before.Options.ContentFormat()
	other := coap.XML
	if format == other {
		other = coap.TextPlain
	}
	put := func(ctx context.Context, format coap.ContentFormat, body []byte) error {
		response, err := t.session.Put(ctx, "/obs", format, body)
		if err != nil {
			return err
		}
		return check(response.Code.IsSuccess(), "PUT of %v was answered with %v", format, response.Code)
	}
	if err := t.ends("/obs",
		func(ctx context.Context) error { return put(ctx, other, []byte("<other/>")) },
		func(code coap.Code) bool { return code.Class() == 4 || code.Class() == 5 }); err != nil {
		return err
	}
	return put(t.ctx, format, before.Body)
}

// updated puts a state, which must be told.
func (t *tester) updated(path, text string) error {
	return t.observe(path, func(n int, r *coap.Response) error {
		switch {
		case n == 0:
			format, _ := r.Options.ContentFormat()
			_, err := t.expect(created2xx, coap.MethodPut, path, body(text),
				func(r *coap.Request) { r.Options.SetContentFormat(format) })
			return err
		case string(r.Body) == text:
			return errEnough
		}
		return check(n < 5, "the new state was not notified")
	})
}

func (t *tester) sizes() error {
	for _, text := range []string{upload, "short", upload + upload} {
		if err := t.updated("/obs-large", text); err != nil {
			return err
		}
	}
	return nil
}

func (t *tester) getMeanwhile() error {
	return t.observe("/obs", func(n int, r *coap.Response) error {
		switch n {
		case 0:
			return t.read("/obs")
		case 2:
			return errEnough
		}
		return nil
	})
}
