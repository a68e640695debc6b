#ifndef CSHIM_EARLYDATA_H
#define CSHIM_EARLYDATA_H

#include "session.h"

/* Early data (0-RTT) on a server. An anti-replay object calls
 * Callbacks.ReplayAdd of the handshake that this thread is in. */
int cshim_anti_replay_new(gnutls_anti_replay_t *out, unsigned window_ms);

/* Lets a server with these priorities, which have %SERVER_PRECEDENCE or not,
 * accept early data. Both objects must outlive the handshake. */
void cshim_early_data_accept(cshim_session *s, gnutls_priority_t priority, bool precedence,
			     gnutls_anti_replay_t anti_replay);

/* Refuses the early data of a ClientHello that needs a HelloRetryRequest: GnuTLS
 * 3.7.9 accepts them before it knows, and then the handshake fails. */
void cshim_early_data_message(cshim_session *s, unsigned htype, const gnutls_datum_t *msg);

#endif
