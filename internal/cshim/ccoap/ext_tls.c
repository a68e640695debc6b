#define _GNU_SOURCE
#include <stddef.h>

#include "_cgo_export.h"
#include "ext_tls.h"
#include "identity.h"
#include "interpose.h"

typedef void *pointer_function(void *tls);

void *cshim_ext_tls_transport(void *tls)
{
	static void *known;

	return ((pointer_function *)cshim_interpose_known(&known, "gnutls_transport_get_ptr"))(tls);
}

#ifdef CSHIM_NO_RESUMPTION

cshim_context *cshim_ext_tls_enter(cshim_context *c)
{
	return NULL;
}

void cshim_ext_tls_leave(cshim_context *outer)
{
}

bool cshim_ext_tls_supported(void)
{
	return false;
}

bool cshim_ext_tls_sets_up(void)
{
	return false;
}

#else

static __thread cshim_context *current;
static __thread bool is_datagram; /* gnutls_init was called for DTLS */

cshim_context *cshim_ext_tls_enter(cshim_context *c)
{
	cshim_context *outer = current;

	current = c;
	return outer;
}

void cshim_ext_tls_leave(cshim_context *outer)
{
	current = outer;
}

cshim_context *cshim_ext_tls_current(void)
{
	return current;
}

bool cshim_ext_tls_is_datagram(void)
{
	return is_datagram;
}

typedef int init_function(void **session, unsigned flags);

int cshim_ext_tls_init(void **session, unsigned flags)
{
	init_function *init = CSHIM_NEXT(init_function, gnutls_init);
	cshim_context *c = current;
	bool client = flags & CSHIM_TLS_CLIENT;
	struct cshim_client *of;
	uint64_t id;
	int ret;

	if (c != NULL)
		is_datagram = flags & CSHIM_TLS_DATAGRAM;
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

const struct cshim_tls *cshim_ext_tls_of(const void *tls)
{
	return current != NULL && current->tls.made == tls ? &current->tls : NULL;
}

typedef int priority_function(void *tls, void *priority);
typedef int direct_function(void *tls, const char *text, const char **error);
typedef int credentials_function(void *tls, int type, void *credentials);
typedef void set_hello_function(void *tls, cshim_hello_function *f);
typedef int server_name_function(void *tls, void *name, size_t *size, unsigned *type, unsigned i);

int cshim_ext_tls_set_priority(void *tls, void *priority)
{
	const struct cshim_tls *own = cshim_ext_tls_of(tls);

	if (own != NULL && own->is_client && own->client_priority != NULL)
		priority = own->client_priority;
	else if (own != NULL && own->priority != NULL)
		priority = own->priority;
	return CSHIM_NEXT(priority_function, gnutls_priority_set)(tls, priority);
}

int cshim_ext_tls_set_priority_direct(void *tls, const char *text, const char **error)
{
	const struct cshim_tls *own = cshim_ext_tls_of(tls);

	if (own != NULL && own->hint_priority != NULL)
		return CSHIM_NEXT(priority_function, gnutls_priority_set)(tls, own->hint_priority);
	return CSHIM_NEXT(direct_function, gnutls_priority_set_direct)(tls, text, error);
}

int cshim_ext_tls_set_credentials(void *tls, int type, void *credentials)
{
	const struct cshim_tls *own = cshim_ext_tls_of(tls);

	if (type == CSHIM_TLS_CERTIFICATE && own != NULL && own->credentials != NULL)
		credentials = own->credentials;
	return CSHIM_NEXT(credentials_function, gnutls_credentials_set)(tls, type, credentials);
}

void cshim_ext_tls_set_hello_function(void *tls, cshim_hello_function *f)
{
	const struct cshim_tls *own = cshim_ext_tls_of(tls);

	if (own == NULL || own->credentials == NULL || (CSHIM_HEARS_OF_HELLO && own->is_datagram))
		CSHIM_NEXT(set_hello_function, gnutls_handshake_set_post_client_hello_function)(tls, f);
}

/* libcoap asks in order to choose a hint, and keeps one for each name: those that Go has none
 * for are one. */
int cshim_ext_tls_server_name(void *tls, void *name, size_t *size, unsigned *type, unsigned i)
{
	cshim_context *c = current;
	size_t room = *size;
	int ret = CSHIM_NEXT(server_name_function, gnutls_server_name_get)(tls, name, size, type, i);

	if (ret == 0 && c != NULL && c->tls.heard && room > 0 && goCoapServerName(c->handle, name) == 0) {
		*(char *)name = 0;
		*size = 0;
	}
	return ret;
}

bool cshim_ext_tls_supported(void)
{
	return CSHIM_WORKS(gnutls_init);
}

bool cshim_ext_tls_sets_up(void)
{
	return CSHIM_WORKS(gnutls_init) && CSHIM_WORKS(gnutls_priority_set) &&
	       CSHIM_WORKS(gnutls_credentials_set) &&
	       CSHIM_WORKS(gnutls_handshake_set_post_client_hello_function) &&
	       CSHIM_WORKS(gnutls_server_name_get);
}

#endif
