#include <stdint.h>
#include <sys/types.h>

#include "_cgo_export.h"
#include "ext_tls.h"
#include "fix_wait.h"
#include "identity.h"
#include "interpose.h"
#include "session.h"

#ifndef CSHIM_NO_RESUMPTION

typedef cshim_wait_pull pull_function;
typedef cshim_wait_timeout wait_function;
typedef void set_pull_function(void *session, pull_function *pull);
typedef void set_wait_function(void *session, wait_function *wait);

/* What libcoap reads a datagram with that it has received. */
static pull_function *pull_datagram;

/* The transport is the coap_session_t. GnuTLS waits for no time when it asks whether to send a
 * flight again. Otherwise it is to try, and is told then: the sessions do not block. Asked for
 * nothing, libcoap gives an error where there is no datagram. */
static int on_wait(void *transport, unsigned milliseconds)
{
	const coap_session_t *session = transport;
	pull_function *pull = __atomic_load_n(&pull_datagram, __ATOMIC_RELAXED);
	char nothing;

	if (milliseconds > 0 || pull == NULL || coap_session_get_proto(session) != COAP_PROTO_DTLS)
		return 1;
	return pull(transport, &nothing, 0) == 0;
}

static ssize_t on_pull(void *transport, void *data, size_t size)
{
	const coap_session_t *session = transport;
	const cshim_context *c = cshim_ext_tls_current();
	ssize_t n = __atomic_load_n(&pull_datagram, __ATOMIC_RELAXED)(transport, data, size);

	if (n > 0 && c != NULL && c->tls.heard && cshim_session_is_client(session) &&
	    cshim_session_state(session) == COAP_SESSION_STATE_HANDSHAKE)
		goCoapHandshake(c->handle, cshim_session_id(session));
	return n;
}

void cshim_fix_wait_set_pull(void *session, pull_function *pull)
{
	if (cshim_ext_tls_is_datagram() && cshim_ext_tls_current() != NULL) {
		__atomic_store_n(&pull_datagram, pull, __ATOMIC_RELAXED);
		pull = on_pull;
	}
	CSHIM_NEXT(set_pull_function, gnutls_transport_set_pull_function)(session, pull);
}

void cshim_fix_wait_set_wait(void *session, wait_function *wait)
{
	CSHIM_NEXT(set_wait_function, gnutls_transport_set_pull_timeout_function)
	(session, cshim_ext_tls_current() != NULL ? on_wait : wait);
}

#endif
