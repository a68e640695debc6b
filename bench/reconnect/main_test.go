package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/coap"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-server" { // as start calls it
		main()
		return
	}
	os.Exit(m.Run())
}

func TestEveryKindIsMeasured(t *testing.T) {
	var out strings.Builder
	err := measure(&out, 1, 2)
	if !coap.Supports(coap.FeatureSessionResumption) {
		require.ErrorIs(t, err, coap.ErrNotSupported)
		return
	}
	require.NoError(t, err, out.String())
	assert.Len(t,
		regexp.MustCompile(
			`(?m)^\| (DTLS 1.2|TLS 1.3), .*\|( [1-9]\d* \|){8}( \*\*\d+\.\d\d\*\* \|){4}$`).FindAllString(
			out.String(), -1), 2*len(kinds), out.String())
}
