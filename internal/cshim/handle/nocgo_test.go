package handle

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whoever builds without cgo, or without a C compiler, is told so in one line.
func TestWithoutCgoOneLineSaysWhatIsMissing(t *testing.T) {
	for what, environment := range map[string][]string{
		"CGO_ENABLED=0": {"CGO_ENABLED=0"},
		"no C compiler": {"CGO_ENABLED=", "CC=", "PATH=" + t.TempDir()},
	} {
		t.Run(what, func(t *testing.T) {
			goTool, err := exec.LookPath("go")
			require.NoError(t, err)
			cmd := exec.Command(goTool, "build", "-o", os.DevNull, "../../../gnutls", "../../../coap")
			cmd.Env = append(os.Environ(), environment...)
			out, err := cmd.CombinedOutput()
			require.Error(t, err)
			var lines []string
			for line := range strings.Lines(string(out)) {
				if !strings.HasPrefix(line, "#") {
					lines = append(lines, line)
				}
			}
			require.Len(t, lines, 1, "%s", out)
			assert.Contains(t, lines[0], "gnucoap needs cgo: install a C compiler")
		})
	}
}
