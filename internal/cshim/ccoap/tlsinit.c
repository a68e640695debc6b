#define _GNU_SOURCE
#include <stddef.h>

#include "_cgo_export.h"
#include "context.h"
#include "interpose.h"
#include "tlsinit.h"
#include "tlswait.h"

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

cshim_context *cshim_tls_caller(void *address)
{
	if (current == NULL || cshim_interpose_library(address) != cshim_interpose_library((void *)coap_new_context))
		return NULL;
	return current;
}

typedef int init_function(void **session, unsigned flags);

static init_function *next_init(void)
{
	static void *next;

	return (init_function *)cshim_interpose_next(&next, "gnutls_init");
}

/* Has the name that libcoap calls. Whoever else calls it gets the next function of
 * that name. */
__attribute__((visibility("default"))) int cshim_tls_init(void **session, unsigned flags)
	__asm__("gnutls_init");

int cshim_tls_init(void **session, unsigned flags)
{
	cshim_context *c = cshim_tls_caller(__builtin_return_address(0));
	bool client = flags & CSHIM_TLS_CLIENT;
	uint64_t id;
	int ret;

	if (next_init() == NULL)
		return CSHIM_TLS_INTERNAL_ERROR;
	if (c != NULL)
		cshim_wait_init((flags & CSHIM_TLS_DATAGRAM) != 0);
	if (c == NULL || !(client ? c->tls.clients : c->tls.servers))
		return next_init()(session, flags);
	ret = next_init()(session, client ? flags : flags | CSHIM_TLS_NO_AUTO_SEND_TICKET);
	if (ret < 0)
		return ret;
	id = !client ? 0 : c->new_client != 0 ? c->new_client : c->tls.connected;
	goCoapTLS(c->handle, id, *session, client, (flags & CSHIM_TLS_DATAGRAM) != 0);
	return ret;
}

bool cshim_tls_supported(void)
{
	return cshim_interpose_works("gnutls_init", (void *)cshim_tls_init);
}

#endif
