package bench

import (
	"crypto/tls"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m, func() (any, int64) {
		counts := gnutls.LiveObjects()
		return counts, counts.Total()
	})
}

// timer makes a benchmark report processor time as well.
type timer struct {
	b *testing.B
	Clock
}

func (t *timer) StartTimer() { t.b.StartTimer(); t.Clock.StartTimer() }
func (t *timer) StopTimer()  { t.Clock.StopTimer(); t.b.StopTimer() }

func BenchmarkTLS(b *testing.B) {
	for _, w := range Workloads {
		stacks, err := w.Stacks()
		require.NoError(b, err)
		for _, s := range stacks {
			b.Run(w.Name+"/"+s.Name, func(b *testing.B) {
				b.StopTimer()
				b.ReportAllocs()
				b.SetBytes(int64(w.Bytes))
				t := &timer{b: b}
				require.NoError(b, w.Run(s, t, b.N))
				b.ReportMetric(float64(t.CPU.Nanoseconds())/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

func TestBothImplementationsNegotiateTheSame(t *testing.T) {
	for _, g := range []Group{X25519, P256} {
		t.Run(g.Name, func(t *testing.T) {
			stacks, err := (&Workload{Group: g}).Stacks()
			require.NoError(t, err)
			for _, s := range stacks {
				c, sc, err := s.connect()
				require.NoError(t, err)
				switch c := c.(type) {
				case *gnutls.Conn:
					cs := c.ConnectionState()
					assert.Equal(t, gnutls.VersionTLS13, cs.Version)
					assert.Equal(t, "TLS_AES_128_GCM_SHA256", cs.CipherSuiteName)
					assert.Len(t, cs.VerifiedChains, 1)
				case *tls.Conn:
					cs := c.ConnectionState()
					assert.EqualValues(t, tls.VersionTLS13, cs.Version)
					assert.Equal(t, tls.TLS_AES_128_GCM_SHA256, cs.CipherSuite)
					assert.Len(t, cs.VerifiedChains, 1)
				}
				require.NoError(t, c.Close())
				_, err = sc.Read(make([]byte, 1))
				assert.ErrorIs(t, err, io.EOF)
				require.NoError(t, sc.Close())
			}
		})
	}
}

func TestEachWorkloadRuns(t *testing.T) {
	for _, w := range Workloads {
		t.Run(w.Name, func(t *testing.T) {
			stacks, err := w.Stacks()
			require.NoError(t, err)
			for _, s := range stacks {
				clock := new(Clock)
				require.NoError(t, w.Run(s, clock, 2))
				assert.Positive(t, clock.Elapsed)
			}
		})
	}
}

func TestIdleConnectionsHoldMemory(t *testing.T) {
	stacks, err := Workloads[0].Stacks()
	require.NoError(t, err)
	for _, s := range stacks {
		held, err := s.Idle(50)
		require.NoError(t, err)
		assert.Positive(t, held.Stack)
	}
}
