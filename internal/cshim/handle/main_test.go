package handle

import (
	"testing"

	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m, func() (any, int64) { return Live(), Live() })
}
