#ifndef CSHIM_HANDLERS_H
#define CSHIM_HANDLERS_H

#include "identity.h"

/* What libcoap calls when something happens in a context. */

/* Takes over the handlers that a context has one of. */
void cshim_handlers_set(cshim_context *c);

/* Add what hands every request to Go; and what does so with those for which a C program has no
 * resource, while the context is adopted. Return false where memory is short. */
bool cshim_handlers_add_resources(coap_context_t *ctx);
bool cshim_handlers_add_foreign_resource(coap_context_t *ctx);

#endif
