package block

import "github.com/gnucoap/gnucoap/coap/internal/wire"

// Numbers of options (RFC 7252, section 5.10; RFC 7641; RFC 7959).
const (
	optionObserve = 6
	optionBlock2  = 23
	optionBlock1  = 27
)

// Mentioned reports whether there is an option Block1 or Block2.
func Mentioned(options wire.Options) bool {
	for number := range options.All() {
		switch {
		case number == optionBlock1, number == optionBlock2:
			return true
		case number > optionBlock1:
			return false
		}
	}
	return false
}

// Which of two bodies with the same key it is.
const (
	ofRequest  = 0
	ofResponse = 1
)

// RequestKey returns what is the same for all messages that carry the body of a request, and
// that ask for the body of its response: the method and the options, without those that say
// which block it is (RFC 7959, section 2.5), and those that are not part of a cache key (RFC
// 7252, section 5.4.6).
func RequestKey(code uint8, options wire.Options) string {
	key := make(wire.Options, 0, 64)
	key = append(key, ofRequest, code)
	for number, value := range options.All() {
		switch {
		case number == optionBlock1, number == optionBlock2, number == optionObserve,
			isNoCacheKey(number):
		default:
			key = key.Append(number, value)
		}
	}
	return string(key)
}

// ResponseKey returns the key of the response's body.
func ResponseKey(requestKey string) string { return string(rune(ofResponse)) + requestKey[1:] }

func isNoCacheKey(number uint16) bool { return number&0x1e == 0x1c }
