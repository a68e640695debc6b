#include "ext_tls.h"
#include "fix_patience.h"
#include "interpose.h"

#ifndef CSHIM_NO_RESUMPTION

/* How long the handshake of a client may take, in milliseconds: EXCHANGE_LIFETIME of RFC 7252. */
enum { PATIENCE = 247 * 1000 };

typedef void timeout_function(void *tls, unsigned milliseconds);

void cshim_fix_patience_timeout(void *tls, unsigned milliseconds)
{
	const struct cshim_tls *own = cshim_ext_tls_of(tls);

	CSHIM_NEXT(timeout_function, gnutls_handshake_set_timeout)
	(tls, own != NULL && own->is_client ? PATIENCE : milliseconds);
}

#ifdef CSHIM_HAVE_PATIENCE

typedef void timeouts_function(void *tls, unsigned retransmission, unsigned total);

void cshim_fix_patience_timeouts(void *tls, unsigned retransmission, unsigned total)
{
	const struct cshim_tls *own = cshim_ext_tls_of(tls);

	/* A server does not send its last flight again before its time, though the client asks,
	 * whose time is the same or a little earlier. */
	if (own != NULL && !own->is_client)
		retransmission -= retransmission / 10;
	CSHIM_NEXT(timeouts_function, gnutls_dtls_set_timeouts)
	(tls, retransmission, own != NULL && own->is_client ? PATIENCE : total);
}

#endif

#endif
