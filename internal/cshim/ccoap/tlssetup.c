#include "_cgo_export.h"
#include "identity.h"
#include "interpose.h"
#include "tlssetup.h"

#ifdef CSHIM_NO_RESUMPTION

bool cshim_tls_sets_up(void)
{
	return false;
}

#else

/* What Go has set for a session, or NULL. */
static const struct cshim_tls *of(const void *tls)
{
	const cshim_context *c = cshim_tls_current();

	return c != NULL && c->tls.made == tls ? &c->tls : NULL;
}

typedef int priority_function(void *tls, void *priority);
typedef int direct_function(void *tls, const char *text, const char **error);
typedef int credentials_function(void *tls, int type, void *credentials);
typedef void set_hello_function(void *tls, cshim_hello_function *f);
typedef int server_name_function(void *tls, void *name, size_t *size, unsigned *type, unsigned i);
typedef void timeout_function(void *tls, unsigned milliseconds);

int cshim_tls_set_priority(void *tls, void *priority)
{
	const struct cshim_tls *own = of(tls);

	if (own != NULL && own->is_client && own->client_priority != NULL)
		priority = own->client_priority;
	else if (own != NULL && own->priority != NULL)
		priority = own->priority;
	return CSHIM_NEXT(priority_function, gnutls_priority_set)(tls, priority);
}

int cshim_tls_set_priority_direct(void *tls, const char *text, const char **error)
{
	const struct cshim_tls *own = of(tls);

	if (own != NULL && own->hint_priority != NULL)
		return CSHIM_NEXT(priority_function, gnutls_priority_set)(tls, own->hint_priority);
	return CSHIM_NEXT(direct_function, gnutls_priority_set_direct)(tls, text, error);
}

int cshim_tls_set_credentials(void *tls, int type, void *credentials)
{
	const struct cshim_tls *own = of(tls);

	if (type == CSHIM_TLS_CERTIFICATE && own != NULL && own->credentials != NULL)
		credentials = own->credentials;
	return CSHIM_NEXT(credentials_function, gnutls_credentials_set)(tls, type, credentials);
}

void cshim_tls_set_hello_function(void *tls, cshim_hello_function *f)
{
	const struct cshim_tls *own = of(tls);

	if (own == NULL || own->credentials == NULL || (CSHIM_HEARS_OF_HELLO && own->is_datagram))
		CSHIM_NEXT(set_hello_function, gnutls_handshake_set_post_client_hello_function)(tls, f);
}

/* libcoap asks in order to choose a hint, and keeps one for each name: those that Go has none
 * for are one. */
int cshim_tls_server_name(void *tls, void *name, size_t *size, unsigned *type, unsigned i)
{
	cshim_context *c = cshim_tls_current();
	size_t room = *size;
	int ret = CSHIM_NEXT(server_name_function, gnutls_server_name_get)(tls, name, size, type, i);

	if (ret == 0 && c != NULL && c->tls.heard && room > 0 && goCoapServerName(c->handle, name) == 0) {
		*(char *)name = 0;
		*size = 0;
	}
	return ret;
}

void cshim_tls_set_timeout(void *tls, unsigned milliseconds)
{
	const struct cshim_tls *own = of(tls);

	CSHIM_NEXT(timeout_function, gnutls_handshake_set_timeout)
	(tls, own != NULL && own->is_client ? CSHIM_TLS_PATIENCE : milliseconds);
}

#ifdef CSHIM_HAVE_PATIENCE

typedef void timeouts_function(void *tls, unsigned retransmission, unsigned total);

void cshim_tls_set_timeouts(void *tls, unsigned retransmission, unsigned total)
{
	const struct cshim_tls *own = of(tls);

	/* A server does not send its last flight again before its time, though the client asks,
	 * whose time is the same or a little earlier. */
	if (own != NULL && !own->is_client)
		retransmission -= retransmission / 10;
	CSHIM_NEXT(timeouts_function, gnutls_dtls_set_timeouts)
	(tls, retransmission, own != NULL && own->is_client ? CSHIM_TLS_PATIENCE : total);
}

#endif

bool cshim_tls_sets_up(void)
{
	return CSHIM_WORKS(gnutls_init) && CSHIM_WORKS(gnutls_priority_set) && CSHIM_WORKS(gnutls_credentials_set) &&
	       CSHIM_WORKS(gnutls_handshake_set_post_client_hello_function) && CSHIM_WORKS(gnutls_server_name_get);
}

#endif
