package ccoap

/*
#include "message.h"
*/
import "C"

import "unsafe"

// A Message is a CoAP message.
type Message struct {
	Type  int // Confirmable and so on
	Code  int // wire number
	ID    int // message ID, or NewID
	Token []byte
	// Options are in ascending order, each as its number in 2 bytes, the length of its value
	// in 4, both in network byte order, and the value: see coap/internal/wire.
	Options []byte
	Body    []byte
	// More says that the next message over this connection is sent at once, or
	// Context.Push called: this one waits for it. It is for TCP and TLS only.
	More bool
	// Answers says that a request is handled with the message.
	Answers bool
	// OddOption is, in a message that was received, the first critical option whose
	// value has a wrong length, or 0. Options has none of those, elective ones neither.
	OddOption uint16
	// EmptyQueries is how many empty options Uri-Query there are besides Options.
	EmptyQueries int
}

// Types of messages.
const (
	Confirmable     = C.COAP_MESSAGE_CON
	NonConfirmable  = C.COAP_MESSAGE_NON
	Acknowledgement = C.COAP_MESSAGE_ACK
	Reset           = C.COAP_MESSAGE_RST
)

// NewID asks Send for the session's next message ID.
const NewID = -1

// readMessage copies a message from C.
func readMessage(m *C.struct_cshim_message) Message {
	token, options := int(m.token_size), int(m.options_size)
	all := make([]byte, 0, token+options+int(m.body_size))
	all = append(all, unsafe.Slice((*byte)(m.token), m.token_size)...)
	all = append(all, unsafe.Slice((*byte)(m.options), m.options_size)...)
	all = append(all, unsafe.Slice((*byte)(m.body), m.body_size)...)
	return Message{
		Type:    int(m._type),
		Code:    int(m.code),
		ID:      int(m.mid),
		Token:   all[:token:token],
		Options: all[token : token+options : token+options],
		Body:    all[token+options:],

		OddOption:    uint16(m.odd.critical),
		EmptyQueries: int(m.odd.queries),
	}
}
