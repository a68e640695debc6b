package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/cmd/internal/toolstest"
	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// A result is what a call of the client comes to.
type result struct {
	status         int
	stdout, stderr string
}

// call runs the client in this process.
func call(t testing.TB, args ...string) result { return callWith(t, "", args...) }

func callWith(t testing.TB, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), toolstest.Wait)
	defer cancel()
	var stdout, stderr bytes.Buffer
	status := run(ctx, args, strings.NewReader(stdin), &stdout, &stderr)
	require.NoError(t, ctx.Err(), "coap-client did not end")
	return result{status, stdout.String(), stderr.String()}
}

// serve runs a server until the end of the test, and returns its URIs.
func serve(t testing.TB, config *coap.Config, handler coap.HandlerFunc,
	schemes ...string) []string {
	t.Helper()
	server := &coap.Server{Handler: handler, Config: config}
	t.Cleanup(func() { server.Close() })
	for i := range schemes {
		schemes[i] += "://127.0.0.1:0"
	}
	endpoints, err := server.Listen(schemes...)
	require.NoError(t, err)
	var uris []string
	for _, e := range endpoints {
		uris = append(uris, e.String())
	}
	return uris
}

// show answers with what the request was.
func show(w coap.ResponseWriter, r *coap.Request) {
	switch r.Options.Path() {
	case "/client":
		w.SetCode(coap.CodeForbidden)
		w.Write([]byte("no\x00way"))
	case "/server":
		w.SetCode(coap.CodeInternalServerError)
	case "/binary":
		w.Options().SetContentFormat(coap.OctetStream)
		w.Options().Set(coap.OptionETag, []byte{1, 2})
		w.Write([]byte{0xff, 0})
	case "/body":
		w.Write(r.Body)
	case "/options":
		for _, o := range r.Options {
			if o.ID != coap.OptionURIPath && o.ID != coap.OptionURIPort {
				w.Write([]byte(o.ID.String() + "=" + string(o.Value) + ";"))
			}
		}
	default:
		w.Options().SetContentFormat(coap.TextPlain)
		w.Write([]byte(r.Method.String()))
	}
}

func TestExitStatusTellsWhatBecameOfTheRequest(t *testing.T) {
	t.Parallel()
	uri := serve(t, nil, show, "coap")[0]
	for name, test := range map[string]struct {
		args   []string
		status int
		stdout string
		stderr string
	}{
		"success":             {[]string{uri}, 0, "GET\n", ""},
		"error of the client": {[]string{uri + "/client"}, 4, "", "4.03 no.way\n"},
		"error of the server": {[]string{uri + "/server"}, 5, "", "5.00\n"},
		"legacy and an error": {[]string{"--legacy-exit", uri + "/server"}, 0, "", "5.00\n"},
		"legacy and bad flags": {[]string{"--legacy-exit", "-m", "x", uri}, 1, "",
			"coap-client: invalid argument \"x\" for \"-m, --method\" flag: none of get, post, put, delete, fetch, patch, ipatch\n"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, result{test.status, test.stdout, test.stderr}, call(t, test.args...))
		})
	}
}

func TestSilentServerIsAFailure(t *testing.T) {
	t.Parallel()
	block := make(chan struct{})
	defer close(block)
	uri := serve(t, nil, func(coap.ResponseWriter, *coap.Request) { <-block }, "coap")[0] + "/"
	assert.Equal(t, result{1, "", "coap-client: " + uri + ": no response within 1s\n"},
		call(t, "-B", "1", uri))
	assert.Equal(t, 0, call(t, "--legacy-exit", "-B", "1", uri).status)
}

func TestInterruptedRequestIsAFailure(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	block := make(chan struct{})
	defer close(block)
	uri := serve(t, nil, func(coap.ResponseWriter, *coap.Request) { cancel(); <-block }, "coap")[0]
	var stderr bytes.Buffer
	assert.Equal(t, 1, run(ctx, []string{uri}, nil, io.Discard, &stderr))
	assert.Equal(t, "coap-client: interrupted\n", stderr.String())
}

func TestBadInputIsNamedInOneLine(t *testing.T) {
	t.Parallel()
	const uri = "coap://127.0.0.1"
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	hints, short := file("hints", "hint,,key\n"), file("short", "# three fields\nhint,me\n")
	cert, key := testenv.File("client.pem"), testenv.File("client.key")
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"unknown flag":              {[]string{"-z", uri}, `'z'`},
		"unknown long flag":         {[]string{"--zoo", uri}, `--zoo`},
		"no value":                  {[]string{uri, "-m"}, `'m'`},
		"no URI":                    {nil, `no URI`},
		"two URIs":                  {[]string{uri, uri + "/2"}, uri + "/2"},
		"scheme":                    {[]string{"http://127.0.0.1"}, "http://127.0.0.1"},
		"host":                      {[]string{"coap://"}, `coap://`},
		"long host":                 {[]string{"coap://" + strings.Repeat("a", 256)}, "host"},
		"port":                      {[]string{"coap://127.0.0.1:65536"}, "65536"},
		"percent-encoding":          {[]string{uri + "/%zz"}, "%zz"},
		"long segment":              {[]string{uri + "/" + strings.Repeat("a", 256)}, "255"},
		"fragment":                  {[]string{uri + "/#here"}, "#here"},
		"block size":                {[]string{"-b", "8", uri}, `"8"`},
		"block number":              {[]string{"-b", "x,64", uri}, `"x,64"`},
		"block after the body":      {[]string{"-b", "1,64", "-m", "put", "-e", "x", uri}, "-b"},
		"text":                      {[]string{"-e", "%4", uri}, `%4`},
		"file":                      {[]string{"-f", dir + "/none", uri}, dir + "/none"},
		"method":                    {[]string{"-m", "head", uri}, `"head"`},
		"observing a put":           {[]string{"-s", "1", "-m", "put", uri}, "-m put"},
		"duration":                  {[]string{"-s", "-1", uri}, `"-1"`},
		"content format":            {[]string{"-t", "tape", uri}, `"tape"`},
		"content format number":     {[]string{"-t", "65536", uri}, `"65536"`},
		"two content formats":       {[]string{"-t", "0", "-t", "40", uri}, "Content-Format"},
		"accept":                    {[]string{"-A", "", uri}, `-A`},
		"verbosity":                 {[]string{"-v", "ten", uri}, `"ten"`},
		"time to wait":              {[]string{"-B", "1s", uri}, `"1s"`},
		"count":                     {[]string{"-G", "0", uri}, `"0"`},
		"hop limit":                 {[]string{"-H", "256", uri}, `"256"`},
		"no token":                  {[]string{"-T", "", uri}, "-T"},
		"long token":                {[]string{"-T", "nine byte", uri}, `"nine byte"`},
		"block mode":                {[]string{"-L", "2", uri}, `"2"`},
		"option number":             {[]string{"-O", "x,1", uri}, `"x,1"`},
		"option value":              {[]string{"-O", "4,0x123", uri}, `"4,0x123"`},
		"long option":               {[]string{"-O", "4,123456789", uri}, "ETag"},
		"option that cannot repeat": {[]string{"-O", "14,0x01", "-O", "14,0x02", uri}, "Max-Age"},
		"proxy":                     {[]string{"-P", "proxy", uri}, `"proxy"`},
		"proxy with a path":         {[]string{"-P", "coap://proxy/x", uri}, `"coap://proxy/x"`},
		"proxy scheme":              {[]string{"-O", "39,ftp", uri}, `"39,ftp"`},
		"long URI for a proxy": {[]string{"-P", "coap://127.0.0.1",
			uri + "/" + strings.Repeat("a", 1034)}, "1034"},
		"local address":               {[]string{"-a", "eth0", uri}, `"eth0"`},
		"local address of the others": {[]string{"-a", "::1", uri}, `"::1"`},
		"local port":                  {[]string{"-p", "65536", uri}, `"65536"`},
		"output": {[]string{"-o", dir + "/none/x", serve(t, nil, show, "coap")[0]},
			dir + "/none/x"},
		"empty key":            {[]string{"-u", "me", "-k", "", uri}, "-k"},
		"long key":             {[]string{"-u", "me", "-k", strings.Repeat("k", 65), uri}, "-k"},
		"key without identity": {[]string{"-k", "secret", uri}, "-u"},
		"long identity": {[]string{"-u", strings.Repeat("u", 129), "-k", "secret", uri},
			"-u"},
		"identity without key": {[]string{"-u", "me", uri}, `"me"`},
		"hints without key":    {[]string{"-h", hints, uri}, hints},
		"hints that are not there": {[]string{"-u", "me", "-k", "secret", "-h", dir + "/none", uri},
			dir + "/none"},
		"hints without identity": {[]string{"-u", "me", "-k", "secret", "-h", hints, uri}, hints},
		"hints of two fields":    {[]string{"-u", "me", "-k", "secret", "-h", short, uri}, "line 2"},
		"certificate":            {[]string{"-c", key, "coaps://127.0.0.1"}, key},
		"key of another certificate": {[]string{"-c", cert, "-j", testenv.File("server.key"),
			"coaps://127.0.0.1"}, cert},
		"key without certificate": {[]string{"-j", key, "coaps://127.0.0.1"}, key},
		"certificate and raw key": {[]string{"-c", cert, "-M", key, "coaps://127.0.0.1"}, "-M"},
		"authorities": {[]string{"-C", testenv.File("psk.txt"), "coaps://127.0.0.1"},
			"psk.txt"},
		"trust":   {[]string{"-R", dir, "coaps://127.0.0.1"}, dir},
		"raw key": {[]string{"-M", cert, "coaps://127.0.0.1"}, cert},
		"token of hardware": {[]string{"-c", "pkcs11:token=x", "coaps://127.0.0.1"},
			"pkcs11:token=x"},
		"pin":                   {[]string{"-J", "1234", "coaps://127.0.0.1"}, "-J"},
		"loss":                  {[]string{"-l", "some", uri}, `"some"`},
		"largest message":       {[]string{"-X", "63", uri}, `"63"`},
		"compat":                {[]string{"--compat", "4.1", uri}, `"4.1"`},
		"flag that 4.2 has not": {[]string{"--compat=4.2", "-w", uri}, "-w"},
		"proxy of 4.2":          {[]string{"--compat=4.2", "-P", "coap://proxy", uri}, `"coap://proxy"`},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, test.args...)
			assert.Equal(t, 2, got.status)
			assert.Empty(t, got.stdout)
			assert.Regexp(t, `^coap-client: [^\n]+\n$`, got.stderr)
			assert.Contains(t, got.stderr, test.says)
			assert.NotContains(t, got.stderr, "1234")
			assert.NotContains(t, got.stderr, "secret")
		})
	}
}

func TestTheHelpGoesToStandardOutput(t *testing.T) {
	t.Parallel()
	got := call(t, "--help")
	assert.Equal(t, 0, got.status)
	assert.Contains(t, got.stdout, "-m, --method")
	assert.Empty(t, got.stderr)
}

func TestBodiesComeFromFlagsFilesAndStandardInput(t *testing.T) {
	t.Parallel()
	uri := serve(t, nil, show, "coap")[0] + "/body"
	large := strings.Repeat("0123456789", 5000)
	file := filepath.Join(t.TempDir(), "body")
	require.NoError(t, os.WriteFile(file, []byte(large), 0o600))
	assert.Equal(t, result{0, "a b\n", ""}, call(t, "-mpost", "-ea%20b", uri))
	assert.Equal(t, result{0, large + "\n", ""}, call(t, "-mput", "-f", file, uri))
	assert.Equal(t, result{0, large + "\n", ""}, callWith(t, large, "-f-", "-m", "put", uri))
}

func TestOutputGoesToAFile(t *testing.T) {
	t.Parallel()
	uri := serve(t, nil, show, "coap")[0]
	file := filepath.Join(t.TempDir(), "out")
	assert.Equal(t, result{}, call(t, "-o", file, "-w", uri))
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "GET\n", string(got))
	assert.Equal(t, result{stdout: "GET"}, call(t, "-o-", uri))
	assert.Equal(t, result{status: 4, stderr: "4.03 no.way\n"}, call(t, "-o", file+"2", uri+"/client"))
	assert.NoFileExists(t, file+"2")
}

func TestOptionsOfTheRequest(t *testing.T) {
	t.Parallel()
	uri := serve(t, nil, show, "coap")[0] + "/options"
	named := strings.Replace(uri, "127.0.0.1", "localhost", 1)
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"none":  {[]string{uri}, ""},
		"query": {[]string{uri + "?a=b&c"}, "Uri-Query=a=b;Uri-Query=c;"},
		"formats": {[]string{"-t", "link", "-A", "text/pl", uri},
			"Content-Format=(;Accept=;"},
		"number of a format": {[]string{"-A", "60", uri}, "Accept=<;"},
		"options": {[]string{"-O", "4,0x4142", "-O65000,x", uri},
			"ETag=AB;option 65000=x;"},
		"without a name of a host": {[]string{"-U", named}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, append([]string{"-o-"}, test.args...)...)
			assert.Equal(t, result{stdout: test.want}, got)
		})
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	uri := serve(t, nil, show, "coap")[0]
	for path, test := range map[string]struct {
		status int
		want   string
	}{
		"/": {0,
			`{"code":"2.05","options":[{"number":12,"name":"Content-Format","value":0}],"text":"GET"}`},
		"/binary": {0,
			`{"code":"2.05","options":[{"number":4,"name":"ETag","value":"0102"},{"number":12,"name":"Content-Format","value":42}],"hex":"ff00"}`},
		"/server": {5, `{"code":"5.00"}`},
	} {
		t.Run(path, func(t *testing.T) {
			assert.Equal(t, result{test.status, test.want + "\n", ""}, call(t, "--json", uri+path))
		})
	}
}

// keyPair loads a certificate of testdata.
func keyPair(t testing.TB, name string) gnutls.Certificate {
	t.Helper()
	pair, err := gnutls.LoadX509KeyPair(testenv.File(name+".pem"), testenv.File(name+".key"))
	require.NoError(t, err)
	return pair
}

func pool(t testing.TB) *gnutls.CertPool {
	t.Helper()
	pool := gnutls.NewCertPool()
	require.NoError(t, pool.AppendCertsFromPEM(testenv.Read(t, "ca.pem")))
	return pool
}

func TestServersCertificateAndNameAreVerified(t *testing.T) {
	t.Parallel()
	good := serve(t,
		&coap.Config{PKI: coap.PKI{Certificates: []gnutls.Certificate{keyPair(t, "server")}}}, show,
		"coaps", "coaps+tcp")
	other := serve(t,
		&coap.Config{PKI: coap.PKI{Certificates: []gnutls.Certificate{keyPair(t, "wronghost")}}}, show,
		"coaps", "coaps+tcp")
	ca := testenv.File("ca.pem")
	for i := range good {
		for name, test := range map[string]struct {
			args   []string
			status int
		}{
			"trusted":         {[]string{"-C", ca, good[i]}, 0},
			"trusted with -R": {[]string{"-R", ca, good[i]}, 0},
			"name": {[]string{"-C", ca,
				strings.Replace(good[i], "127.0.0.1", "localhost", 1)}, 0},
			"another name":            {[]string{"-C", ca, "--server-name", "example.test", good[i]}, 0},
			"system's authorities":    {[]string{good[i]}, 1},
			"other authorities":       {[]string{"-C", testenv.File("other-ca.pem"), good[i]}, 1},
			"wrong name":              {[]string{"-C", ca, other[i]}, 1},
			"wrong name, not checked": {[]string{"-n", other[i]}, 0},
			"no pre-shared keys":      {[]string{"-B", "2", "-u", "me", "-k", "secret", good[i]}, 1},
		} {
			t.Run(coap.Protocol(2*i+1).String()+" "+name, func(t *testing.T) {
				got := call(t, test.args...)
				assert.Equal(t, test.status, got.status, got.stderr)
				if test.status == 0 {
					assert.Equal(t, "GET\n", got.stdout)
				} else {
					assert.Regexp(t, `^coap-client: [^\n]+\n$`, got.stderr)
				}
			})
		}
	}
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	config := &coap.Config{PKI: coap.PKI{
		Certificates: []gnutls.Certificate{keyPair(t, "server")},
		ClientAuth:   gnutls.RequireAndVerifyClientCert,
		ClientCAs:    pool(t),
	}}
	subject := func(w coap.ResponseWriter, r *coap.Request) {
		w.Write([]byte(r.Session.PeerCertificates()[0].Subject.CommonName))
	}
	name := keyPair(t, "client").Leaf.Subject.CommonName
	for _, uri := range serve(t, config, subject, "coaps", "coaps+tcp") {
		got := call(t, "-C", testenv.File("ca.pem"), "-c", testenv.File("client.pem"), "-j",
			testenv.File("client.key"), uri)
		assert.Equal(t, result{stdout: name + "\n"}, got)
	}
}

func TestHintsChooseIdentityAndKey(t *testing.T) {
	t.Parallel()
	if !coap.Supports(coap.FeaturePSKHints) {
		t.Skip("libcoap has no hints")
	}
	file := filepath.Join(t.TempDir(), "hints")
	require.NoError(t,
		os.WriteFile(file, []byte("# comment\nelsewhere,a,b\nhere,other,key,two\n"), 0o600))
	config := &coap.Config{ServerPSK: coap.ServerPSK{Hint: "here",
		GetKey: func(identity, _ string) ([]byte, error) {
			return map[string][]byte{"other": []byte("key,two"), "me": []byte("secret")}[identity], nil
		}}}
	identity := func(w coap.ResponseWriter, r *coap.Request) {
		w.Write([]byte(r.Session.PeerIdentity()))
	}
	uri := serve(t, config, identity, "coaps")[0]
	assert.Equal(t, result{stdout: "other\n"}, call(t, "-u", "me", "-k", "secret", "-h", file, uri))
	assert.Equal(t, result{stdout: "me\n"}, call(t, "-u", "me", "-k", "secret", uri))
}

// capture runs a server that answers every request with 2.05, and returns its URI.
func capture(t testing.TB) (server *coappeer.UDP, uri string) {
	server = coappeer.NewUDP(t)
	go server.Answer(func(m coappeer.Received) []coappeer.Message {
		if m.Code == coappeer.Empty {
			return nil
		}
		return []coappeer.Message{m.Respond(coappeer.Content, []byte("yes"))}
	})
	return server, "coap://" + server.Addr().String()
}

func isHopLimit(o coappeer.Option) bool { return o.Number == uint16(coap.OptionHopLimit) }

func TestRequestsGoThroughAProxy(t *testing.T) {
	t.Parallel()
	const target = "coap://target.example:1234/a?b"
	for name, test := range map[string]struct {
		args []string
		want []coappeer.Option
	}{
		"proxy URI": {[]string{"-P", "coap://PROXY"},
			[]coappeer.Option{coappeer.String(coappeer.ProxyURI, target)}},
		"of 4.2": {[]string{"--compat=4.2", "-PPROXY"},
			[]coappeer.Option{coappeer.String(coappeer.ProxyURI, target)}},
		"proxy scheme": {[]string{"-P", "coap://PROXY", "-O", "39,coap", "-O", "3,target.example"},
			[]coappeer.Option{
				coappeer.String(coappeer.URIHost, "target.example"), coappeer.Uint(coappeer.URIPort, 1234),
				coappeer.String(coappeer.URIPath, "a"), coappeer.String(coappeer.URIQuery, "b"),
				coappeer.String(coappeer.ProxyScheme, "coap"),
			}},
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := capture(t)
			args := []string{target}
			for _, arg := range test.args {
				args = append(args, strings.Replace(arg, "PROXY", server.Addr().String(), 1))
			}
			assert.Equal(t, result{stdout: "yes\n"}, call(t, args...))
			got := slices.DeleteFunc(server.Captured()[0].Options, isHopLimit) // libcoap adds it
			assert.Equal(t, test.want, got)
		})
	}
}

// What libcoap's etsi_coaptest.sh calls its client with.
func TestTokensBeginWithTheOneThatIsGiven(t *testing.T) {
	t.Parallel()
	for flags, want := range map[string][]string{
		"-T 3a":                 {"3a"},
		"-s1 -T 12345678":       {"12345678"},
		"-N -G 2 -T sometok":    {"sometok", "sometol"},
		"-N -G 2 -T a\u007f":    {"a\x7f", "a\x80"},
		"-N -G 2 -T \xff\xff":   {"\xff\xff", "\x00\x00"},
		"-N -m put -e x -T put": {"put"},
	} {
		t.Run(flags, func(t *testing.T) {
			t.Parallel()
			server, uri := capture(t)
			got := call(t, append(strings.Fields(flags), "-B", "10", uri)...)
			require.Equal(t, 0, got.status, got.stderr)
			for i, token := range want {
				assert.Equal(t, token, string(server.Captured()[i].Token))
			}
		})
	}
}

func TestCallsOfThePlugtests(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "body")
	require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte("x"), 2000), 0o600))
	number := func(n uint16, v uint32) coappeer.Option { return coappeer.Uint(n, v) }
	for line, want := range map[string]coappeer.Message{
		"-v 5 -m get @/test": {Type: coappeer.CON, Code: coappeer.GET,
			Options: coappeer.Path("test")},
		"-v 5 -m post -f SMALL -t 0 @/test": {Type: coappeer.CON, Code: coappeer.POST,
			Options: append(coappeer.Path("test"), number(coappeer.ContentFormat, 0)),
			Payload: []byte("small")},
		"-v 5 -m put -f SMALL @/test": {Type: coappeer.CON, Code: coappeer.PUT,
			Options: coappeer.Path("test"), Payload: []byte("small")},
		"-v 5 -m delete @/test": {Type: coappeer.CON, Code: coappeer.DELETE,
			Options: coappeer.Path("test")},
		"-v 5 -N -m get @/test": {Type: coappeer.NON, Code: coappeer.GET,
			Options: coappeer.Path("test")},
		"-v 5 -N -m put -f SMALL @/test": {Type: coappeer.NON, Code: coappeer.PUT,
			Options: coappeer.Path("test"), Payload: []byte("small")},
		"-v 5 -B 10 -m get -T sometok @/test": {Type: coappeer.CON, Code: coappeer.GET,
			Options: coappeer.Path("test")},
		"-v 5 -m get -A 41 @/test": {Type: coappeer.CON, Code: coappeer.GET,
			Options: append(coappeer.Path("test"), number(coappeer.Accept, 41))},
		"-v 5 -m get -b 1024 @/large": {Type: coappeer.CON, Code: coappeer.GET,
			Options: append(coappeer.Path("large"), number(coappeer.Block2, 6))},
		"-v 5 -m get -b 64 @/large": {Type: coappeer.CON, Code: coappeer.GET,
			Options: append(coappeer.Path("large"), number(coappeer.Block2, 2))},
		"-v 5 -m put -b 1024 -f FILE @/large-update": {Type: coappeer.CON, Code: coappeer.PUT,
			Options: append(coappeer.Path("large-update"),
				number(coappeer.Block1, 8|6), number(coappeer.Size1, 2000)), Payload: bytes.Repeat([]byte("x"),
				1024)},
		"-v 5 -s 0 @/obs": {Type: coappeer.CON, Code: coappeer.GET,
			Options: append([]coappeer.Option{number(coappeer.Observe, 0)}, coappeer.Path("obs")...)},
		"-v 5 -s 0 -N @/obs": {Type: coappeer.NON, Code: coappeer.GET,
			Options: append([]coappeer.Option{number(coappeer.Observe, 0)}, coappeer.Path("obs")...)},
		"-v 5 -m get -o OUT @/seg1/seg2/seg3": {Type: coappeer.CON, Code: coappeer.GET,
			Options: coappeer.Path("seg1/seg2/seg3")},
		"@/query?first=1&second=2": {Type: coappeer.CON, Code: coappeer.GET,
			Options: append(coappeer.Path("query"),
				coappeer.String(coappeer.URIQuery, "first=1"), coappeer.String(coappeer.URIQuery, "second=2"))},
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			small := filepath.Join(t.TempDir(), "small")
			require.NoError(t, os.WriteFile(small, []byte("small"), 0o600))
			server, uri := capture(t)
			_, stderr, status := toolstest.Output(t,
				client(strings.Fields(strings.NewReplacer("@", uri, "FILE", file, "SMALL", small, "OUT",
					small).Replace(line))...))
			require.Equal(t, 0, status, stderr)
			m := server.Captured()[0].Message
			m.ID, m.Token = 0, nil
			m.Options = slices.DeleteFunc(m.Options,
				func(o coappeer.Option) bool { return o.Number == coappeer.URIPort })
			assert.Equal(t, want, m)
		})
	}
}

func TestMessagesAreShownAtLevel6(t *testing.T) {
	t.Parallel()
	server, uri := capture(t)
	stdout, stderr, status := toolstest.Output(t,
		client("-v", "6", "-t", "0", "-m", "put", "-e", "x", uri+"/a?b"))
	require.Zero(t, status, stderr)
	port := server.Addr().Port()
	m := server.Captured()[0]
	assert.Equal(t,
		fmt.Sprintf(
			"v:1 t:CON c:PUT i:%04x {%x} [ Uri-Port:%d, Uri-Path:a, Content-Format:text/plain, Uri-Query:b ] :: 'x'\n"+
				"v:1 t:ACK c:2.05 i:%04[1]x {%[2]x} [ ] :: 'yes'\nyes\n", m.ID, m.Token, port), stdout)
}

func TestLostDatagramsAreSentAgain(t *testing.T) {
	t.Parallel()
	server, uri := capture(t)
	stdout, stderr, status := toolstest.Output(t, client("-l", "1", "-v7", uri))
	require.Zero(t, status, stderr)
	assert.Contains(t, stdout, "retransmission #1")
	assert.Len(t, server.Captured(), 1)
}

func TestGroupsAreAskedOnceAndUntilTheEnd(t *testing.T) {
	t.Parallel()
	if !coap.Supports(coap.FeatureAnyGroup) {
		t.Log("libcoap 4.2.1 joins no group of IPv4")
		return
	}
	server, err := coap.NewNode(&coap.Config{Leisure: 1})
	require.NoError(t, err)
	defer server.Close()
	var requests atomic.Int32
	server.Handle(coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		requests.Add(1)
		show(w, r)
	}))
	addr, err := server.Listen(netip.AddrPortFrom(netip.IPv6Unspecified(), 0), coap.UDP)
	require.NoError(t, err)
	const group = "239.255.71.85"
	lo, err := net.InterfaceByName("lo")
	require.NoError(t, err)
	require.NoError(t, server.JoinGroup(netip.MustParseAddr(group), lo))
	uri := fmt.Sprintf("coap://%s:%d/", group, addr.Port())
	assert.Equal(t, result{stdout: "GET\n"}, call(t, "-B", "1", "-a", "127.0.0.1", uri))
	assert.Equal(t, result{status: 1, stderr: "coap-client: " + uri +
		"client: no response within 1s\n"}, call(t, "-B", "1", "-a", "127.0.0.1", uri+"client"))
	assert.EqualValues(t, 2, requests.Load())
	assert.Equal(t, 2, call(t, "-s", "1", "-a", "127.0.0.1", uri).status)
}

func TestObservationEndsAfterItsTime(t *testing.T) {
	t.Parallel()
	_, uri := capture(t)
	stdout, stderr, status := toolstest.Output(t, client("-s", "5", uri))
	assert.Equal(t, []any{"yes\n", "", 0}, []any{stdout, stderr, status}, "it is not to be observed")

	resource := coap.NewResource(coap.HandlerFunc(show))
	uri = serve(t, nil, resource.ServeCoAP, "coap")[0]
	started := time.Now()
	assert.Equal(t, result{stdout: "GET\n"}, call(t, "-s", "1", uri))
	assert.GreaterOrEqual(t, time.Since(started), time.Second)
	assert.Eventually(t, func() bool { return resource.Observers() == 0 }, toolstest.Wait,
		time.Millisecond)
	assert.Equal(t, result{stdout: "GET\n"}, call(t, "-B", "1", "-s", "0", uri))
}

// libcoap complains in its log where a message does not fit.
func TestLargeUploadsSayNothing(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "body")
	require.NoError(t, os.WriteFile(file, make([]byte, 200_000), 0o600))
	for _, uri := range serve(t, nil, func(coap.ResponseWriter, *coap.Request) {}, "coap",
		"coap+tcp") {
		for _, flags := range [][]string{nil, {"-b", "1024"},
			{"-O", "2048," + strings.Repeat("x", 200)}} {
			stdout, stderr, status := toolstest.Output(t,
				client(append(flags, "-m", "put", "-f", file, uri)...))
			assert.Zero(t, status)
			assert.Empty(t, stdout+stderr)
		}
	}
}

func TestZonesOfAddresses(t *testing.T) {
	for _, uri := range []string{"coap://[fe80::1%lo]/", "coap://[fe80::1%25lo]/"} {
		got := call(t, "-B", "1", uri)
		assert.NotEqual(t, 2, got.status, "it is not bad usage: %s", got.stderr)
		assert.NotContains(t, got.stderr, "not an IPv6 address")
	}
}

func TestServersThatWantAnEchoOptionAreAnswered(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "body")
	body := strings.Repeat("0123456789", 500)
	require.NoError(t, os.WriteFile(file, []byte(body), 0o600))
	uri := serve(t, &coap.Config{AddressValidation: coap.ValidateAlways}, show, "coap")[0]
	assert.Equal(t, result{0, "GET\n", ""}, call(t, uri+"/x"))
	assert.Equal(t, result{0, body + "\n", ""}, call(t, "-m", "put", "-f", file, uri+"/body"))
	assert.Equal(t, result{0, body + "\n", ""}, callWith(t, body, "-m", "put", "-f", "-", uri+"/body"))
}
