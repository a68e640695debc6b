package coap

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestLengthsOfOptions(t *testing.T) {
	for _, tc := range []struct {
		id       OptionID
		min, max int
	}{
		{OptionIfMatch, 0, 8},
		{OptionURIHost, 1, 255},
		{OptionETag, 1, 8},
		{OptionIfNoneMatch, 0, 0},
		{OptionObserve, 0, 3},
		{OptionURIPort, 0, 2},
		{OptionLocationPath, 0, 255},
		{OptionOSCORE, 0, 255},
		{OptionURIPath, 0, 255},
		{OptionContentFormat, 0, 2},
		{OptionMaxAge, 0, 4},
		{OptionURIQuery, 0, 255},
		{OptionHopLimit, 1, 1},
		{OptionAccept, 0, 2},
		{OptionQBlock1, 0, 3},
		{OptionLocationQuery, 0, 255},
		{OptionBlock2, 0, 3},
		{OptionBlock1, 0, 3},
		{OptionSize2, 0, 4},
		{OptionQBlock2, 0, 3},
		{OptionProxyURI, 1, 1034},
		{OptionProxyScheme, 1, 255},
		{OptionSize1, 0, 4},
		{OptionEcho, 1, 40},
		{OptionNoResponse, 0, 1},
		{OptionRequestTag, 0, 8},
		{65000, 0, 65535},
	} {
		t.Run(tc.id.String(), func(t *testing.T) {
			of := func(n int) Options { return Options{{tc.id, bytes.Repeat([]byte{'x'}, n)}} }
			assert.NoError(t, of(tc.min).Validate())
			assert.NoError(t, of(tc.max).Validate())
			err := of(tc.max + 1).Validate()
			assert.ErrorIs(t, err, ErrOption)
			assert.ErrorContains(t, err, tc.id.String()+" has")
			if tc.min > 0 {
				assert.ErrorIs(t, of(tc.min-1).Validate(), ErrOption)
			}
		})
	}
}

func TestErrorOfBadOptionsNamesOptionAndLength(t *testing.T) {
	for _, tc := range []struct {
		o    Options
		want string
	}{
		{Options{{OptionETag, make([]byte, 9)}},
			"coap: validate: bad option: ETag has 9 bytes, not 1 to 8"},
		{Options{{OptionHopLimit, nil}}, "coap: validate: bad option: Hop-Limit has 0 bytes, not 1"},
		{Options{{OptionIfMatch, nil}, {2, make([]byte, 65536)}},
			"coap: validate: bad option: option 2 has 65536 bytes, not 0 to 65535"},
		{Options{{OptionURIPath, nil}, {OptionETag, []byte{1}}},
			"coap: validate: bad option: ETag comes after Uri-Path"},
		{Options{{OptionMaxAge, nil}, {OptionMaxAge, nil}},
			"coap: validate: bad option: more than one Max-Age"},
		{Options{{OptionURIPath, []byte("..")}}, `coap: validate: bad option: Uri-Path is ".."`},
		{Options{{OptionLocationPath, []byte(".")}}, `coap: validate: bad option: Location-Path is "."`},
	} {
		err := tc.o.Validate()
		assert.EqualError(t, err, tc.want)
		assert.ErrorIs(t, err, ErrOption)
	}
}

func TestOptionsThatMayBeRepeated(t *testing.T) {
	repeatable := []OptionID{
		OptionIfMatch, OptionETag, OptionLocationPath, OptionURIPath, OptionURIQuery, OptionLocationQuery,
		OptionQBlock2, OptionRequestTag,
	}
	for id, d := range definitions {
		value := make([]byte, d.min)
		err := Options{{id, value}, {id, value}}.Validate()
		if slices.Contains(repeatable, id) {
			assert.NoError(t, err, id)
		} else {
			assert.ErrorContains(t, err, "more than one "+id.String())
		}
	}
	assert.NoError(t, Options{{65000, nil}, {65000, nil}}.Validate(), "nobody knows")
	assert.NoError(t, Options{{OptionURIQuery, []byte("..")}}.Validate(), "only paths have segments")
	assert.NoError(t, Options(nil).Validate())
}
