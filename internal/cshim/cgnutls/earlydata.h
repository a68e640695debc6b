#ifndef CSHIM_EARLYDATA_H
#define CSHIM_EARLYDATA_H

#include "session.h"

/* Early data (0-RTT) on a server. An anti-replay object calls
 * Callbacks.ReplayAdd of the handshake that this thread is in. */
int cshim_anti_replay_new(gnutls_anti_replay_t *out, unsigned window_ms);

#endif
