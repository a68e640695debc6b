package coapdebug

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m, func() (any, int64) {
		counts := coap.LiveObjects()
		return counts, counts.Total()
	})
}

func TestBadListsOfDatagramsToLose(t *testing.T) {
	for _, list := range []string{"", "x", "1,x", "-x", "50 %"} {
		assert.ErrorContains(t, LoseDatagrams(list), "coap: ", list)
	}
}
