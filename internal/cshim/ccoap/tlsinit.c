#define _GNU_SOURCE
#include <stddef.h>

#include "_cgo_export.h"
#include "identity.h"
#include "interpose.h"
#include "tlsinit.h"
#include "tlswait.h"

typedef void *pointer_function(void *tls);

void *cshim_tls_transport(void *tls)
{
	static void *known;

	return ((pointer_function *)cshim_interpose_known(&known, "gnutls_transport_get_ptr"))(tls);
}

#ifdef CSHIM_NO_RESUMPTION

cshim_context *cshim_tls_enter(cshim_context *c)
{
	return NULL;
}

void cshim_tls_leave(cshim_context *outer)
{
}

bool cshim_tls_supported(void)
{
	return false;
}

#else

static __thread cshim_context *current;

cshim_context *cshim_tls_enter(cshim_context *c)
{
	cshim_context *outer = current;

	current = c;
	return outer;
}

void cshim_tls_leave(cshim_context *outer)
{
	current = outer;
}

cshim_context *cshim_tls_current(void)
{
	return current;
}

typedef int init_function(void **session, unsigned flags);

int cshim_tls_init(void **session, unsigned flags)
{
	init_function *init = CSHIM_NEXT(init_function, gnutls_init);
	cshim_context *c = current;
	bool client = flags & CSHIM_TLS_CLIENT;
	struct cshim_client *of;
	uint64_t id;
	int ret;

	if (c != NULL)
		cshim_wait_init((flags & CSHIM_TLS_DATAGRAM) != 0);
	if (c == NULL || !c->tls.heard)
		return init(session, flags);
	id = !client ? 0 : c->new_client != 0 ? c->new_client : c->tls.connected;
	c->tls.connected = 0;
	if (client && id == 0) /* libcoap begins anew in a session that is over */
		return CSHIM_TLS_INTERNAL_ERROR;
	ret = init(session, client || !c->tls.tickets ? flags : flags | CSHIM_TLS_NO_AUTO_SEND_TICKET);
	if (ret < 0)
		return ret;
	of = cshim_client_find(c->clients, id);
	c->tls.made = *session;
	c->tls.is_client = client;
	c->tls.is_datagram = flags & CSHIM_TLS_DATAGRAM;
	c->tls.credentials = !client ? c->tls.server_credentials : of != NULL ? of->credentials : NULL;
	goCoapTLS(c->handle, id, *session, client, (flags & CSHIM_TLS_DATAGRAM) != 0);
	return ret;
}

bool cshim_tls_supported(void)
{
	return CSHIM_WORKS(gnutls_init);
}

#endif
