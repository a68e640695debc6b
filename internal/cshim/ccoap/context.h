#ifndef CSHIM_CONTEXT_H
#define CSHIM_CONTEXT_H

#include "identity.h"

/* Prepares libcoap, once in a process. */
void cshim_library_init(void);

cshim_context *cshim_context_new(void *handle);
void cshim_context_free(cshim_context *c);

/* Takes the context of a C program over, with its handlers and a resource for what has no other
 * resource. borrowed: the program goes on to run its loop. NULL where memory is short. */
cshim_context *cshim_context_adopt(coap_context_t *ctx, void *handle, bool borrowed);

/* Gives a context back to the program, and frees c. */
void cshim_context_give_back(cshim_context *c);

static inline void cshim_context_set_idle_timeout(cshim_context *c, unsigned seconds)
{
	coap_context_set_session_timeout(c->ctx, seconds);
}

static inline void cshim_context_set_max_idle(cshim_context *c, unsigned most)
{
	coap_context_set_max_idle_sessions(c->ctx, most);
	coap_context_set_max_handshake_sessions(c->ctx, most);
}

static inline void cshim_context_set_max_message(cshim_context *c, uint32_t bytes)
{
	coap_context_set_csm_max_message_size(c->ctx, bytes);
	c->streams.most = bytes;
}

coap_endpoint_t *cshim_endpoint_new(cshim_context *c, const struct cshim_address *address,
				    coap_proto_t proto);

#endif
