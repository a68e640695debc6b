#ifndef CSHIM_MULTICAST_H
#define CSHIM_MULTICAST_H

#include "identity.h"

/* Has the UDP endpoints of a context, of which there must be one, join a group. The
 * interface may be NULL. Returns 0, or -1 with errno set. */
int cshim_multicast_join(cshim_context *c, const char *group, const char *interface);

/* Bounds the hops of messages of a client session with a group. Returns 0, or -1 with errno
 * set. */
int cshim_multicast_hops(coap_session_t *session, size_t hops);

#endif
