#ifndef CSHIM_HOOK_H
#define CSHIM_HOOK_H

#include "base.h"

/* A session has one hook for handshake messages. It hands each to the topic
 * that wants it. */
int cshim_hook_message(cshim_session *s, unsigned htype, unsigned when, bool incoming,
		       const gnutls_datum_t *msg);

#endif
