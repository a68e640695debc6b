#ifndef CSHIM_POLLING_H
#define CSHIM_POLLING_H

#include "identity.h"

/* Does the I/O that is possible without waiting, but only so much of it. Returns
 * in how many milliseconds it must be called again: -1 where only I/O can bring
 * news, 0 where there is more to do. */
int cshim_context_poll(cshim_context *c);

/* Does the I/O that there is for the context of a C program, as coap_io_process does. Returns
 * what that returns. */
int cshim_context_process(cshim_context *c);

#endif
