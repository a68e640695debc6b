#ifndef CSHIM_EXT_EARLYDATA_H
#define CSHIM_EXT_EARLYDATA_H

#include "base.h"

/* Early data (0-RTT) on a server. An anti-replay object calls
 * Callbacks.ReplayAdd of the handshake that this thread is in. */
int cshim_ext_anti_replay_new(gnutls_anti_replay_t *out, unsigned window_ms);

/* Lets a server accept early data, as Callbacks.EarlyData decides for each
 * ClientHello that has some. priority must outlive the handshake; precedence tells
 * whether it has %SERVER_PRECEDENCE. */
void cshim_ext_early_data_attach(cshim_session *s, gnutls_priority_t priority, bool precedence);

/* Asks Callbacks.EarlyData, unless the ClientHello needs a HelloRetryRequest:
 * GnuTLS 3.7.9 accepts early data before it knows that, and then the handshake
 * fails. */
void cshim_ext_early_data_message(cshim_session *s, unsigned htype, const gnutls_datum_t *msg);

#endif
