#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "ext_flight.h"
#include "ext_tls.h"
#include "interpose.h"
#include "session.h"

enum { MOST = 1280 };

typedef void set_push_function(void *session, cshim_flight_push *push);

static cshim_flight_push *push_datagram;

static __thread struct {
	bool gathers;
	void *transport;
	size_t size;
	uint8_t bytes[MOST];
} flight;

static ssize_t flush(void)
{
	size_t size = flight.size;

	flight.size = 0;
	return size == 0 ? 0
			 : __atomic_load_n(&push_datagram, __ATOMIC_RELAXED)(flight.transport,
									     flight.bytes, size);
}

static size_t room(const coap_session_t *session)
{
	size_t mtu = cshim_context_of(session)->mtu; /* libcoap may be locked: it cannot be asked */

	return mtu == 0 ? COAP_DEFAULT_MTU : mtu < MOST ? mtu : MOST;
}

typedef unsigned get_mtu_function(void *tls);
typedef void set_mtu_function(void *tls, unsigned mtu);

unsigned cshim_ext_flight_bound(const coap_session_t *session, void *tls)
{
	static void *get, *set;
	unsigned mtu = ((get_mtu_function *)cshim_interpose_known(&get, "gnutls_dtls_get_mtu"))(tls);
	size_t most = room(session);

	if (most < mtu)
		((set_mtu_function *)cshim_interpose_known(&set, "gnutls_dtls_set_mtu"))(tls, most);
	return mtu;
}

void cshim_ext_flight_unbound(void *tls, unsigned mtu)
{
	static void *set;

	((set_mtu_function *)cshim_interpose_known(&set, "gnutls_dtls_set_mtu"))(tls, mtu);
}

bool cshim_ext_flight_begin(void)
{
	bool outer = flight.gathers;

	flight.gathers = true;
	return outer;
}

ssize_t cshim_ext_flight_end(bool outer, ssize_t ret)
{
	flight.gathers = outer;
	return flush() < 0 && errno != EAGAIN && ret == CSHIM_TLS_AGAIN ? CSHIM_TLS_PUSH_ERROR : ret;
}

#ifndef CSHIM_NO_RESUMPTION

static ssize_t on_push(void *transport, const void *data, size_t size)
{
	size_t most = flight.gathers ? room(transport) : 0; /* else there may be no context of ours */

	if (flight.size > 0 && (flight.transport != transport || flight.size + size > most))
		flush();
	if (size > most)
		return __atomic_load_n(&push_datagram, __ATOMIC_RELAXED)(transport, data, size);
	memcpy(flight.bytes + flight.size, data, size);
	flight.transport = transport;
	flight.size += size;
	return size;
}

void cshim_ext_flight_set_push(void *session, cshim_flight_push *push)
{
	if (cshim_ext_tls_is_datagram() && cshim_ext_tls_current() != NULL) {
		__atomic_store_n(&push_datagram, push, __ATOMIC_RELAXED);
		push = on_push;
	}
	CSHIM_NEXT(set_push_function, gnutls_transport_set_push_function)(session, push);
}

#endif
