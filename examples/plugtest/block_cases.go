package main

import (
	"net/url"
	"strings"

	"github.com/gnucoap/gnucoap/coap"
)

var blockCases = []testCase{
	{"BLOCK_01", "GET of a large body, client asks for blocks first",
		func(t *tester) error { return t.getLarge(512) }},
	{"BLOCK_02", "GET of a large body, server decides",
		func(t *tester) error { return t.getLarge(0) }},
	{"BLOCK_03", "PUT of a large body", (*tester).putLarge},
	{"BLOCK_04", "POST of a large body that makes a resource", (*tester).createLarge},
	{"BLOCK_05", "POST of a large body, large response", (*tester).postLarge},
	{"BLOCK_06", "GET of a large body in blocks of 16 bytes",
		func(t *tester) error { return t.getLarge(16) }},
}

func (t *tester) getLarge(size int) error {
	config := *t.config
	config.BlockSize = size
	session, err := coap.Dial(t.ctx, t.uri, &config)
	if err != nil {
		return err
	}
	defer session.Close()
	other := *t
	other.session = session
	return other.download(one(coap.CodeContent), coap.MethodGet, "/large")
}

// download sends a request whose response has a large body, which must come in blocks
// over UDP and DTLS.
func (t *tester) download(codes []coap.Code, method coap.Code, path string,
	change ...func(*coap.Request)) error {
	blocks := 0
	response, err := t.expect(codes, method, path, append(change, func(r *coap.Request) {
		r.OnProgress = func(p coap.Progress) {
			if p.Received > 0 {
				blocks++
			}
		}
	})...)
	if err != nil {
		return err
	}
	if err := check(len(response.Body) > 1024, "only %d bytes came", len(response.Body)); err != nil {
		return err
	}
	return check(blocks > 1 || t.session.Protocol().Reliable(), "%d bytes came at once",
		len(response.Body))
}

// upload is what the cases send.
var upload = strings.Repeat("a line of the plugtest's body\n", 100)

func (t *tester) putLarge() error {
	if _, err := t.expect(created2xx, coap.MethodPut, "/large-update", body(upload)); err != nil {
		return err
	}
	return t.same("/large-update")
}

// same fetches what was sent.
func (t *tester) same(path string) error {
	response, err := t.expect(one(coap.CodeContent), coap.MethodGet, path)
	if err != nil {
		return err
	}
	return check(string(response.Body) == upload, "%d other bytes came back", len(response.Body))
}

func (t *tester) createLarge() error {
	response, err := t.expect(one(coap.CodeCreated), coap.MethodPost, "/large-create", body(upload))
	if err != nil {
		return err
	}
	path := ""
	for _, segment := range values(response, coap.OptionLocationPath) {
		path += "/" + url.PathEscape(segment)
	}
	if err := check(path != "", "there is no Location-Path"); err != nil {
		return err
	}
	return t.same(path)
}

func (t *tester) postLarge() error {
	codes := []coap.Code{coap.CodeCreated, coap.CodeChanged, coap.CodeContent}
	return t.download(codes, coap.MethodPost, "/large-post", body(upload))
}
