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
// Conn is a net.Conn on top of any net.Conn, so it works with everything that takes one: net/http,
// net/rpc, database drivers. The rest works as in crypto/tls, plus what GnuTLS adds: its priority
// strings and the system's policy, pre-shared keys, and control over sessions.
//
// # Resumption
//
// A client that has spoken to a server before can resume the session, which saves the signatures
// and the certificates. A TicketPool in Config.ClientSessionCache does so: it keeps tickets, uses
// each once, and asks servers for as many as it lacks (RFC 9149). Conn.SessionData and Conn.Resume
// do it by hand. Config.OnSessionTicket receives every ticket, and ConnectionState.ResumeError says
// why a session was not resumed.
//
// Servers resume by default; those that share a Config.TicketKey or a TicketKeyFile resume each
// other's sessions. Conn.WriteEarlyData and Config.MaxEarlyData provide early data (0-RTT), which
// can be replayed: see docs/resumption.md.
//
// # Memory
//
// Close frees the native session of a connection. What connections share is owned by their Config
// and is freed with it. LiveObjects counts the native objects that exist.
package gnutls
