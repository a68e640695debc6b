#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "_cgo_export.h"
#include "empty.h"
#include "flight.h"
#include "interpose.h"
#include "options.h"
#include "session.h"
#include "sockets.h"
#include "stream.h"

enum { DATAGRAM_VERSION = 0xc0, DATAGRAM_TOKEN_LENGTH = 0x0f };

static __thread cshim_context *current;

void cshim_empty_enter(cshim_context *c)
{
	current = c;
}

void cshim_empty_leave(void)
{
	current = NULL;
}

cshim_context *cshim_empty_context(void)
{
	return current;
}

/* What a message of version 1 (RFC 7252, section 3) says that Go must hear, or 0. An
 * acknowledgement may have a code: its message ID is what acknowledges. */
static int heard(const uint8_t *bytes, size_t size)
{
	bool is_empty = size == 4 && bytes[0] % 16 == 0 && bytes[1] == 0;

	if (size < 4)
		return 0;
	switch (bytes[0] >> 4) {
	case 4 + COAP_MESSAGE_CON:
		if (CSHIM_FORGETS_BODIES && current->adoption != NULL && cshim_options_last_block(bytes, size))
			return CSHIM_HEARD_LAST;
		return !CSHIM_CONFIRMS_AGAIN && bytes[1] >= 0x40 ? CSHIM_HEARD_RESPONSE : 0;
	case 4 + COAP_MESSAGE_ACK:
		return is_empty || current->responds ? CSHIM_HEARD_ACK : 0;
	case 4 + COAP_MESSAGE_RST:
		return is_empty ? CSHIM_HEARD_RESET : 0;
	}
	return 0;
}

/* libcoap answers methods beyond those that it has handlers for, with 4.04. */
static void take_method(uint8_t *bytes, size_t size)
{
	current->method = 0;
	if (size < 4 || bytes[0] >> 5 != 2 || current->adoption != NULL) /* version 1, confirmable or not */
		return;
	if (bytes[1] <= COAP_REQUEST_IPATCH || bytes[1] >> 5 != 0)
		return;
	current->method = bytes[1];
	bytes[1] = COAP_REQUEST_POST;
}

static bool is_signal(const uint8_t *bytes, size_t size)
{
	return size >= 4 && bytes[0] >> 6 == 1 && bytes[1] >> 5 == 7;
}

/* Codes of class 1 and 6 are reserved (RFC 7252, section 12.1). Some versions take 6 for a
 * response, but reject 1. Others end a request with the ID of such a message and go on counting
 * it for NSTART: there it is malformed instead, which they reset, an acknowledgement has the code
 * of a request, which ends one well, and a reset is of no version. */
static void take_code(uint8_t *bytes, size_t size)
{
	if (size < 4 || bytes[0] >> 6 != 1 || (bytes[1] >> 5 != 1 && bytes[1] >> 5 != 6))
		return;
	if (!CSHIM_COUNTS_BAD_CODES) {
		bytes[1] = 1 << 5;
		return;
	}
	switch (bytes[0] >> 4 & 3) {
	case COAP_MESSAGE_ACK:
		bytes[1] = COAP_REQUEST_GET;
		break;
	case COAP_MESSAGE_RST:
		bytes[0] &= ~DATAGRAM_VERSION;
		break;
	default:
		bytes[0] |= DATAGRAM_TOKEN_LENGTH;
	}
}

void cshim_empty_mend(void *bytes, size_t size)
{
	if (current == NULL)
		return;
	if (is_signal(bytes, size))
		*(uint8_t *)bytes &= ~DATAGRAM_VERSION;
	take_code(bytes, size);
	take_method(bytes, size);
	cshim_crossing_received(&current->crossing, bytes, size);
}

/* What Go deals with alone becomes a message of no version. */
static void tell(uint64_t id, const coap_address_t *from, int what, uint8_t *bytes)
{
	struct cshim_address address = { .ip_size = 0 };

	if (from != NULL)
		cshim_address_from(from, &address);
	if (goCoapHeard(current->handle, id, &address, what, bytes[2] << 8 | bytes[3]))
		bytes[0] &= ~DATAGRAM_VERSION;
}

typedef ssize_t record_function(void *tls, void *bytes, size_t size);

/* recvmsg for the context whose event is dealt with. */
static ssize_t receive(int fd, struct msghdr *message, int flags)
{
	cshim_receive_message *receive = CSHIM_NEXT(cshim_receive_message, recvmsg);

	if (current == NULL || flags != 0)
		return receive(fd, message, flags);
	return cshim_datagrams_receive(&current->datagrams, fd, message, receive);
}

bool cshim_empty_waiting(int fd)
{
	return current != NULL && cshim_datagrams_waiting(&current->datagrams) > 0 && current->datagrams.fd == fd;
}

ssize_t cshim_empty_receive(int fd, void *buffer, size_t size)
{
	struct iovec vector = { buffer, size };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };
	ssize_t n = receive(fd, &message, 0);
	coap_address_t from;
	int what;

	if (current == NULL || n <= 0 || (what = heard(buffer, n)) == 0)
		return n;
	coap_address_init(&from);
	if (getpeername(fd, &from.addr.sa, &from.size) == 0)
		tell(0, &from, what, buffer);
	return n;
}

ssize_t cshim_empty_recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t n = receive(fd, message, flags);
	coap_address_t from;
	int what;

	if (current == NULL || n <= 0 || message->msg_iovlen == 0 || message->msg_iov[0].iov_len < (size_t)n)
		return n;
	if (cshim_socket_kind(fd) == CSHIM_SOCKET_DTLS_ENDPOINT) {
		if (cshim_cookie_admits(current, fd, message, n))
			return n;
		errno = EAGAIN;
		return -1;
	}
	cshim_empty_mend(message->msg_iov[0].iov_base, n);
	what = heard(message->msg_iov[0].iov_base, n);
	if (what == 0 || message->msg_namelen > sizeof(from.addr))
		return n;
	coap_address_init(&from);
	memcpy(&from.addr, message->msg_name, message->msg_namelen);
	from.size = message->msg_namelen;
	tell(0, &from, what, message->msg_iov[0].iov_base);
	return n;
}

ssize_t cshim_empty_record_recv(void *tls, void *bytes, size_t size)
{
	record_function *next = CSHIM_NEXT(record_function, gnutls_record_recv);
	const coap_session_t *session = current != NULL ? cshim_tls_transport(tls) : NULL;
	bool gathered;
	ssize_t n;
	int what;

	if (session != NULL && coap_session_get_proto(session) != COAP_PROTO_DTLS)
		return cshim_stream_record(session, tls, next, bytes, size);
	if (session == NULL)
		return next(tls, bytes, size);
	gathered = cshim_flight_begin();
	n = next(tls, bytes, size);
	for (int i = 1; n == CSHIM_TLS_AGAIN && i < CSHIM_FLIGHT_RECORDS; i++)
		n = next(tls, bytes, size);
	n = cshim_flight_end(gathered, n);
	if (n <= 0)
		return n;
	what = heard(bytes, n);
	if (what != 0)
		tell(cshim_session_id(session), NULL, what, bytes);
	cshim_empty_mend(bytes, n);
	return n;
}

bool cshim_empty_works(void)
{
	return CSHIM_WORKS(recvmsg) && CSHIM_WORKS(gnutls_record_recv);
}
