package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m, func() (any, int64) {
		counts := coap.LiveObjects()
		return counts, counts.Total()
	})
}

const wait = 60 * time.Second

const secret = "a secret"

// startServer runs the server on free ports, and returns the URIs that it prints.
func startServer(t *testing.T, args ...string) (uris []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	read, written := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, append([]string{"-listen", "127.0.0.1:0"}, args...), written)
		written.CloseWithError(err)
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	lines := bufio.NewScanner(read)
	want := 2
	if len(args) > 0 { // what secures it
		want = 4
	}
	for len(uris) < want {
		require.True(t, lines.Scan(), "%v", lines.Err())
		uris = append(uris, lines.Text())
	}
	return uris
}

// results runs the cases, and returns what became of each.
func results(t *testing.T, args ...string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	var out bytes.Buffer
	err := run(ctx, args, &out)
	found := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^([A-Z]+_\d+) .*? +(pass|FAIL|skipped)(?: +(.*))?$`).FindAllStringSubmatch(out.String(), -1) {
		found[m[1]] = m[2]
		if m[2] != "pass" {
			found[m[1]] += ": " + m[3]
		}
	}
	if strings.Contains(out.String(), "FAIL") {
		assert.ErrorIs(t, err, errFailed)
	} else {
		assert.NoError(t, err)
	}
	require.NotEmpty(t, found, "%v\n%s", err, &out)
	return found
}

func TestEachCasePassesOverEachTransport(t *testing.T) {
	t.Parallel()
	for i, name := range []string{"udp", "tcp", "dtls", "tls"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			uris := startServer(t, "-psk", secret)
			for name, result := range results(t, "-run", uris[i], "-psk", secret) {
				switch {
				case name == "CORE_12":
					assert.Contains(t, result, "skipped: this client has a token")
				case strings.HasPrefix(result, "skipped: over UDP only") && i > 0:
				default:
					assert.Equal(t, "pass", result, name)
				}
			}
		})
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	uris := startServer(t, "-cert", testenv.File("server.pem"), "-key", testenv.File("server.key"))
	assert.Equal(t, "pass", results(t, "-run", uris[3], "-ca", testenv.File("ca.pem"))["CORE_01"])
	err := run(context.Background(), []string{"-run", uris[3]}, io.Discard)
	assert.ErrorIs(t, err, coap.ErrHandshake)
}

func TestServerOfLibcoap(t *testing.T) {
	t.Parallel()
	for _, flavour := range testenv.CoAPFlavours {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			server := testenv.StartCoAPServer(t, flavour)
			found := results(t, "-run", server.URI("coap", ""))
			assert.Equal(t, "pass", found["LINK_01"])
			for name, result := range found {
				assert.NotContains(t, result, "FAIL", name)
			}
		})
	}
}

// What a client of libcoap gets for each resource.
func TestClientOfLibcoap(t *testing.T) {
	uris := startServer(t)
	sent := strings.Repeat("x", 5000)
	for _, tc := range []struct {
		method, path, payload string
		args                  []string
		code, body            string
	}{
		{"get", "/test", "", nil, "2.05", "the test resource"},
		{"put", "/test", "another", nil, "2.04", ""},
		{"post", "/test", "x", nil, "2.01", ""},
		{"delete", "/test", "", nil, "2.02", ""},
		{"get", "/separate", "", nil, "2.05", "a separate response"},
		{"get", "/query?first=1&second=2", "", nil, "2.05", `["first=1" "second=2"]`},
		{"get", "/seg1/seg2/seg3", "", nil, "2.05", "three segments"},
		{"post", "/location-query", "x", nil, "2.01", ""},
		{"get", "/multi-format", "", []string{"-A", "41"}, "2.05", "<plain/>"},
		{"get", "/multi-format", "", []string{"-A", "50"}, "4.06", ""},
		{"get", "/validate", "", nil, "2.05", "to be validated"},
		{"put", "/create1", "x", []string{"-O", "5"}, "2.01", ""},
		{"put", "/create1", "x", []string{"-O", "5"}, "4.12", ""},
		{"delete", "/create1", "", nil, "2.02", ""},
		{"get", "/large", "", nil, "2.05", large},
		{"put", "/large-update", sent, nil, "2.04", ""},
		{"get", "/large-update", "", nil, "2.05", sent},
		{"post", "/large-create", sent, nil, "2.01", ""},
		{"get", "/large-create/1", "", nil, "2.05", sent},
		{"post", "/large-post", sent, nil, "2.04", "5000 bytes\n" + large},
		{"get", "/path", "", nil, "2.05", "</path/sub1>,</path/sub2>,</path/sub3>"},
		{"get", "/.well-known/core?rt=Type2", "", nil, "2.05", `</link1>;rt="Type1 Type2";if="If1",</link2>;rt="Type2 Type3";if="If2"`},
		{"delete", "/obs", "", nil, "2.02", ""},
	} {
		t.Run(tc.method+tc.path, func(t *testing.T) {
			request := testenv.CoAPRequest{Method: tc.method, URI: uris[0] + tc.path, Args: tc.args}
			if tc.payload != "" {
				request.Payload = []byte(tc.payload)
			}
			got := testenv.RunCoAPClient(t, "gnutls", request)
			assert.Equal(t, tc.code, got.Code, got.Output)
			assert.Equal(t, tc.body, string(got.Body), got.Output)
		})
	}
}

func TestClientOfLibcoapObserves(t *testing.T) {
	t.Parallel()
	uris := startServer(t)
	for _, path := range []string{"/obs", "/obs-non", "/obs-large"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			client := testenv.Start(t, "coap-client-gnutls", "-s", "5", "-w", uris[0]+path)
			assert.Zero(t, client.Wait(t), client.Output())
			assert.Regexp(t, `(?s)\d+\n.*\d+\n.*\d+\n`, client.Output())
		})
	}
}

// What libcoap's own server does otherwise.
func TestBlocksOnTheWire(t *testing.T) {
	uris := startServer(t)
	conn := coappeer.NewUDP(t)
	to, err := net.ResolveUDPAddr("udp", strings.TrimPrefix(uris[0], "coap://"))
	require.NoError(t, err)
	id := uint16(0)
	send := func(code coappeer.Code, path string, body []byte, options ...coappeer.Option) coappeer.Received {
		id++
		conn.Send(to.AddrPort(), coappeer.Message{
			Type: coappeer.CON, Code: code, ID: id, Token: []byte{byte(id)}, Payload: body,
			Options: append(coappeer.Path(path), options...),
		})
		return conn.Receive(t)
	}
	block := func(num uint32, more bool, szx byte) coappeer.Block {
		return coappeer.Block{Num: num, More: more, SZX: szx}
	}
	body := bytes.Repeat([]byte("x"), 64)

	m := send(coappeer.PUT, "large-update", body, block(0, true, 2).Option(coappeer.Block1))
	assert.Equal(t, coappeer.Continue, m.Code)
	m = send(coappeer.PUT, "large-update", body[:10], block(1, false, 2).Option(coappeer.Block1))
	assert.Equal(t, coappeer.Changed, m.Code)
	last, ok := m.Block(coappeer.Block1)
	assert.True(t, ok, "Block1 stands in the final response")
	assert.Equal(t, block(1, false, 2), last)

	m = send(coappeer.PUT, "large-update", body, block(5, true, 2).Option(coappeer.Block1))
	assert.Equal(t, coappeer.RequestEntityIncomplete, m.Code, "a transfer that starts in the middle")
	m = send(coappeer.GET, "large", nil, block(1000, false, 6).Option(coappeer.Block2))
	assert.Equal(t, coappeer.BadRequest, m.Code, "a block past the end")
	m = send(coappeer.GET, "large", nil, block(0, false, 7).Option(coappeer.Block2))
	assert.Equal(t, coappeer.BadRequest, m.Code, "a reserved block size")
}

func TestPongHasThePingsToken(t *testing.T) {
	uris := startServer(t)
	to, err := net.ResolveTCPAddr("tcp", strings.TrimPrefix(uris[1], "coap+tcp://"))
	require.NoError(t, err)
	conn := coappeer.DialTCP(t, to.AddrPort())
	conn.Send(coappeer.Message{Code: coappeer.CSM}, coappeer.Message{Code: coappeer.Ping, Token: []byte("token")})
	for {
		m := conn.Receive(t)
		if m.Code == coappeer.Pong {
			assert.Equal(t, "token", string(m.Token))
			return
		}
		require.Equal(t, coappeer.CSM, m.Code)
	}
}

func TestWrongArguments(t *testing.T) {
	for want, args := range map[string][]string{
		"either -listen or -run is needed":                                 {},
		"flag provided but not defined: -x":                                {"-x"},
		`"more" is no flag`:                                                {"-run", "coap://h", "more"},
		`-run: coap: URI "http://h"`:                                       {"-run", "http://h"},
		"-listen: address h: missing port":                                 {"-listen", "h"},
		`-listen "h:x": the port is no number`:                             {"-listen", "h:x"},
		`-cert "none" -key "": gnutls: reading the certificate: open none`: {"-listen", "h:1", "-cert", "none"},
		"-ca: open none: no such file or directory":                        {"-run", "coap://h", "-ca", "none"},
	} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			err := run(context.Background(), args, io.Discard)
			assert.ErrorAs(t, err, new(usageError))
			assert.ErrorContains(t, err, want)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}
