#ifndef CSHIM_EXT_FLIGHT_H
#define CSHIM_EXT_FLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "compat.h"

/* GnuTLS sends each message of a DTLS handshake in a datagram of its own, and a flight gets
 * through when all of them do: of five at a loss of 30 % one in six. What GnuTLS writes in a call
 * of gnutls_handshake, or of gnutls_record_recv, which sends the last flight again, goes out when
 * the call is over, in as few datagrams as it fits into (RFC 6347, section 4.1.1). */

/* So many records may come in one datagram. Where a peer sends its flight again, GnuTLS takes or
 * drops one a call and says that it is to be called again, which libcoap does at the next
 * datagram. */
enum { CSHIM_FLIGHT_RECORDS = 6 };

/* On this thread, until cshim_ext_flight_end, datagrams are gathered. Returns whether they were. */
bool cshim_ext_flight_begin(void);

/* Sends what is left, and returns what GnuTLS's function is to return, which gave ret. */
ssize_t cshim_ext_flight_end(bool outer, ssize_t ret);

/* GnuTLS has the messages of a server in parts that fit into the session's datagrams, until
 * cshim_ext_flight_unbound, which gets what this returns. Those of a client are short but for its
 * certificates, and a ClientHello in parts would get no cookie. */
unsigned cshim_ext_flight_bound(const coap_session_t *session, void *tls);
void cshim_ext_flight_unbound(void *tls, unsigned mtu);

typedef ssize_t cshim_flight_push(void *transport, const void *data, size_t size);

/* Replaces gnutls_transport_set_push_function in libcoap. */
void cshim_ext_flight_set_push(void *session, cshim_flight_push *push);

#endif
