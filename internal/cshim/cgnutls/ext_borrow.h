#ifndef CSHIM_EXT_BORROW_H
#define CSHIM_EXT_BORROW_H

#include "base.h"

/* Sessions that another library owns, and whose session pointer it does not use:
 * that is a cshim_session, which has the handle of the Go value that watches the
 * session, and lives as long as it. */

/* Has the handle's Go value told when the session is freed and, with verify, asked to
 * verify the peer, in place of the credentials. */
int cshim_ext_borrow_watch(gnutls_session_t tls, void *handle, bool server, bool datagram,
			   bool verify);

/* Makes a watched client keep tickets, after telling the handle's Go value of each, and
 * look at the hellos, see fix_hello.h; and makes it, or a server, know ticket requests, see
 * ext_ticketrequest.h. Before the handshake. */
void cshim_ext_borrow_keep_tickets(cshim_session *s);
int cshim_ext_borrow_know_requests(cshim_session *s);

/* Makes a watched client overlook that the key usage of the server's certificate is wrong for
 * the cipher suite. Before the handshake. */
void cshim_ext_borrow_any_key_usage(cshim_session *s);

#endif
