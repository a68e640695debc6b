package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
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
	for _, m := range regexp.MustCompile(
		`(?m)^([A-Z]+_\d+) .*? +(pass|FAIL|skipped)(?: +(.*))?$`).FindAllStringSubmatch(
		out.String(), -1) {
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

// brokenServer has resources that are not as they should be.
func brokenServer(t *testing.T) (uri string) {
	t.Helper()
	mux := &coap.Mux{}
	answer := func(code coap.Code) coap.HandlerFunc {
		return func(w coap.ResponseWriter, r *coap.Request) { w.SetCode(code) }
	}
	plain := coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) { text(w, r, "a text") })
	mux.Handle("GET /test", answer(coap.CodeContent)) // without a body
	mux.Handle("PUT /test", answer(coap.CodeContent))
	mux.Handle("POST /test", answer(coap.CodeCreated)) // without Location-Path
	mux.HandleFunc("POST /location-query", func(w coap.ResponseWriter, r *coap.Request) {
		w.SetCode(coap.CodeCreated)
		w.Options().AddString(coap.OptionLocationQuery, "first=1")
	})
	mux.HandleFunc("GET /multi-format", func(w coap.ResponseWriter, r *coap.Request) {
		w.Options().SetContentFormat(coap.TextPlain)
	})
	mux.HandleFunc("GET /validate", func(w coap.ResponseWriter, r *coap.Request) {
		w.Options().SetString(coap.OptionETag, "same")
		if r.Options.Has(coap.OptionETag) {
			w.SetCode(coap.CodeValid)
		}
	})
	mux.Handle("PUT /validate", answer(coap.CodeChanged))
	mux.Handle("PUT /create1", answer(coap.CodeCreated))
	mux.Handle("GET /link1", plain)
	mux.Handle("GET /path", plain)
	mux.Handle("GET /large", plain)
	mux.Handle("GET /large-update", plain)
	mux.Handle("PUT /large-update", answer(coap.CodeChanged))
	mux.HandleFunc("POST /large-create", func(w coap.ResponseWriter, r *coap.Request) {
		w.SetCode(coap.CodeCreated)
		w.Options().AddString(coap.OptionLocationPath, "none")
	})
	mux.Handle("POST /large-post", answer(coap.CodeChanged))
	mux.Handle("/obs", plain)
	mux.Handle("/obs-large", plain)
	server := &coap.Server{Handler: mux}
	t.Cleanup(func() { server.Close() })
	endpoints, err := server.Listen("coap://127.0.0.1:0")
	require.NoError(t, err)
	return endpoints[0].String()
}

func TestCasesFailWithBrokenServer(t *testing.T) {
	t.Parallel()
	found := results(t, "-run", brokenServer(t))
	for name, want := range map[string]string{
		"CORE_01":  "FAIL: /test is empty",
		"CORE_02":  "FAIL: DELETE /test was answered with 4.05 Method Not Allowed",
		"CORE_03":  "FAIL: PUT /test was answered with 2.05 Content",
		"CORE_04":  "pass",
		"CORE_18":  "FAIL: Location-Path is []",
		"CORE_19":  `FAIL: Location-Query is ["first=1"]`,
		"CORE_20":  "FAIL: Content-Format is text/plain; charset=utf-8, not application/xml",
		"CORE_21":  "FAIL: GET /validate was answered with 2.03 Valid",
		"CORE_22":  "FAIL: PUT /validate was answered with 2.04 Changed",
		"CORE_23":  "FAIL: PUT /create1 was answered with 2.01 Created",
		"CORE_31":  "pass",
		"LINK_01":  "pass",
		"LINK_07":  "pass",
		"LINK_08":  "FAIL: href=/link* did not select /link2",
		"LINK_09":  "FAIL: Content-Format is text/plain; charset=utf-8",
		"BLOCK_01": "FAIL: only 6 bytes came",
		"BLOCK_03": "FAIL: 6 other bytes came back",
		"BLOCK_04": "FAIL: GET /none was answered with 4.04 Not Found",
		"BLOCK_05": "FAIL: only 0 bytes came",
		"OBS_01":   "FAIL: /obs cannot be observed",
		"OBS_02":   "skipped: the server does not offer it",
		"OBS_14":   "FAIL: /obs-large cannot be observed",
	} {
		assert.Equal(t, want, found[name], name)
	}
}

func TestServerOfLibcoap(t *testing.T) {
	t.Parallel()
	for _, flavour := range testenv.CoAPFlavours {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			server := testenv.StartCoAPServer(t, flavour, testenv.CoAPServerPSK(secret)...)
			for _, scheme := range []string{"coap", "coap+tcp", "coaps", "coaps+tcp"} {
				for name, result := range results(t, "-run", server.URI(scheme, ""), "-psk", secret) {
					switch name {
					case "CORE_02", "CORE_06", "CORE_31", "LINK_01": // DELETE of what is not there gives 2.02
						assert.Equal(t, "pass", result, name)
					default:
						assert.True(t, strings.HasPrefix(result, "skipped: "), "%s over %s: %s", name, scheme, result)
					}
				}
			}
		})
	}
}

// Libcoap's server gets resources that do no more than keep what is put, and tell it:
// not all cases can pass.
func TestServerOfLibcoapWithResources(t *testing.T) {
	t.Parallel()
	server := testenv.StartCoAPServer(t, "gnutls", "-d", "10")
	session, err := coap.Dial(context.Background(), server.URI("coap", ""), nil)
	require.NoError(t, err)
	defer session.Close()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	for _, path := range []string{"/seg1/seg2/seg3", "/query", "/large", "/large-update", "/obs",
		"/obs-large"} {
		_, err := session.Put(ctx, path, coap.TextPlain, []byte(large))
		require.NoError(t, err)
	}
	cases := slices.Concat(coreCases, linkCases, blockCases, observeCases)
	for _, name := range []string{
		"CORE_13", "CORE_14", "BLOCK_01", "BLOCK_02", "BLOCK_03", "BLOCK_06", "OBS_09", "OBS_14",
	} {
		// 4.2.1 notifies of bodies that are not complete
		if strings.HasPrefix(name, "OBS") && !testenv.CoAPClientTakes(t, 'w') {
			continue
		}
		i := slices.IndexFunc(cases, func(c testCase) bool { return c.name == name })
		require.GreaterOrEqual(t, i, 0, name)
		assert.NoError(t, runCase(ctx, cases[i], server.URI("coap", ""), &coap.Config{}), name)
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
		{"get", "/.well-known/core?rt=Type2", "", nil, "2.05",
			`</link1>;rt="Type1 Type2";if="If1",</link2>;rt="Type2 Type3";if="If2"`},
		{"delete", "/obs", "", nil, "2.02", ""},
	} {
		t.Run(tc.method+tc.path, func(t *testing.T) {
			request := testenv.CoAPRequest{Method: tc.method, URI: uris[0] + tc.path, Args: tc.args}
			if tc.payload != "" {
				request.Payload = []byte(tc.payload)
			}
			if len(tc.payload) > 1024 { // older ones do not divide it by themselves
				request.Args = append(request.Args, "-b", "1024")
			}
			got := testenv.RunCoAPClient(t, "gnutls", request)
			assert.Equal(t, tc.code, got.Code, got.Output)
			assert.Equal(t, tc.body, string(got.Body), got.Output)
		})
	}
}

func TestClientOfLibcoapOverEachTransport(t *testing.T) {
	t.Parallel()
	uris := startServer(t, "-psk", secret)
	sent := strings.Repeat("y", 5000)
	old := !testenv.CoAPClientTakes(t, 'w')
	for _, uri := range uris {
		// over TCP it stops behind the first block, and it aborts over TLS
		if old && strings.Contains(uri, "+tcp") {
			continue
		}
		args := []string{}
		if strings.HasPrefix(uri, "coaps") {
			args = testenv.CoAPClientPSK("client1", secret)
		}
		got := testenv.RunCoAPClient(t, "gnutls",
			testenv.CoAPRequest{Method: "put", URI: uri + "/large-update", Payload: []byte(sent + uri),
				Args: append([]string{"-b", "1024"}, args...)})
		assert.Equal(t, "2.04", got.Code, uri)
		got = testenv.RunCoAPClient(t, "gnutls",
			testenv.CoAPRequest{URI: uri + "/large-update", Args: args})
		assert.Equal(t, sent+uri, string(got.Body))
		got = testenv.RunCoAPClient(t, "gnutls",
			testenv.CoAPRequest{URI: uri + "/obs", Args: append(args, "-s", "2")})
		if !old { // which does not tell one notification from the next
			assert.Regexp(t, `^\d+\n\d+\n`, string(got.Body), got.Output)
		}
	}
}

func TestClientOfLibcoapObserves(t *testing.T) {
	t.Parallel()
	if !testenv.CoAPClientTakes(t, 'w') {
		t.Skip("the client does not tell one notification from the next")
	}
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

func TestPongHasThePingsToken(t *testing.T) {
	uris := startServer(t)
	to, err := net.ResolveTCPAddr("tcp", strings.TrimPrefix(uris[1], "coap+tcp://"))
	require.NoError(t, err)
	conn := coappeer.DialTCP(t, to.AddrPort())
	conn.Send(coappeer.Message{Code: coappeer.CSM},
		coappeer.Message{Code: coappeer.Ping, Token: []byte("token")})
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
		"either -listen or -run is needed":        {},
		"flag provided but not defined: -x":       {"-x"},
		`unexpected argument "more"`:              {"-run", "coap://h", "more"},
		`-run: coap: URI "http://h"`:              {"-run", "http://h"},
		"-listen: address h: missing port":        {"-listen", "h"},
		`-listen "h:x": the port is not a number`: {"-listen", "h:x"},
		`-cert "none" -key "": gnutls: reading the certificate: open none`: {"-listen", "h:1", "-cert",
			"none"},
		"-ca: open none: no such file or directory": {"-run", "coap://h", "-ca", "none"},
	} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			err := run(context.Background(), args, io.Discard)
			assert.ErrorAs(t, err, new(usageError))
			assert.ErrorContains(t, err, want)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}
