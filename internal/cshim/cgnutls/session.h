#ifndef CSHIM_SESSION_H
#define CSHIM_SESSION_H

#include "base.h"

/* What makes and frees a session, with all that it has. */

int cshim_session_new(cshim_session **out, bool server, unsigned flags, bool tickets,
		      bool ticket_requests,
		      bool keylog);
void cshim_session_free(cshim_session *s);

/* Frees all but the GnuTLS session. */
void cshim_session_discard(cshim_session *s);

#endif
