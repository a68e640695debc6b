package coap

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCodeIsWrittenWithItsName(t *testing.T) {
	for code, want := range map[Code]string{
		CodeEmpty:                   "0.00 Empty",
		MethodGet:                   "GET",
		MethodDelete:                "DELETE",
		MethodFetch:                 "FETCH",
		MethodPatch:                 "PATCH",
		MethodIPatch:                "iPATCH",
		8:                           "0.08",
		CodeCreated:                 "2.01 Created",
		CodeContent:                 "2.05 Content",
		CodeContinue:                "2.31 Continue",
		CodeRequestEntityIncomplete: "4.08 Request Entity Incomplete",
		CodeConflict:                "4.09 Conflict",
		CodeRequestEntityTooLarge:   "4.13 Request Entity Too Large",
		CodeUnprocessableEntity:     "4.22 Unprocessable Entity",
		CodeTooManyRequests:         "4.29 Too Many Requests",
		4<<5 | 31:                   "4.31",
		CodeProxyingNotSupported:    "5.05 Proxying Not Supported",
		CodeHopLimitReached:         "5.08 Hop Limit Reached",
		CodeCSM:                     "7.01 CSM",
		CodeAbort:                   "7.05 Abort",
		255:                         "7.31",
	} {
		assert.Equal(t, want, code.String())
	}
}

func TestCodeHasClassAndDetail(t *testing.T) {
	for _, tc := range []struct {
		code                       Code
		class, detail              int
		request, response, success bool
	}{
		{CodeEmpty, 0, 0, false, false, false},
		{MethodGet, 0, 1, true, false, false},
		{31, 0, 31, true, false, false},
		{1 << 5, 1, 0, false, false, false},
		{2 << 5, 2, 0, false, true, true},
		{CodeContinue, 2, 31, false, true, true},
		{3 << 5, 3, 0, false, true, false},
		{CodeUnsupportedContentFormat, 4, 15, false, true, false},
		{5<<5 | 31, 5, 31, false, true, false},
		{6 << 5, 6, 0, false, false, false},
		{CodeRelease, 7, 4, false, false, false},
	} {
		assert.Equal(t, tc.class, tc.code.Class(), tc.code)
		assert.Equal(t, tc.detail, tc.code.Detail(), tc.code)
		assert.Equal(t, tc.request, tc.code.IsRequest(), tc.code)
		assert.Equal(t, tc.response, tc.code.IsResponse(), tc.code)
		assert.Equal(t, tc.success, tc.code.IsSuccess(), tc.code)
	}
}
