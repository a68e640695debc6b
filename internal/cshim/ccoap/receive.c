#include <errno.h>
#include <string.h>

#include "ext_flight.h"
#include "ext_heard.h"
#include "ext_tls.h"
#include "fix_datagram.h"
#include "fix_stream_read.h"
#include "identity.h"
#include "interpose.h"
#include "receive.h"
#include "session.h"

typedef ssize_t receive_function(int fd, void *buffer, size_t size, int flags);
typedef ssize_t record_function(void *tls, void *bytes, size_t size);
typedef int handshake_function(void *tls);

static uint64_t calls;

uint64_t cshim_receive_calls(void)
{
	return __atomic_load_n(&calls, __ATOMIC_RELAXED);
}

/* recvmsg for the context whose event is dealt with. */
static ssize_t receive(cshim_context *c, int fd, struct msghdr *message, int flags)
{
	cshim_receive_message *receive = CSHIM_NEXT(cshim_receive_message, recvmsg);

	if (c == NULL || flags != 0)
		return receive(fd, message, flags);
	return cshim_ext_datagrams_receive(&c->datagrams, fd, message, receive);
}

/* Receives a datagram from a connected socket. */
static ssize_t receive_connected(cshim_context *c, int fd, void *buffer, size_t size)
{
	struct iovec vector = { buffer, size };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };
	ssize_t n = receive(c, fd, &message, 0);
	coap_address_t from;
	int what;

	if (c == NULL || n <= 0 || (what = cshim_ext_heard(c, buffer, n)) == 0)
		return n;
	coap_address_init(&from);
	if (getpeername(fd, &from.addr.sa, &from.size) == 0)
		cshim_ext_heard_tell(c, 0, &from, what, buffer);
	return n;
}

ssize_t cshim_receive_recv(int fd, void *buffer, size_t size, int flags)
{
	struct cshim_streams *streams = cshim_fix_streams_current();
	cshim_context *c = cshim_reading();
	struct cshim_stream *s;
	bool waiting;
	ssize_t n;

	if (streams == NULL || flags != 0)
		return CSHIM_NEXT(receive_function, recv)(fd, buffer, size, flags);
	__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
	if (CSHIM_MUST_WAIT(fd)) {
		errno = EAGAIN;
		return -1;
	}
	waiting = c != NULL && cshim_ext_datagrams_waiting(&c->datagrams) > 0 && c->datagrams.fd == fd;
	s = waiting ? NULL : cshim_fix_stream_find(streams, fd);
	if (s != NULL && s->kind != CSHIM_STREAM_DATAGRAM)
		return cshim_fix_stream_read(streams, s, buffer, size);
	n = receive_connected(c, fd, buffer, size);
	if (c != NULL && n > 0 && (waiting || s != NULL))
		cshim_fix_datagram(c, buffer, n);
	return n;
}

ssize_t cshim_receive_recvmsg(int fd, struct msghdr *message, int flags)
{
	cshim_context *c = cshim_reading();
	ssize_t n = receive(c, fd, message, flags);
	coap_address_t from;
	int what;

	if (c == NULL || n <= 0 || message->msg_iovlen == 0 || message->msg_iov[0].iov_len < (size_t)n)
		return n;
	if (cshim_fix_socket_kind(fd) == CSHIM_SOCKET_DTLS_ENDPOINT) {
		if (cshim_fix_cookie_admits(c, fd, message, n))
			return n;
		errno = EAGAIN;
		return -1;
	}
	cshim_fix_datagram(c, message->msg_iov[0].iov_base, n);
	what = cshim_ext_heard(c, message->msg_iov[0].iov_base, n);
	if (what == 0 || message->msg_namelen > sizeof(from.addr))
		return n;
	coap_address_init(&from);
	memcpy(&from.addr, message->msg_name, message->msg_namelen);
	from.size = message->msg_namelen;
	cshim_ext_heard_tell(c, 0, &from, what, message->msg_iov[0].iov_base);
	return n;
}

ssize_t cshim_receive_record(void *tls, void *bytes, size_t size)
{
	record_function *next = CSHIM_NEXT(record_function, gnutls_record_recv);
	cshim_context *c = cshim_reading();
	const coap_session_t *session = c != NULL ? cshim_ext_tls_transport(tls) : NULL;
	bool gathered;
	ssize_t n;
	int what;

	if (session == NULL)
		return next(tls, bytes, size);
	if (coap_session_get_proto(session) != COAP_PROTO_DTLS)
		return cshim_fix_stream_record(session, tls, next, bytes, size);
	gathered = cshim_ext_flight_begin();
	n = next(tls, bytes, size);
	for (int i = 1; n == CSHIM_TLS_AGAIN && i < CSHIM_FLIGHT_RECORDS; i++)
		n = next(tls, bytes, size);
	n = cshim_ext_flight_end(gathered, n);
	if (n <= 0)
		return n;
	what = cshim_ext_heard(c, bytes, n);
	if (what != 0)
		cshim_ext_heard_tell(c, cshim_session_id(session), NULL, what, bytes);
	cshim_fix_datagram(c, bytes, n);
	return n;
}

int cshim_receive_handshake(void *tls)
{
	handshake_function *next = CSHIM_NEXT(handshake_function, gnutls_handshake);
	const coap_session_t *session =
		cshim_fix_streams_current() != NULL ? cshim_ext_tls_transport(tls) : NULL;
	const bool is_datagram = session != NULL && coap_session_get_proto(session) == COAP_PROTO_DTLS;
	const bool gathered = is_datagram && cshim_ext_flight_begin();
	const bool bound = is_datagram && !cshim_session_is_client(session);
	const unsigned mtu = bound ? cshim_ext_flight_bound(session, tls) : 0;
	const bool outer = cshim_fix_stream_enter_tls(true);
	int ret = next(tls);

	for (int i = 1; is_datagram && ret == CSHIM_TLS_AGAIN && i < CSHIM_FLIGHT_RECORDS; i++)
		ret = next(tls);
	cshim_fix_stream_enter_tls(outer);
	if (bound)
		cshim_ext_flight_unbound(tls, mtu);
	return is_datagram ? cshim_ext_flight_end(gathered, ret) : ret;
}

bool cshim_receive_works(void)
{
	return CSHIM_WORKS(recvmsg) && CSHIM_WORKS(gnutls_record_recv);
}
