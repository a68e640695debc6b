package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/internal/coverage"
	"github.com/gnucoap/gnucoap/internal/csource"
)

// source writes a C source and returns its path.
func source(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// call runs the command.
func call(t testing.TB, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(args, &out, &errs)
	return status, out.String(), errs.String()
}

// places returns the places of C sources.
func places(t testing.TB, files ...string) []place {
	t.Helper()
	status, stdout, stderr := call(t, append(files, "--json")...)
	require.Equal(t, 0, status, stderr)
	var report struct{ Places []place }
	require.NoError(t, json.Unmarshal([]byte(stdout), &report))
	return report.Places
}

// lines tells places in short, by line.
func lines(list []place) []string {
	var short []string
	for _, p := range list {
		s := fmt.Sprintf("%d %s %s %s", p.Line, p.Effort, p.Kind, p.Symbol)
		if p.Registered != "" {
			s += " " + p.Registered
		}
		short = append(short, s)
	}
	return short
}

const server = `#include <coap3/coap.h>
#include "coap_config.h"
static void
hnd_get(coap_resource_t *resource, coap_session_t *session,
        const coap_pdu_t *request, const coap_string_t *query,
        coap_pdu_t *response) { /* coap_send(session) */
	coap_pdu_set_code(response, COAP_RESPONSE_CODE_CONTENT);
}

int main(void) {
	coap_context_t *ctx = coap_new_context(NULL);
	coap_resource_t *r = coap_resource_init(coap_make_str_const("time"), 0);
	coap_register_request_handler(r, COAP_REQUEST_GET, hnd_get);
	coap_nothing_like_that(ctx);
	puts("coap_send");
#if 0
	don't coap_send(
#endif
	while (coap_io_process(ctx, COAP_IO_WAIT) >= 0);
}
`

func TestPlacesOfAServer(t *testing.T) {
	assert.Equal(t, []string{
		"1 simple include coap3/coap.h",
		"2 simple include coap_config.h",
		"4 thought type coap_resource_t",
		"4 simple type coap_session_t",
		"4 thought callback hnd_get coap_method_handler_t",
		"5 thought type coap_pdu_t",
		"5 simple type coap_string_t",
		"6 thought type coap_pdu_t",
		"7 simple function coap_pdu_set_code",
		"7 simple constant COAP_RESPONSE_CODE_CONTENT",
		"11 thought type coap_context_t",
		"11 simple function coap_new_context",
		"12 thought type coap_resource_t",
		"12 simple function coap_resource_init",
		"12 simple function coap_make_str_const",
		"13 simple function coap_register_request_handler hnd_get",
		"13 simple constant COAP_REQUEST_GET",
		"14 unknown unknown coap_nothing_like_that",
		"19 thought function coap_io_process",
		"19 simple macro COAP_IO_WAIT",
	}, lines(places(t, source(t, "server.c", server))))
}

func TestFieldsOfStructures(t *testing.T) {
	list := places(t, source(t, "pki.c", `
static int verify(const char *cn, coap_session_t *s) { return 1; }
static coap_dtls_pki_t global = { .version = 1, .validate_cn_call_back = verify };
coap_session_t *setup(coap_context_t *ctx, struct mine *other) {
	coap_dtls_pki_t pki, list[2];
	pki.pki_key.key.pem.ca_file = "ca.pem";
	list[1].require_peer_cert = 1;
	other->version = 1;
	return ctx->sessions;
}
void next(struct mine *pki) { pki->version = 2; }
`))
	assert.Equal(t, []string{
		"2 simple type coap_session_t",
		"2 thought callback verify coap_dtls_cn_callback_t",
		"3 thought type coap_dtls_pki_t",
		"3 simple field coap_dtls_pki_t.version",
		"3 thought field coap_dtls_pki_t.validate_cn_call_back verify",
		"4 simple type coap_session_t",
		"4 thought type coap_context_t",
		"5 thought type coap_dtls_pki_t",
		"6 simple field coap_dtls_pki_t.pki_key",
		"6 simple field coap_dtls_key_t.key",
		"6 simple field coap_dtls_key_t.key.pem",
		"6 simple field coap_pki_key_pem_t.ca_file",
		"7 thought field coap_dtls_pki_t.require_peer_cert",
		"9 thought field coap_context_t.sessions",
	}, lines(list))
	assert.Equal(t, []string{"gnutls.CertPool.AppendCertsFromPEM"}, list[11].Go)
}

func TestCallbacksAreFoundInOtherFiles(t *testing.T) {
	list := places(t,
		source(t, "main.c", "void f(coap_context_t *c) { coap_register_nack_handler(c, on_nack); }\n"),
		source(t, "nack.c", "void on_nack(coap_session_t *s) {\n}\n"))
	assert.Equal(t, []string{
		"1 thought type coap_context_t",
		"1 thought function coap_register_nack_handler on_nack",
		"1 simple type coap_session_t",
		"1 thought callback on_nack coap_nack_handler_t",
	}, lines(list))
	assert.Equal(t, "nack.c", filepath.Base(list[3].File))
}

func TestWhatTheProgramDefinesIsItsOwn(t *testing.T) {
	assert.Empty(t, places(t, source(t, "own.c", `
#define COAP_MY_SIZE 10
typedef int coap_mine_t;
static coap_mine_t coap_send(int n) { return COAP_MY_SIZE + n; }
int coap_context = 1;
int f(struct s *p) { return coap_send(1) + p->coap_ticks + coap_context; }
`)))
}

func TestReportForPeople(t *testing.T) {
	path := source(t, "server.c", server)
	status, stdout, stderr := call(t, path)
	require.Equal(t, 0, status, stderr)
	for _, want := range []string{
		"server.c:1: simple: coap3/coap.h → import \"github.com/gnucoap/gnucoap/coap\"\n",
		"server.c:4: thought: hnd_get (coap_method_handler_t) → coap.HandlerFunc\n\tfunc(w coap.ResponseWriter, r *coap.Request):",
		"server.c:13: simple: coap_register_request_handler (hnd_get) → coap.Mux.HandleFunc\n\tThe method is part of the pattern.\n",
		"server.c:14: unknown: coap_nothing_like_that → ?\n\tNo public header",
		"server.c:19: thought: coap_io_process → native.Borrow, native.Adopt\n",
		"server.c:19: simple: COAP_IO_WAIT → nothing\n",
		"server.c: 20 places: 12 simple (60 %), 7 need thought, 0 open, 1 unknown\n",
		"libcoap 4.2.1 lacks COAP_IO_WAIT, COAP_RESPONSE_CODE_CONTENT, coap_io_process, coap_pdu_set_code, coap_register_request_handler.\n",
		"libcoap 4.3.1 lacks nothing that is used.\n",
		"    2 coap_pdu_t\n",
	} {
		assert.Contains(t, stdout, want)
	}
	assert.Equal(t, 1, strings.Count(stdout, "The method is part of the pattern."))
}

func TestReportOfAProgramWithoutCoAP(t *testing.T) {
	status, stdout, _ := call(t, source(t, "a.c", "int main(void) { return 0; }\n"))
	assert.Equal(t, 0, status)
	assert.Regexp(t, `^\S+a\.c: does not use libcoap or GnuTLS\n$`, stdout)
}

func TestJSONIsOneObject(t *testing.T) {
	status, stdout, stderr := call(t, "-json", source(t, "server.c", server))
	require.Equal(t, 0, status, stderr)
	var report map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &report))
	assert.Len(t, report, 2)
	summary := report["summary"].(map[string]any)
	assert.Equal(t, map[string]any{"places": 20.0, "simple": 12.0, "thought": 7.0, "open": 0.0,
		"unknown": 1.0}, summary["total"])
	assert.Equal(t, []any{}, summary["missing"].(map[string]any)["libcoap"].(map[string]any)["4.3.4"])
	place := report["places"].([]any)[11].(map[string]any)
	assert.Equal(t, []any{"coap.NewNode"}, place["go"])
	assert.Equal(t, "The address argument becomes a call of Listen.", place["note"])
}

// examples returns the C sources that come with Debian's package of libcoap.
func examples(t testing.TB) []string {
	t.Helper()
	out, err := exec.Command("dpkg", "-L", "libcoap3-dev").Output()
	if err != nil && exec.Command("dpkg", "-L", "libcoap2-dev").Run() == nil {
		t.Skip("the package of libcoap 4.2.1 has none")
	}
	require.NoError(t, err)
	files := regexp.MustCompile(`(?m)^.*/coap-(client|server)\.c$`).FindAllString(string(out), -1)
	require.Len(t, files, 2)
	return files
}

func TestLibcoapsOwnPrograms(t *testing.T) {
	files := examples(t)
	data, err := coverage.Load()
	require.NoError(t, err)
	callbacks := map[string]string{}
	symbols := map[string]int{}
	isKnown := slices.Contains(data.Versions("libcoap"), coap.Version())
	for _, p := range places(t, files...) {
		if isKnown {
			assert.NotEqual(t, unknown, p.Effort, "%s:%d: %s", p.File, p.Line, p.Symbol)
		}
		known := data.Find(p.Symbol)
		// later ones have more than Go offers
		if known == nil || slices.Contains(known.Versions, "4.3.1") {
			assert.NotEqual(t, open, p.Effort, "%s:%d: %s", p.File, p.Line, p.Symbol)
		}
		symbols[p.Symbol]++
		if p.Kind == "callback" {
			callbacks[p.Symbol] = p.Registered
		}
	}
	for name, typ := range map[string]string{
		"hnd_get_index":       "coap_method_handler_t",
		"message_handler":     "coap_response_handler_t",
		"verify_id_callback":  "coap_dtls_id_callback_t",
		"verify_cn_callback":  "coap_dtls_cn_callback_t",
		"nack_handler":        "coap_nack_handler_t",
		"proxy_event_handler": "coap_event_handler_t",
	} {
		assert.Equal(t, typ, callbacks[name], name)
	}
	if coap.Version() == "4.3.1" { // as often as they stand in the code of that, outside comments
		for symbol, times := range map[string]int{"coap_new_context": 2, "coap_new_endpoint": 4,
			"coap_io_process": 3} {
			assert.Equal(t, times, symbols[symbol], symbol)
		}
	}
	status, stdout, _ := call(t, files...)
	assert.Equal(t, 0, status)
	if isKnown {
		assert.Contains(t, stdout, "libcoap "+coap.Version()+" lacks nothing that is used.\n")
	}
	simple := `8\d`
	if coap.Version() == "4.3.5" { // whose programs use OSCORE, WebSockets and its proxy
		simple = "79"
	}
	assert.Regexp(t, `(?m)^all: \d{4} places: \d{4} simple \(`+simple+` %\)`, stdout)
}

func TestHelp(t *testing.T) {
	status, stdout, stderr := call(t, "-h")
	assert.Equal(t, 0, status)
	assert.Contains(t, stdout, "Usage: coap-migrate [--json] FILE.c…\n  -json\n")
	assert.Empty(t, stderr)
}

func TestBadUsageIsOneLineAndStatus2(t *testing.T) {
	dir := t.TempDir()
	good := source(t, "good.c", "int x;\n")
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no file":             {nil, "no C source is given"},
		"unknown flag":        {[]string{"--yaml", good}, "flag provided but not defined: -yaml"},
		"unknown flag behind": {[]string{good, "--yaml"}, "flag provided but not defined: -yaml"},
		"bad value": {[]string{"--json=maybe", good},
			`invalid boolean value "maybe" for -json`},
		"missing file": {[]string{filepath.Join(dir, "none.c")},
			`none.c": no such file or directory`},
		"directory":        {[]string{dir}, `": is a directory`},
		"file given twice": {[]string{good, good}, `good.c" is given twice`},
		"empty name":       {[]string{""}, `"": no such file or directory`},
		"binary": {[]string{source(t, "bin.c", "int x;\n\x00")},
			`bin.c": line 2: a NUL byte`},
		"comment without end": {[]string{source(t, "com.c", "int x;\n/* no\nend\n")},
			`com.c": line 2: the comment has no end`},
		"literal without end": {[]string{source(t, "lit.c", "\nchar *x = \"abc;\n")},
			`lit.c": line 2: the literal that starts with " has no end`},
		"file name with break": {[]string{filepath.Join(dir, "a\nb.c")},
			`a\nb.c": no such file or directory`},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := call(t, tc.args...)
			assert.Equal(t, 2, status)
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, tc.want)
			assert.Regexp(t, `\Acoap-migrate: [^\n]+\n\z`, stderr)
		})
	}
}

func FuzzAnalyse(f *testing.F) {
	f.Add(server)
	f.Add("#if 0\n{[(\n#endif\ncoap_dtls_pki_t a = { .version")
	f.Add("coap_pdu_t *p, q[; p->tid.x[0]->y = coap_register_nack_handler(f")
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := csource.Tokens([]byte(text))
		if err != nil {
			return
		}
		data, err := coverage.Load()
		require.NoError(t, err)
		last := 1 + strings.Count(text, "\n")
		for _, p := range analyse(data, []unit{{"f.c", tokens}}).places {
			assert.True(t, p.Line >= 1 && p.Line <= last, "line %d of %d", p.Line, last)
		}
	})
}

func TestHeadersOfTheProjectAreItsOwn(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	write("coap_session.h", "")
	assert.Equal(t, []string{
		"3 simple include coap_debug.h",
		"4 simple include coap_session.h",
		"5 simple include coap2/coap.h",
	}, lines(places(t, write("main.c", `#include "coap_client.h"
#include "coap_session.h"
#include "coap_debug.h"
#include <coap_session.h>
#include <coap2/coap.h>
#include <coapthon.h>
`))))
}

func TestOneFileThatIsMissingDoesNotEndTheRun(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.c")
	status, stdout, stderr := call(t, missing, source(t, "server.c", server), missing+"c")
	assert.Equal(t, 2, status)
	assert.Contains(t, stdout, "server.c:11: simple: coap_new_context")
	assert.Regexp(t,
		`^coap-migrate: \S+none.c": no such file or directory\ncoap-migrate: \S+none.cc": no such[^\n]+\n$`, stderr)
}

// Uses that need more than a replacement are reported as such, and differences have a note.
func TestWhatIsNotTheSameIsSaid(t *testing.T) {
	_, stdout, _ := call(t, source(t, "a.c", `
static void f(coap_context_t *c, coap_pdu_t *p) {
	coap_set_log_handler(on_log);
	coap_debug_set_packet_loss("1");
	coap_get_uri_path(p);
	coap_get_query(p);
	coap_context_set_keepalive(c, 10);
	coap_add_option(p, COAP_OPTION_BLOCK2, 1, b);
}
`))
	for _, want := range []string{
		"a.c:3: thought: coap_set_log_handler → coap.Config.Logger\n\t",
		"a.c:4: thought: coap_debug_set_packet_loss → coapdebug.LoseDatagrams\n\t",
		"a.c:5: simple: coap_get_uri_path → coap.Options.Path\n\tIt begins with",
		"a.c:6: simple: coap_get_query → coap.Options.Queries\n\tA slice",
		"a.c:7: thought: coap_context_set_keepalive → coap.Session.Ping, coap.Client\n\tNothing is sent by itself",
		"a.c:8: thought: COAP_OPTION_BLOCK2 → coap.OptionBlock2\n\tBodies go in blocks by themselves. A download that goes on at block N does not",
	} {
		assert.Contains(t, stdout, want)
	}
}

func TestFeaturesThatGoLacksAreOpen(t *testing.T) {
	_, stdout, _ := call(t, source(t, "a.c",
		"static void f(coap_context_t *c) { coap_register_ping_handler(c, on_ping); }\n"))
	assert.Contains(t, stdout,
		"a.c:1: open: coap_register_ping_handler → not offered\n\tThe library answers pings")
	assert.Contains(t, stdout, "1 open, 0 unknown\n")
}
