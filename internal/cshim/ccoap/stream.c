#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "empty.h"
#include "interpose.h"
#include "sockets.h"
#include "stream.h"

static __thread struct cshim_streams *current;
static __thread struct cshim_streams *gathering;
static uint64_t calls;

void cshim_streams_enter(struct cshim_streams *streams)
{
	current = streams;
}

void cshim_streams_leave(void)
{
	current = NULL;
}

bool cshim_streams_entered(void)
{
	return current != NULL;
}

void cshim_streams_free(struct cshim_streams *streams)
{
	free(streams->by_fd);
}

uint64_t cshim_stream_calls(void)
{
	return __atomic_load_n(&calls, __ATOMIC_RELAXED);
}

static size_t header_size(uint8_t first)
{
	static const size_t extended[] = { 1, 2, 4 };
	unsigned length = first >> 4;

	return 2 + (length < 13 ? 0 : extended[length - 13]);
}

/* The bytes that come after a header: token, options and payload. */
static uint64_t body_size(const uint8_t *header)
{
	uint64_t token = header[0] & 15;

	switch (header[0] >> 4) {
	case 13:
		return token + 13 + header[1];
	case 14:
		return token + 269 + (header[1] << 8 | header[2]);
	case 15:
		return token + 65805 +
		       ((uint64_t)header[1] << 24 | header[2] << 16 | header[3] << 8 | header[4]);
	}
	return token + (header[0] >> 4);
}

size_t cshim_stream_divide(struct cshim_stream *s, const uint8_t *bytes, size_t size)
{
	size_t at = 0;

	s->kept_size = 0;
	if (s->kind == CSHIM_STREAM_UNKNOWN && size >= 2) /* the first record of TLS, or a message of CoAP */
		s->kind = bytes[0] >= 0x14 && bytes[0] <= 0x17 && bytes[1] == 3 ? CSHIM_STREAM_OTHER : CSHIM_STREAM_COAP;
	if (s->kind == CSHIM_STREAM_OTHER)
		return size;
	if (s->kind == CSHIM_STREAM_COAP) {
		while (at < size) {
			if (s->remaining > 0) {
				size_t n = s->remaining < size - at ? s->remaining : size - at;

				s->remaining -= n;
				at += n;
				continue;
			}
			if (size - at < header_size(bytes[at]))
				break;
			s->remaining = body_size(bytes + at);
			at += header_size(bytes[at]);
		}
	}
	s->kept_size = size - at;
	memcpy(s->kept, bytes + at, s->kept_size);
	return at;
}

/* The state of a connection, or NULL where memory is short. */
static struct cshim_stream *find(struct cshim_streams *streams, int fd)
{
	struct cshim_stream *s;
	uint64_t number = cshim_socket_number(fd);

	if (fd < 0) /* libcoap reads on after the end */
		return NULL;
	if ((size_t)fd >= streams->size) {
		size_t size = 2 * (size_t)fd + 16;

		s = realloc(streams->by_fd, size * sizeof(*s));
		if (s == NULL)
			return NULL;
		memset(s + streams->size, 0, (size - streams->size) * sizeof(*s));
		streams->by_fd = s;
		streams->size = size;
	}
	s = &streams->by_fd[fd];
	if (!s->known || s->number != number) { /* another connection has got the descriptor */
		memset(s, 0, sizeof(*s));
		s->known = true;
		s->number = number;
		if (cshim_socket_kind(fd) != CSHIM_SOCKET_STREAM)
			s->kind = CSHIM_STREAM_DATAGRAM;
		else /* a message must not wait for the acknowledgement of the last one */
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	}
	return s;
}

void cshim_streams_gather(struct cshim_streams *streams, bool more)
{
	gathering = more ? streams : NULL;
}

void cshim_streams_push(struct cshim_streams *streams)
{
	size_t fd;

	for (fd = 0; fd < streams->size && streams->corked > 0; fd++) {
		if (!streams->by_fd[fd].corked)
			continue;
		streams->by_fd[fd].corked = false;
		streams->corked--;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	}
	streams->corked = 0;
}

typedef ssize_t receive_function(int fd, void *buffer, size_t size, int flags);

static receive_function *next_receive(void)
{
	return CSHIM_NEXT(receive_function, recv);
}

ssize_t cshim_stream_receive(int fd, void *buffer, size_t size, int flags)
{
	struct cshim_streams *streams = current;
	struct cshim_stream *s;
	uint8_t *bytes = buffer;
	size_t kept;
	bool waiting;
	ssize_t n;

	if (streams == NULL || flags != 0)
		return next_receive()(fd, buffer, size, flags);
	__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
	if (CSHIM_MUST_WAIT(fd)) {
		errno = EAGAIN;
		return -1;
	}
	waiting = cshim_empty_waiting(fd);
	s = waiting ? NULL : find(streams, fd);
	if (s == NULL || s->kind == CSHIM_STREAM_DATAGRAM) {
		n = cshim_empty_receive(fd, buffer, size);
		if (n > 0 && (waiting || s != NULL))
			cshim_empty_mend(buffer, n);
		return n;
	}
	if (s->kind == CSHIM_STREAM_OTHER || s->kept_size >= size)
		return next_receive()(fd, buffer, size, flags);
	kept = s->kept_size;
	n = next_receive()(fd, bytes + kept, size - kept, flags);
	if (n <= 0)
		return n;
	memcpy(bytes, s->kept, kept);
	n = cshim_stream_divide(s, bytes, kept + n);
	if (n == 0) {
		errno = EAGAIN;
		return -1;
	}
	return n;
}

typedef ssize_t send_function(int fd, const void *buffer, size_t size, int flags);

static send_function *next_send(void)
{
	return CSHIM_NEXT(send_function, send);
}

/* Notes that a connection has something to be pushed, and returns the flag for that.
 * find has seen its socket: the peer has sent its capabilities. */
static int gather(int fd)
{
	struct cshim_streams *streams = gathering;

	if (streams == NULL || (size_t)fd >= streams->size)
		return 0;
	if (!streams->by_fd[fd].corked) {
		streams->by_fd[fd].corked = true;
		streams->corked++;
	}
	return MSG_MORE;
}

#ifdef CSHIM_SENDS_WRONG_REST

/* A connection that has ended is left to recv: libcoap goes on to use the TLS
 * session that it frees when the first message cannot be sent. */
static ssize_t send_stream(int fd, const void *buffer, size_t size, int flags)
{
	ssize_t n = next_send()(fd, buffer, size, flags | MSG_NOSIGNAL);

	if (n >= 0 || errno == EAGAIN || errno == EINTR || cshim_socket_kind(fd) != CSHIM_SOCKET_STREAM)
		return n;
	return size;
}

/* Where a connection takes a part of a message, libcoap goes on as far before the
 * message as it should behind its start. */
static ssize_t send_next(int fd, const void *buffer, size_t size, int flags)
{
	struct cshim_streams *streams = current;
	struct cshim_stream *s = streams == NULL ? NULL : find(streams, fd);
	const uint8_t *bytes = buffer;
	ssize_t n;

	if (streams == NULL)
		return next_send()(fd, buffer, size, flags);
	if (s == NULL || s->kind == CSHIM_STREAM_OTHER || s->kind == CSHIM_STREAM_DATAGRAM)
		return send_stream(fd, buffer, size, flags);
	if (s->sent > 0 && bytes == s->sending - s->sent && size == s->sending_size - s->sent) {
		bytes = s->sending + s->sent;
	} else {
		s->sending = bytes;
		s->sending_size = size;
		s->sent = 0;
	}
	n = send_stream(fd, bytes, size, flags);
	if (n > 0)
		s->sent += n;
	return n;
}

#else

static ssize_t send_next(int fd, const void *buffer, size_t size, int flags)
{
	return next_send()(fd, buffer, size, flags);
}

#endif

ssize_t cshim_stream_send(int fd, const void *buffer, size_t size, int flags)
{
	return send_next(fd, buffer, size, flags | gather(fd));
}
