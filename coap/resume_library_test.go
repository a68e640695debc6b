package coap

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// output runs a program, which must succeed, and returns what it prints.
func output(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(waitContext(t), name, args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// Which library's functions libcoap calls depends on the order in which a program loads them.
func TestResumptionInASharedLibrary(t *testing.T) {
	dir := t.TempDir()
	library, load := filepath.Join(dir, "libcount.so"), filepath.Join(dir, "load")
	build, err := exec.Command("go", "build", "-buildmode=c-shared", "-o", library, "./testdata/library").CombinedOutput()
	require.NoError(t, err, "%s", build)
	output(t, "cc", "-o", load, "testdata/program/load.c", "-ldl")
	link := func(name string, libraries ...string) string {
		program := filepath.Join(dir, name)
		output(t, "cc", append([]string{"-o", program, "testdata/program/call.c", "-Wl,--no-as-needed", "-L" + dir, "-Wl,-rpath," + dir}, libraries...)...)
		return program
	}
	libcoap := "coap-3-gnutls"
	if oldTools {
		libcoap = "coap-2-gnutls"
	}
	coapFile, gnutlsFile := "lib"+libcoap+".so", "libgnutls.so"
	for _, tc := range []struct {
		name    string
		command []string
		resumes bool
	}{
		{"linked", []string{link("linked", "-lcount")}, true},
		{"linked before libcoap", []string{link("before", "-lcount", "-l"+libcoap)}, true},
		{"linked after libcoap", []string{link("after", "-l"+libcoap, "-lcount")}, false},
		{"loaded", []string{load, library}, true},
		{"loaded for all", []string{load, library + "+"}, true},
		{"loaded after libcoap", []string{load, coapFile, library}, false},
		{"loaded for all after libcoap", []string{load, coapFile, library + "+"}, false},
		{"loaded after GnuTLS", []string{load, gnutlsFile + "+", library}, false},
		{"loaded for all after GnuTLS", []string{load, gnutlsFile + "+", library + "+"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := "false 0 0\n"
			if tc.resumes && Supports(SessionResumption) {
				want = "true 2 2\n"
			}
			assert.Equal(t, want, output(t, tc.command[0], tc.command[1:]...))
		})
	}
}
