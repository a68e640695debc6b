// Package gnutls is TLS over the system's GnuTLS library, in the shape of
// crypto/tls.
//
// A client:
//
//	conn, err := gnutls.Dial("tcp", "example.org:443", nil)
//
// A server:
//
//	cert, err := gnutls.LoadX509KeyPair("server.pem", "server.key")
//	ln, err := gnutls.Listen("tcp", ":443", &gnutls.Config{
//		Certificates: []gnutls.Certificate{cert},
//	})
//
// Conn is a net.Conn over any net.Conn, so whatever takes one works: net/http,
// net/rpc, database drivers. Who knows crypto/tls knows the rest, apart from
// what GnuTLS adds: its priority strings and the system's policy, pre-shared
// keys, and control over sessions.
//
// # Resumption
//
// A client that has spoken to a server before can resume: it saves a round of
// signatures and the certificates. Config.ClientSessionCache does it for
// connections of one process. Conn.SessionData and Conn.Resume do it by hand,
// also across processes: SessionData has MarshalBinary. Config.OnSessionTicket
// sees every ticket. Servers need nothing for it; those that share a
// Config.TicketKey resume each other's sessions.
//
// # Memory
//
// Close frees the native session of a connection. What connections share is
// owned by their Config and goes with it. LiveObjects counts what is there.
package gnutls
