#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "ext_tls.h"
#include "fix_stream_flow.h"
#include "fix_stream_read.h"
#include "interpose.h"

static __thread bool in_tls; /* GnuTLS has called */

typedef ssize_t receive_function(int fd, void *buffer, size_t size, int flags);
typedef ssize_t send_function(int fd, const void *buffer, size_t size, int flags);

static receive_function *next_receive(void)
{
	return CSHIM_NEXT(receive_function, recv);
}

/* Whether the peer has gone for good. */
static bool is_broken(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP)) != 0;
}

typedef ssize_t record_send_function(void *tls, const void *bytes, size_t size);

/* Sends an Abort, unless part of a message waits, and reads what has come: else the peer
 * would get a reset in its place. */
static void abort_connection(struct cshim_stream *s, void *tls)
{
	static void *known;
	uint8_t message[CSHIM_WIRE_ABORT];
	size_t size = cshim_fix_wire_abort(&s->wire, message);
	uint8_t trash[4096];
	int i;

	if (!s->stuck && tls == NULL) {
		CSHIM_NEXT(send_function, send)(s->fd, message, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	} else if (!s->stuck) {
		((record_send_function *)cshim_interpose_known(&known, "gnutls_record_send"))(tls, message, size);
	}
	if (tls == NULL)
		shutdown(s->fd, SHUT_WR);
	for (i = 0; i < 64 && next_receive()(s->fd, trash, sizeof(trash), MSG_DONTWAIT) > 0; i++)
		;
}

/* Keeps what was not taken of the bytes there are. */
static bool keep(struct cshim_stream *s, const uint8_t *bytes, size_t taken, size_t have)
{
	size_t size = (have > s->kept_size ? have : s->kept_size) - taken;
	uint8_t *kept = size > 0 ? malloc(size) : NULL;

	if (size > 0 && kept == NULL)
		return false;
	if (size > 0 && have < s->kept_size) /* libcoap has less room than before */
		memcpy(kept, s->kept + taken, size);
	else if (size > 0)
		memcpy(kept, bytes + taken, size);
	free(s->kept);
	s->kept = kept;
	s->kept_size = size;
	return true;
}

enum { NOTHING_YET = -1, OVER = -2 };

/* What a connection is read from. */
struct source {
	cshim_stream_reader *read;
	void *from;
	void *tls; /* the session of GnuTLS, or NULL */
};

/* Reads for libcoap what it may have. Returns how many bytes, NOTHING_YET, or OVER; or what
 * the source has returned, of which 0 is the end. */
static ssize_t read_some(struct cshim_streams *streams, struct cshim_stream *s,
			 const struct source *source,
			 uint8_t *buffer, size_t size, ssize_t *result)
{
	size_t have = s->kept_size < size ? s->kept_size : size, taken = 0;
	bool counts = s->accepted && !streams->foreign && streams->limits.requests > 0;
	unsigned requests = counts ? s->window - s->handled : UINT_MAX;
	ssize_t n;

	streams->last = s;
	if (s->over || s->wire.ended)
		return OVER;
	if (cshim_fix_stream_holds(streams, s)) {
		s->refused = true;
		return is_broken(s->fd) ? OVER : NOTHING_YET;
	}
	if (have > 0) {
		memcpy(buffer, s->kept, have);
		taken = cshim_fix_wire_take(&s->wire, buffer, have, requests);
	}
	if (taken == 0 && s->wire.fault == CSHIM_WIRE_GOOD && !s->wire.ended && have < size) {
		n = s->eof ? 0 : source->read(source->from, buffer + have, size - have);
		if (n == 0 && s->handled > 0) { /* it wants the answers */
			s->eof = true;
			cshim_fix_stream_set_interest(streams, s, 0);
			return NOTHING_YET;
		}
		if (n <= 0) {
			*result = n;
			return n == 0 ? OVER : 0;
		}
		have += n;
		taken = cshim_fix_wire_take(&s->wire, buffer, have, requests);
	}
	if (!keep(s, buffer, taken, have))
		return OVER;
	if (s->wire.greeted)
		cshim_fix_stream_end_greeting(streams, s);
	if (taken == 0 && s->wire.fault != CSHIM_WIRE_GOOD)
		abort_connection(s, source->tls);
	if (taken == 0 && (s->wire.fault != CSHIM_WIRE_GOOD || s->wire.ended))
		return OVER;
	if (s->wire.fault != CSHIM_WIRE_GOOD || s->wire.ended || s->wire.held)
		cshim_fix_stream_read_again(streams, s);
	return taken > 0 ? (ssize_t)taken : NOTHING_YET;
}

struct socket {
	int fd;
};

static ssize_t read_socket(void *from, void *buffer, size_t size)
{
	return next_receive()(((struct socket *)from)->fd, buffer, size, 0);
}

ssize_t cshim_fix_stream_read(struct cshim_streams *streams, struct cshim_stream *s, void *buffer,
			      size_t size)
{
	struct socket socket = { s->fd };
	const struct source source = { read_socket, &socket, NULL };
	ssize_t n, result = 0;

	if (s->kind == CSHIM_STREAM_UNKNOWN)
		s->kind = in_tls ? CSHIM_STREAM_TLS : CSHIM_STREAM_COAP;
	if (s->kind == CSHIM_STREAM_TLS) {
		streams->last = s;
		return s->over ? 0 : next_receive()(s->fd, buffer, size, 0);
	}
	n = read_some(streams, s, &source, buffer, size, &result);
	if (n == OVER)
		return 0;
	if (n == NOTHING_YET)
		errno = EAGAIN;
	return n != 0 ? n : result;
}

bool cshim_fix_stream_enter_tls(bool now)
{
	bool outer = in_tls;

	in_tls = now;
	return outer;
}

ssize_t cshim_fix_stream_record(const coap_session_t *session, void *tls,
				cshim_stream_reader *reader, void *buffer, size_t size)
{
	struct cshim_streams *streams = cshim_fix_streams_current();
	struct cshim_stream *s = streams != NULL ? cshim_fix_streams_of(streams, session) : NULL;
	const struct source source = { reader, tls, tls };
	ssize_t n, result = 0;
	bool outer = in_tls;

	in_tls = true;
	if (s == NULL) {
		result = reader(tls, buffer, size);
		in_tls = outer;
		return result;
	}
	n = read_some(streams, s, &source, buffer, size, &result);
	in_tls = outer;
	return n == OVER ? 0 : n == NOTHING_YET ? CSHIM_TLS_AGAIN : n != 0 ? n : result;
}
