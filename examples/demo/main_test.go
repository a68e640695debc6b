package main

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m, func() (any, int64) {
		counts := []any{gnutls.LiveObjects(), coap.LiveObjects()}
		return counts, gnutls.LiveObjects().Total() + coap.LiveObjects().Total()
	})
}

func TestReport(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(&out, 3), &out)
	report := out.String()
	t.Log(report)

	assert.Contains(t, report, "GnuTLS "+gnutls.LibraryVersion())
	sections := regexp.MustCompile(`(?m)^TLS 1\.\d$`).Split(report, -1)
	require.Len(t, sections, 3)
	assert.Regexp(t, `ticket 1 of 1 +lifetime \S+, resumed\n`, sections[1])
	assert.Regexp(t, `ticket 1 of 2 +lifetime \S+, resumed\n.*ticket 2 of 2 +lifetime \S+, resumed\n`,
		sections[2])
	for _, proto := range []coap.Protocol{coap.UDP, coap.TCP, coap.DTLS, coap.TLS} {
		assert.Regexp(t, `(?m)^  `+proto.String()+
			` .* 100 kB to the server and back in \d+ ms +states observed: \[.*\]$`, report)
	}
	assert.NotContains(t, report, "NOT resumed")
	assert.Contains(t, report,
		"Native objects left: 0 sessions, 0 credentials, 0 priorities, 0 buffers, 0 handles, 0 for anti-replay; of CoAP 0.\n")
	assert.Contains(t, report, "asked for 4 tickets, the server announced 4, 4 came\n")
	early := 8
	if gnutls.LibraryVersion() == "3.7.1" {
		early = 0
	}
	assert.Contains(t, report, fmt.Sprintf("8 resumed, %d with early data, 4 tickets left\n", early))

	full, resumed := costs(t, sections[1], "full"), costs(t, sections[1], "resumed")
	assert.Equal(t, 2, full.roundTrips, "TLS 1.2")
	assert.Equal(t, 1, resumed.roundTrips, "TLS 1.2")
	assert.Less(t, resumed.received, full.received, "TLS 1.2")
	full, resumed = costs(t, sections[2], "full"), costs(t, sections[2], "resumed")
	assert.Equal(t, 1, full.roundTrips, "TLS 1.3")
	assert.Equal(t, 1, resumed.roundTrips, "TLS 1.3")
	assert.Less(t, resumed.received, full.received, "TLS 1.3")
}

// costs reads one row of the comparison.
func costs(t *testing.T, section, row string) cost {
	t.Helper()
	fields := regexp.MustCompile(` ` + row + ` +(\d+) µs +(\d+) +(\d+) +(\d+)`).FindStringSubmatch(
		section)
	require.NotNil(t, fields, "row %q of %s", row, section)
	var n [4]int
	for i, f := range fields[1:] {
		var err error
		n[i], err = strconv.Atoi(f)
		require.NoError(t, err)
	}
	return cost{time.Duration(n[0]) * time.Microsecond, n[1], n[2], n[3]}
}

// forgetful loses the sessions that it is given.
type forgetful struct{}

func (forgetful) Put(context.Context, []byte, []byte, time.Time) error { return nil }
func (forgetful) Get(context.Context, []byte) ([]byte, error)          { return nil, nil }
func (forgetful) Delete(context.Context, []byte) error                 { return nil }

func TestFailsWhereNothingResumes(t *testing.T) {
	roots, cert, err := newCertificate()
	require.NoError(t, err)
	for _, test := range []struct {
		name    string
		version uint16
		want    string
	}{
		{"session IDs that the server forgets", gnutls.VersionTLS12, "0 of 1 tickets resumed"},
		{"no tickets", gnutls.VersionTLS13, "0 of 0 tickets resumed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			err := show(&out, 1,
				&gnutls.Config{Certificates: []gnutls.Certificate{cert}, SessionTicketsDisabled: true,
					SessionStore: forgetful{}},
				&gnutls.Config{RootCAs: roots, ServerName: "localhost", MaxVersion: test.version},
			)
			assert.EqualError(t, err, test.want)
		})
	}
}
