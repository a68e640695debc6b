// Package block holds the state machines of block-wise transfers (RFC 7959; RFC 8323, section
// 6): the values of block options, bodies that a client sends (Upload) or fetches (Download),
// and those that a server puts together (Assembly). It sends nothing, locks nothing, and knows
// nothing of sessions: package coap tells it what came, and asks what is to be sent next.
//
// Its types must not be used by several goroutines at once.
package block

import "errors"

// What can go wrong.
var (
	// ErrChanged says that a body changed while its blocks were fetched.
	ErrChanged = errors.New("the body changed during its transfer")
	// ErrTooLarge says that a body is larger than is allowed, or has more blocks than can be
	// numbered.
	ErrTooLarge = errors.New("the body is too large")
	// ErrBad says that the peer sent a block that was not asked for, or one that contradicts
	// its own options.
	ErrBad = errors.New("bad block")
)

// maxRestarts is how often a transfer begins again, from block 0.
const maxRestarts = 3

// The codes of responses that say more of a transfer than whether it succeeds (RFC 7252,
// section 5.9; RFC 7959, section 2.9).
const (
	codeValid      = 2<<5 | 3
	codeContinue   = 2<<5 | 31
	codeIncomplete = 4<<5 | 8
	codeTooLarge   = 4<<5 | 13
)

func isSuccess(code uint8) bool { return code>>5 == 2 }
