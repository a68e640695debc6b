package coap

import (
	"context"
	"testing"
	"time"

	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m, func() (any, int64) {
		counts := LiveObjects()
		return counts, counts.Total()
	})
}

// wait bounds what a test waits for; nothing takes this long.
const wait = 20 * time.Second

func waitContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	t.Cleanup(cancel)
	return ctx
}
