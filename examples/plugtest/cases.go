package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gnucoap/gnucoap/coap"
)

// patience bounds a case.
const patience = 30 * time.Second

// A testCase is a case of the plugtests.
type testCase struct {
	name string // as in the test descriptions, after TD_COAP_
	what string
	run  func(t *tester) error
}

// A tester is what a case runs with.
type tester struct {
	ctx     context.Context
	session *coap.Session
	uri     string
	config  *coap.Config
	offered bool // a resource of the case was there
}

// A skip says why a case could not be run.
type skip string

func (s skip) Error() string { return string(s) }

const notOffered = skip("the server does not offer it")

// runCases runs all cases, each in a session of its own.
func runCases(ctx context.Context, uri string, config *coap.Config, w io.Writer) error {
	if err := reachable(ctx, uri, config); err != nil {
		return err
	}
	counts := map[string]int{}
	for _, c := range slices.Concat(coreCases, linkCases, blockCases, observeCases) {
		if ctx.Err() != nil {
			break
		}
		result, why := "pass", ""
		err := runCase(ctx, c, uri, config)
		var skipped skip
		switch {
		case errors.As(err, &skipped):
			result, why = "skipped", err.Error()
		case err != nil:
			result, why = "FAIL", err.Error()
		}
		counts[result]++
		// Not aligned by a tabwriter, which would hold the lines back to the end.
		fmt.Fprintln(w, strings.TrimSpace(fmt.Sprintf("%-9s %-50s %-8s %s", c.name, c.what, result, why)))
	}
	fmt.Fprintf(w, "\n%d passed, %d failed, %d skipped\n", counts["pass"], counts["FAIL"],
		counts["skipped"])
	if counts["FAIL"] > 0 {
		return errFailed
	}
	return ctx.Err()
}

func reachable(ctx context.Context, uri string, config *coap.Config) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	session, err := coap.Dial(ctx, uri, config)
	if err != nil {
		return err
	}
	defer session.Close()
	return session.Ping(ctx)
}

func runCase(ctx context.Context, c testCase, uri string, config *coap.Config) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	session, err := coap.Dial(ctx, uri, config)
	if err != nil {
		return err
	}
	defer session.Close()
	return c.run(&tester{ctx: ctx, session: session, uri: uri, config: config})
}

// do sends a request. A resource that is not there is one that the server does not
// offer, unless the case has found one before.
func (t *tester) do(method coap.Code, path string, change ...func(*coap.Request)) (*coap.Response,
	error) {
	response, err := t.send(method, path, change...)
	switch {
	case err != nil:
		return nil, err
	case response.Code != coap.CodeNotFound:
		t.offered = true
	case !t.offered:
		return nil, notOffered
	}
	return response, nil
}

func (t *tester) send(method coap.Code, path string, change ...func(*coap.Request)) (*coap.Response,
	error) {
	request, err := coap.NewRequest(method, path)
	if err != nil {
		return nil, err
	}
	for _, change := range change {
		change(request)
	}
	return t.session.Do(t.ctx, request)
}

// expect sends a request whose response must have one of some codes.
func (t *tester) expect(codes []coap.Code, method coap.Code, path string,
	change ...func(*coap.Request)) (*coap.Response, error) {
	response, err := t.do(method, path, change...)
	if err != nil {
		return nil, err
	}
	return response, check(slices.Contains(codes, response.Code), "%v %s was answered with %v", method,
		path, response.Code)
}

// check is nil where ok, and else an error.
func check(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

func one(code coap.Code) []coap.Code { return []coap.Code{code} }

var created2xx = []coap.Code{coap.CodeCreated, coap.CodeChanged}

func nonConfirmable(r *coap.Request) { r.NonConfirmable = true }

func body(text string) func(*coap.Request) {
	return func(r *coap.Request) {
		r.Options.SetContentFormat(coap.TextPlain)
		r.Body = []byte(text)
	}
}
