#ifndef CSHIM_BORROW_H
#define CSHIM_BORROW_H

#include "session.h"

/* Sessions that another library owns, and whose session pointer it does not use:
 * that is the handle of the Go value that watches the session. */

/* Has the handle's Go value verify the peer, in place of the credentials, and
 * told when the session is freed. */
int cshim_borrow_watch(gnutls_session_t tls, void *handle);

#endif
