#define _GNU_SOURCE
#include <string.h>
#include <sys/socket.h>

#include "_cgo_export.h"
#include "empty.h"
#include "interpose.h"
#include "session.h"

static __thread cshim_context *current;

void cshim_empty_enter(cshim_context *c)
{
	current = c;
}

void cshim_empty_leave(void)
{
	current = NULL;
}

/* Of version 1, without a token and of code 0.00 (RFC 7252, section 3). */
static bool is_empty(const uint8_t *bytes, size_t size)
{
	return size == 4 && (bytes[0] == 0x60 || bytes[0] == 0x70) && bytes[1] == 0;
}

static bool is_signal(const uint8_t *bytes, size_t size)
{
	return size >= 4 && bytes[0] >> 6 == 1 && bytes[1] >> 5 == 7;
}

void cshim_empty_mend(void *bytes, size_t size)
{
	if (current == NULL)
		return;
	if (is_signal(bytes, size))
		*(uint8_t *)bytes &= 0x3f;
	cshim_crossing_received(&current->crossing, bytes, size);
}

static void tell(uint64_t id, const coap_address_t *from, const uint8_t *bytes)
{
	struct cshim_address address = { .ip_size = 0 };

	if (from != NULL)
		cshim_address_from(from, &address);
	goCoapEmpty(current->handle, id, &address, bytes[0] == 0x70, bytes[2] << 8 | bytes[3]);
}

typedef ssize_t record_function(void *tls, void *bytes, size_t size);
typedef void *pointer_function(void *tls);

/* recvmsg for the context whose event is dealt with. */
static ssize_t receive(int fd, struct msghdr *message, int flags)
{
	static void *known;
	cshim_receive_message *receive = (cshim_receive_message *)cshim_interpose_next(&known, "recvmsg");

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

	if (current == NULL || n <= 0 || !is_empty(buffer, n))
		return n;
	coap_address_init(&from);
	if (getpeername(fd, &from.addr.sa, &from.size) == 0)
		tell(0, &from, buffer);
	return n;
}

/* Have the names that libcoap calls. Whoever else calls them gets the next
 * functions of these names. */
__attribute__((visibility("default"))) ssize_t cshim_empty_recvmsg(int fd, struct msghdr *message, int flags)
	__asm__("recvmsg");
__attribute__((visibility("default"))) ssize_t cshim_empty_record_recv(void *tls, void *bytes, size_t size)
	__asm__("gnutls_record_recv");

ssize_t cshim_empty_recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t n = receive(fd, message, flags);
	coap_address_t from;

	if (current == NULL || n <= 0 || message->msg_iovlen == 0 || message->msg_iov[0].iov_len < (size_t)n)
		return n;
	cshim_empty_mend(message->msg_iov[0].iov_base, n);
	if (!is_empty(message->msg_iov[0].iov_base, n) || message->msg_namelen > sizeof(from.addr))
		return n;
	coap_address_init(&from);
	memcpy(&from.addr, message->msg_name, message->msg_namelen);
	from.size = message->msg_namelen;
	tell(0, &from, message->msg_iov[0].iov_base);
	return n;
}

ssize_t cshim_empty_record_recv(void *tls, void *bytes, size_t size)
{
	static void *known, *known_pointer;
	ssize_t n = ((record_function *)cshim_interpose_next(&known, "gnutls_record_recv"))(tls, bytes, size);
	const coap_session_t *session;

	if (current == NULL || n <= 0)
		return n;
	session = ((pointer_function *)cshim_interpose_next(&known_pointer, "gnutls_transport_get_ptr"))(tls);
	if (coap_session_get_proto(session) != COAP_PROTO_DTLS)
		return n;
	if (is_empty(bytes, n))
		tell(cshim_session_id(session), NULL, bytes);
	cshim_empty_mend(bytes, n);
	return n;
}

bool cshim_empty_works(void)
{
	return cshim_interpose_works("recvmsg", (void *)cshim_empty_recvmsg) &&
	       cshim_interpose_works("gnutls_record_recv", (void *)cshim_empty_record_recv);
}
