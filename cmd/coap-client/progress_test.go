package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gnucoap/gnucoap/cmd/internal/progress"
	"github.com/gnucoap/gnucoap/cmd/internal/toolstest"
	"github.com/gnucoap/gnucoap/coap"
)

// terminal returns a terminal, and a function that closes it and returns what was written to it.
func terminal(t testing.TB) (tty *os.File, written func() string) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { keyboard.Close() })
	raw, err := keyboard.SyscallConn()
	require.NoError(t, err)
	var number int
	var failed error
	require.NoError(t, raw.Control(func(fd uintptr) {
		if failed = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); failed == nil {
			number, failed = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}))
	require.NoError(t, failed)
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	text := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(keyboard) // it ends with EIO
		text <- string(b)
	}()
	return tty, func() string {
		assert.NoError(t, tty.Close())
		return <-text
	}
}

func TestProgressFitsANarrowTerminal(t *testing.T) {
	t.Parallel()
	for _, columns := range []uint16{20, 40, 80, 200} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			t.Parallel()
			tty, written := terminal(t)
			require.NoError(t,
				unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))
			bar := progress.NewBar(tty, 123<<20, "", progressbar.OptionShowBytes(true))
			for range 10 {
				require.NoError(t, bar.Add(12<<20))
			}
			require.NoError(t, bar.RenderBlank())
			shown := written()
			assert.Contains(t, shown, "%")
			for line := range strings.SplitSeq(shown, "\r") {
				assert.LessOrEqual(t, utf8.RuneCountInString(line), int(columns), "%q", line)
			}
		})
	}
}

func TestProgressOfLongBodiesIsShownOnATerminal(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte("0123456789"), 2000)
	uri := serve(t, nil, func(w coap.ResponseWriter, r *coap.Request) {
		switch {
		case r.Method != coap.MethodGet:
		case r.Options.Path() == "/short":
			w.Write([]byte("short"))
		default:
			w.Write(long)
		}
	}, "coap")[0]
	dir := t.TempDir()
	file := filepath.Join(dir, "long")
	require.NoError(t, os.WriteFile(file, long, 0o600))
	for name, test := range map[string]struct {
		args   []string
		stdout bool // is the terminal too
		shown  bool
	}{
		"a body that is received": {[]string{uri}, false, true},
		"one that goes to a file": {[]string{"-o", filepath.Join(dir, "out"), uri}, true,
			true},
		"one that goes to the terminal":          {[]string{uri}, true, false},
		"a short one":                            {[]string{uri + "/short"}, false, false},
		"a body that is sent":                    {[]string{"-m", "put", "-f", file, uri}, false, true},
		"one that is sent, with the terminal":    {[]string{"-m", "put", "-f", file, uri}, true, true},
		"a body that is received, over and over": {[]string{"-G", "2", uri}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tty, written := terminal(t)
			printed := toolstest.NewPrinted()
			stdout := io.Writer(printed)
			if test.stdout {
				stdout = tty
			}
			status := run(t.Context(), append([]string{"-B", "20"}, test.args...), nil, stdout, tty)
			shown := written()
			assert.Zero(t, status, shown)
			if test.shown {
				assert.Contains(t, shown, "%")
			} else {
				assert.NotContains(t, shown, "%")
			}
		})
	}
}
