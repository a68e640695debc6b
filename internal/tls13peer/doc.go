// Package tls13peer is a TLS 1.3 client and server for tests, whose messages a
// test can change, and which tell all that the other side sent. It is
// independent of GnuTLS and of crypto/tls, knows one cipher suite and no
// mercy: whatever it does not expect is an error. It verifies that the
// other side has the key of its certificate, but not who that is.
//
// A Client or Server is for one goroutine. Its transport should be a socket:
// it writes whole flights before it reads.
package tls13peer
