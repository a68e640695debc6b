#ifndef CSHIM_HOOK_H
#define CSHIM_HOOK_H

#include "session.h"

/* A session has one hook for handshake messages. It hands each to the topic
 * that wants it. */
void cshim_hook_attach(cshim_session *s);

#endif
