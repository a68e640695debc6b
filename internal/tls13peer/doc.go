// Package tls13peer is a TLS 1.3 client and server for tests, which can change its
// messages and see everything that the other side sent. It is independent of GnuTLS
// and of crypto/tls, and implements one cipher suite. Anything unexpected is an error.
// It verifies that the other side has the key of its certificate, but not the
// certificate itself.
//
// A Client or Server is for one goroutine. Its transport should be a socket:
// it writes whole flights before it reads.
package tls13peer
