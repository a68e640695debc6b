/* Mends: libcoap loses bytes that it reads from a connection, and acts on messages that do not
 * count. It gets what fix_wire.h lets it have, and the rest is kept for the next time.
 *
 * In: all versions. Until: none yet. Test: TestTCPMessagesThatComeInPieces,
 * TestClientAbortsConnections. */
#ifndef CSHIM_FIX_STREAM_READ_H
#define CSHIM_FIX_STREAM_READ_H

#include "fix_stream_table.h"

/* Reads from a connection for libcoap, as recv does. */
ssize_t cshim_fix_stream_read(struct cshim_streams *streams, struct cshim_stream *s, void *buffer,
			      size_t size);

/* The same for a record over TLS, of the connection of a session. */
typedef ssize_t cshim_stream_reader(void *from, void *buffer, size_t size);
ssize_t cshim_fix_stream_record(const coap_session_t *session, void *tls,
				cshim_stream_reader *reader, void *buffer,
			    size_t size);

/* Notes whether recv is called by GnuTLS now, and returns whether it was. */
bool cshim_fix_stream_enter_tls(bool now);

#endif
