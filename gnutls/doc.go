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
// signatures and the certificates. A TicketPool in Config.ClientSessionCache
// does it: it keeps tickets, uses each once, and asks servers for as many as it
// lacks (RFC 9149). Conn.SessionData and Conn.Resume do it by hand.
// Config.OnSessionTicket sees every ticket, and ConnectionState.ResumeError tells
// why a session was not resumed.
//
// Servers need nothing for it; those that share a Config.TicketKey or a
// TicketKeyFile resume each other's sessions. Conn.WriteEarlyData and
// Config.MaxEarlyData are early data (0-RTT), which can be replayed: see
// docs/resumption.md.
//
// # Memory
//
// Close frees the native session of a connection. What connections share is
// owned by their Config and goes with it. LiveObjects counts what is there.
package gnutls
