// Package toolstest runs libcoap's coap-client and coap-server, or those of this
// module, through one script of commands, so that tests can compare what they print.
package toolstest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/testenv"
)

// Wait bounds a command; nothing takes this long.
const Wait = 30 * time.Second

// The pre-shared key of the servers, and an identity for it.
const (
	Key      = "sesame"
	Identity = "ali"
)

// Schemes are those of all transports.
var Schemes = []string{"coap", "coaps", "coap+tcp", "coaps+tcp"}

// Script is what the clients are called with, in this order. @ is replaced with the URI of the
// server, and FILE for a file of 5000 bytes.
var Script = []string{
	"@/",
	"@/?",
	"-m get @",
	"@/.well-known/core",
	"@/.well-known/core?rt=ticks",
	"@/.well-known/core?title=Gen*",
	"@/none",
	"-m delete @/none",
	"-m post -e x @/.well-known/core",
	"-m post -e x @/time",
	"-m ipatch -e x @/",
	"@/time",
	"@/time?ticks",
	"-m fetch -e ticks @/time",
	"-s 1 @/time",
	"-s 1 @/",
	"-N @/async?1",
	"@/async?0",
	"@/example_data",
	"-b 64 @/example_data",
	"-b1024 @/example_data",
	"-Nb64 @/example_data",
	"-b 0,64 @/example_data",
	"-b 1,64 @/example_data",
	"-T 12345678 -b 512 @/example_data",
	"-T 3a -m put -b 512 -f FILE @/example_data",
	"-w -b 256 @/example_data",
	"-m put -t50 -f FILE @/example_data",
	"-A json @/example_data",
	"-s 1 -b 128 @/example_data",
	"-m put -e hello%20you @/one",
	"@/one",
	"-o - @/one",
	"-w @/one",
	"-NG2 -wo- @/one",
	"-Nmget -v5 @/one",
	"-m PUT -e=more @/one",
	"@/one",
	"@/one -w",
	"-m put @/one",
	"@/one",
	"-m put -b 512 -f FILE @/one",
	"-m get -t text/plain -A plain @/one",
	"-m put -e 2 -t 60 @/two%2Fa?b=c&d",
	"@/two%2Fa",
	"-m post -e p @/three?a=b",
	"-m put -e z @/four",
	"@/.well-known/core",
	"-m delete @/one",
	"@/one",
	"-m put -e new @/one",
	"-m get -T sometok @/one",
	"-U @/one",
	"-O 11,one @/",
	"-O 11,0x6f6e65 @/",
	"-O 35,coap://x/y @/",
	"-H 16 @/one",
	"-H 1 @/one",
	"-K 1 @/async?2",
	"-L 3 @/one",
}

// Options says how a script is run.
type Options struct {
	Client func(args ...string) *exec.Cmd
	Scheme string
	// URI is the server's, without a path.
	URI string
}

// Old reports whether libcoap's programs are of 4.2, which is what --compat=4.2 of ours is
// compared with.
func Old(t testing.TB) bool { return !testenv.CoAPClientTakes(t, 'G', 'H', 'L', 'w') }

// script returns what libcoap's client takes of the script.
func script(t testing.TB, scheme string) []string {
	if !Old(t) {
		return Script
	}
	return slices.DeleteFunc(slices.Clone(Script), func(line string) bool {
		switch {
		case newFlags.MatchString(line):
			return true
		// over TCP it stops behind the first block, and it needs a size
		case strings.Contains(line, "-f FILE"):
			return strings.HasSuffix(scheme, "+tcp") || !strings.Contains(line, "-b")
		case strings.HasPrefix(line, "-O 35"): // the server takes what is for a proxy as its own
			return true
		case strings.HasPrefix(line, "-K"): // libcoap says that a ping was answered
			return true
		}
		return false
	})
}

var newFlags = regexp.MustCompile(`(^| )-\w*[GHLw]`)

// Run runs the script and returns what each command prints, with times taken out, and
// what differs among the versions of libcoap's programs.
func Run(t testing.TB, o Options) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	body := strings.Repeat("0123456789", 500)
	require.NoError(t, os.WriteFile(file, []byte(body), 0o600))
	var transcript []string
	for _, line := range script(t, o.Scheme) {
		args := []string{"-B", "10"}
		if strings.HasPrefix(o.Scheme, "coaps") {
			args = append(args, "-u", Identity, "-k", Key)
		}
		for _, arg := range strings.Fields(line) {
			arg = strings.Replace(arg, "@", o.URI, 1)
			args = append(args, strings.Replace(arg, "FILE", file, 1))
		}
		stdout, stderr, _ := Output(t, o.Client(args...))
		stdout = withoutTimes(withoutYears(stdout))
		// from 4.3.4 on, coap-client prints the response to the end as well
		if strings.HasPrefix(line, "-s 1 -b") {
			stdout = strings.Replace(stdout, body+body, body, 1)
		}
		transcript = append(transcript, "$ "+line+"\n"+stdout+"stderr: "+stderr)
	}
	return transcript
}

// Output runs a command to its end.
func Output(t testing.TB, cmd *exec.Cmd) (stdout, stderr string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Wait)
	defer cancel()
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	require.NoError(t, cmd.Start())
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	cmd.Wait()
	require.True(t, stop(), "%v did not end; it printed %q and %q", cmd.Args, out.String(),
		err.String())
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

var (
	times = regexp.MustCompile(`([A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d)+`)
	ticks = regexp.MustCompile(`^\d{10}\n$`)
)

func withoutTimes(text string) string {
	return ticks.ReplaceAllString(times.ReplaceAllString(text, "TIME"), "TICKS\n")
}

var years = regexp.MustCompile(`2010--20\d\d`)

// withoutYears takes the year of libcoap's copyright out.
func withoutYears(text string) string { return years.ReplaceAllString(text, "YEARS") }

// LibcoapClient returns libcoap's coap-client.
func LibcoapClient(t testing.TB, scheme string) func(args ...string) *exec.Cmd {
	path := testenv.Peer(t, "coap-client-gnutls")
	if scheme == "coaps+tcp" && Old(t) { // the other one aborts over TLS where the server is fast
		path = testenv.Peer(t, "coap-client-openssl")
	}
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command(path, args...)
		cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
		return cmd
	}
}

// LibcoapServer starts libcoap's coap-server with what the script needs, and returns its URIs.
func LibcoapServer(t testing.TB) func(scheme string) string {
	s := testenv.StartCoAPServer(t, "gnutls", ServerArgs()...)
	return func(scheme string) string { return s.URI(scheme, "") }
}

// ServerArgs are the flags that a server needs for the script, besides its address.
func ServerArgs() []string { return []string{"-k", Key, "-d", "3"} }

// Compat are the flags that our programs need to be like libcoap's.
func Compat(t testing.TB) []string {
	if Old(t) {
		return []string{"--compat=4.2"}
	}
	return nil
}
