package main

import (
	"bytes"
	"context"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m, func() (any, int64) {
		counts := coap.LiveObjects()
		return counts, counts.Total()
	})
}

var testFiles = files{
	testenv.File("server.pem"), testenv.File("server.key"), testenv.File("client.pem"),
	testenv.File("client.key"), testenv.File("ca.pem"),
}

func TestClientsComeBack(t *testing.T) {
	const clients = 40
	var out bytes.Buffer
	err := run(context.Background(), &out, clients, testFiles)
	if !coap.Supports(coap.FeatureSessionResumption) {
		require.ErrorIs(t, err, coap.ErrNotSupported)
		return
	}
	require.NoError(t, err, out.String())
	t.Log(out.String())
	row := func(name string) []int {
		found := regexp.MustCompile(`(?m)^ *` + name +
			` +(\d+) +(\d+) +\d+ +\d+ +\d+ *$`).FindStringSubmatch(out.String())
		require.NotNil(t, found, name)
		var n []int
		for _, column := range found[1:] {
			number, err := strconv.Atoi(column)
			require.NoError(t, err)
			n = append(n, number)
		}
		return n
	}
	assert.Equal(t, []int{clients, 0}, row("without tickets"))
	assert.Equal(t, []int{0, clients}, row("with tickets"))
}

func TestGatewayThatCannotStart(t *testing.T) {
	var out bytes.Buffer
	none := testFiles
	none.cert = testenv.File("none.pem")
	assert.Error(t, run(context.Background(), &out, 1, none))
	assert.Empty(t, out.String())
}
