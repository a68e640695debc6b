package coapflags

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/cmd/internal/flags"
)

// parse returns the values of -a, -b and -v, and the arguments.
func parse(line string) (a, b bool, v string, rest []string, err error) {
	s := New("test", "v")
	s.BoolVarP(&a, "all", "a", false, "")
	s.BoolVarP(&b, "both", "b", false, "")
	s.StringVarP(&v, "value", "v", "", "")
	s.AddCommon("")
	err = s.Parse(strings.Fields(line), "test", io.Discard)
	return a, b, v, s.Args(), err
}

func TestFlagsAreReadAsGetoptReadsThem(t *testing.T) {
	for line, want := range map[string]struct {
		a, b bool
		v    string
		rest []string
	}{
		"":                  {},
		"-a -b -v x":        {a: true, b: true, v: "x"},
		"-ab x":             {a: true, b: true, rest: []string{"x"}},
		"-vx":               {v: "x"},
		"-v=x":              {v: "=x"},
		"-abvx":             {a: true, b: true, v: "x"},
		"-abv x":            {a: true, b: true, v: "x"},
		"-vab":              {v: "ab"},
		"-v -a":             {v: "-a"},
		"-v -- -a":          {v: "--", a: true},
		"-a x -b":           {a: true, b: true, rest: []string{"x"}},
		"-a -- -b":          {a: true, rest: []string{"-b"}},
		"-a - -b":           {a: true, b: true, rest: []string{"-"}},
		"--value=x -a":      {v: "x", a: true},
		"--value -ax --all": {v: "-ax", a: true},
		"-v x -v y":         {v: "y"},
	} {
		t.Run(line, func(t *testing.T) {
			a, b, v, rest, err := parse(line)
			require.NoError(t, err)
			assert.Equal(t, []any{want.a, want.b, want.v, len(want.rest)}, []any{a, b, v, len(rest)})
			assert.ElementsMatch(t, want.rest, rest)
		})
	}
}

func TestWrongFlagsAreNamed(t *testing.T) {
	for line, says := range map[string]string{
		"-c":                    "'c'",
		"-ac":                   "'c'",
		"-av":                   "'v'",
		"--none":                "--none",
		"--compat=4":            `"4"`,
		"-v x --compat 4.2":     "-v: libcoap 4.2",
		"--legacy-exit --value": "--value",
	} {
		_, _, _, _, err := parse(line)
		assert.ErrorAs(t, err, new(flags.Error), line)
		assert.ErrorContains(t, err, says, line)
	}
}
