#ifndef CSHIM_DEBUG_H
#define CSHIM_DEBUG_H

#include "compat.h"

/* Drops libcoap's messages, as they are dropped at first. */
void cshim_log_nothing(void);

/* Prints libcoap's messages up to a level to the standard output, and from level 6 on
 * the messages that are sent and received. Those of the TLS library are never
 * printed: they may have keys. */
void cshim_log(coap_log_t level);

#endif
