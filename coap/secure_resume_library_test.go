package coap

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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

func build(t testing.TB, args ...string) {
	t.Helper()
	out, err := exec.Command("go",
		slices.Concat([]string{"build"}, args, []string{"./testdata/library"})...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// What is replaced in libcoap is replaced wherever that is, and in whatever order a program loads
// the libraries.
func TestResumptionHoweverLibcoapIsLinked(t *testing.T) {
	dir := t.TempDir()
	library, load, static := filepath.Join(dir, "libcount.so"), filepath.Join(dir,
		"load"), filepath.Join(dir, "static")
	build(t, "-buildmode=c-shared", "-o", library)
	output(t, "cc", "-o", load, "testdata/program/load.c", "-ldl")
	link := func(name string, libraries ...string) string {
		program := filepath.Join(dir, name)
		output(t, "cc",
			append([]string{"-o", program, "testdata/program/call.c", "-Wl,--no-as-needed", "-L" + dir,
				"-Wl,-rpath," + dir}, libraries...)...)
		return program
	}
	libcoap := "coap-3-gnutls"
	if oldTools {
		libcoap = "coap-2-gnutls"
	}
	archive := strings.TrimSpace(output(t, "cc", "-print-file-name=lib"+libcoap+".a"))
	archives := t.TempDir() // with nothing else for the linker to take
	require.NoError(t, os.Symlink(archive, filepath.Join(archives, filepath.Base(archive))))
	build(t, "-ldflags", "-linkmode=external -extldflags=-L"+archives, "-o", static)
	assert.NotContains(t, output(t, "ldd", static), libcoap)
	coapFile, gnutlsFile := "lib"+libcoap+".so", "libgnutls.so"
	for _, tc := range []struct {
		name    string
		command []string
	}{
		{"libcoap is in the program", []string{static}},
		{"linked", []string{link("linked", "-lcount")}},
		{"linked before libcoap", []string{link("before", "-lcount", "-l"+libcoap)}},
		{"linked after libcoap", []string{link("after", "-l"+libcoap, "-lcount")}},
		{"loaded", []string{load, library}},
		{"loaded for all", []string{load, library + "+"}},
		{"loaded after libcoap", []string{load, coapFile, library}},
		{"loaded for all after libcoap", []string{load, coapFile, library + "+"}},
		{"loaded after GnuTLS", []string{load, gnutlsFile + "+", library}},
		{"loaded for all after GnuTLS", []string{load, gnutlsFile + "+", library + "+"}},
		{"loaded, unloaded and loaded again", []string{load, library, "-", library}},
		{"loaded after libcoap was unloaded", []string{load, coapFile, "-", library}},
		{"loaded before a plugin with libcoap that is unloaded",
			[]string{load, library, coapFile, "-", library}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := "false 0 0\n"
			if Supports(FeatureSessionResumption) {
				want = "true 2 2\n"
			}
			if slices.Equal(tc.command[1:], []string{library, "-", library}) {
				want += want
			}
			assert.Equal(t, want, output(t, tc.command[0], tc.command[1:]...))
		})
	}
}
