#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "clock.h"
#include "fix_sockets.h"
#include "fix_stream_flow.h"
#include "fix_stream_send.h"
#include "interpose.h"

static __thread struct cshim_streams *gathering;

typedef ssize_t send_function(int fd, const void *buffer, size_t size, int flags);

static send_function *next_send(void)
{
	return CSHIM_NEXT(send_function, send);
}

void cshim_fix_streams_gather(struct cshim_streams *streams, bool more)
{
	gathering = more ? streams : NULL;
}

void cshim_fix_streams_push(struct cshim_streams *streams)
{
	struct cshim_stream *s;

	while ((s = streams->corked) != NULL) {
		streams->corked = s->next_corked;
		s->corked = false;
		setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	}
}

/* Notes that a connection has something to be pushed, and returns the flag for that. */
static int gather(struct cshim_stream *s)
{
	if (gathering == NULL || s == NULL || s->kind == CSHIM_STREAM_DATAGRAM)
		return 0;
	if (!s->corked) {
		s->corked = true;
		s->next_corked = gathering->corked;
		gathering->corked = s;
	}
	return MSG_MORE;
}

/* Notes how much of what was to be sent a connection has taken. */
static void note(struct cshim_streams *streams, struct cshim_stream *s, ssize_t n, size_t size,
		 int error)
{
	bool held = cshim_fix_stream_holds(streams, s);
	bool stuck = n < (ssize_t)size && (n >= 0 || error == EAGAIN);

	if (n > 0)
		cshim_fix_stream_set_waiting(streams, s, s->waiting > (size_t)n ? s->waiting - n : 0);
	if (stuck && (!s->stuck || n > 0))
		s->since = cshim_milliseconds();
	if (stuck != s->stuck)
		cshim_fix_stream_set_stuck(streams, s, stuck);
	cshim_fix_stream_release(streams, s, held);
}

#ifdef CSHIM_SENDS_WRONG_REST

/* A connection that has ended is left to recv: libcoap goes on to use the TLS
 * session that it frees when the first message cannot be sent. */
static ssize_t send_stream(int fd, const void *buffer, size_t size, int flags)
{
	ssize_t n = next_send()(fd, buffer, size, flags | MSG_NOSIGNAL);

	if (n >= 0 || errno == EAGAIN || errno == EINTR ||
	    cshim_fix_socket_kind(fd) != CSHIM_SOCKET_STREAM)
		return n;
	return size;
}

/* Where a connection takes a part of a message, libcoap goes on as far before the
 * message as it should behind its start. */
static ssize_t send_next(struct cshim_stream *s, int fd, const void *buffer, size_t size, int flags)
{
	const uint8_t *bytes = buffer;
	ssize_t n;

	if (cshim_fix_streams_current() == NULL)
		return next_send()(fd, buffer, size, flags);
	if (s == NULL || s->kind != CSHIM_STREAM_COAP)
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

static ssize_t send_next(struct cshim_stream *s, int fd, const void *buffer, size_t size, int flags)
{
	(void)s;
	return next_send()(fd, buffer, size, flags);
}

#endif

ssize_t cshim_fix_stream_send(int fd, const void *buffer, size_t size, int flags)
{
	struct cshim_streams *streams = cshim_fix_streams_current();
	struct cshim_stream *s = streams != NULL ? cshim_fix_stream_find(streams, fd) : NULL;
	ssize_t n = send_next(s, fd, buffer, size, flags | gather(s));
	int error = errno;

	if (s != NULL && s->kind != CSHIM_STREAM_DATAGRAM)
		note(streams, s, n, size, error);
	errno = error;
	return n;
}
