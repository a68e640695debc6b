// Package wire holds what package coap knows about the bytes of a message: options,
// numbers, tokens, sizes, and the sequence numbers of notifications. It knows nothing of
// libcoap, sessions or locks.
package wire
