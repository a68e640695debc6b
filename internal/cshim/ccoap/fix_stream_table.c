#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fix_options.h"
#include "fix_sockets.h"
#include "fix_stream_table.h"

static __thread struct cshim_streams *current;
/* How many requests are handled at once before it is known how large the answers are. */
enum { FIRST_REQUESTS = 8 };

/* The most bytes of a message that libcoap takes, whatever it says. */
enum { LARGEST = (8 << 20) + 256 };

struct cshim_streams *cshim_fix_streams_enter(struct cshim_streams *streams)
{
	struct cshim_streams *outer = current;

	current = streams;
	return outer;
}

void cshim_fix_streams_leave(struct cshim_streams *outer)
{
	current = outer;
}

struct cshim_streams *cshim_fix_streams_current(void)
{
	return current;
}

static struct cshim_stream **fd_bucket(const struct cshim_streams *streams, int fd)
{
	return &streams->by_fd[(size_t)fd & (streams->buckets - 1)];
}

static struct cshim_stream **session_bucket(const struct cshim_streams *streams,
					    const coap_session_t *session)
{
	return &streams->by_session[(uintptr_t)session / 64 & (streams->buckets - 1)];
}

struct cshim_stream *cshim_fix_stream_look_up(const struct cshim_streams *streams, int fd)
{
	struct cshim_stream *s;

	if (streams->n == 0)
		return NULL;
	for (s = *fd_bucket(streams, fd); s != NULL && s->fd != fd; s = s->next)
		;
	return s;
}

struct cshim_stream *cshim_fix_streams_of(struct cshim_streams *streams,
					  const coap_session_t *session)
{
	struct cshim_stream *s;

	if (streams->n == 0)
		return NULL;
	for (s = *session_bucket(streams, session); s != NULL && s->session != session;
	     s = s->next_session)
		;
	return s;
}

/* Makes room for one more. Returns false where memory is short. */
static bool grow(struct cshim_streams *streams)
{
	size_t buckets = streams->buckets > 0 ? 2 * streams->buckets : 4;
	struct cshim_streams wider = *streams;
	struct cshim_stream *s, **at;
	size_t i;

	if (streams->n < streams->buckets)
		return true;
	wider.buckets = buckets;
	wider.by_fd = calloc(buckets, sizeof(*wider.by_fd));
	wider.by_session = calloc(buckets, sizeof(*wider.by_session));
	if (wider.by_fd == NULL || wider.by_session == NULL) {
		free(wider.by_fd);
		free(wider.by_session);
		return streams->buckets > 0;
	}
	for (i = 0; i < streams->buckets; i++) {
		while ((s = streams->by_fd[i]) != NULL) {
			streams->by_fd[i] = s->next;
			at = fd_bucket(&wider, s->fd);
			s->next = *at;
			*at = s;
			if (s->session == NULL)
				continue;
			at = session_bucket(&wider, s->session);
			s->next_session = *at;
			*at = s;
		}
	}
	free(streams->by_fd);
	free(streams->by_session);
	*streams = wider;
	return true;
}

static void forget_session(struct cshim_streams *streams, struct cshim_stream *s)
{
	struct cshim_stream **at;

	if (s->session == NULL)
		return;
	for (at = session_bucket(streams, s->session); *at != s; at = &(*at)->next_session)
		;
	*at = s->next_session;
	s->session = NULL;
}

static void set_session(struct cshim_streams *streams, struct cshim_stream *s,
			const coap_session_t *session)
{
	struct cshim_stream *old = cshim_fix_streams_of(streams, session), **at;

	if (old != NULL)
		forget_session(streams, old);
	forget_session(streams, s);
	s->session = session;
	at = session_bucket(streams, session);
	s->next_session = *at;
	*at = s;
}

/* It is among those that have yet to greet no more. */
void cshim_fix_stream_end_greeting(struct cshim_streams *streams, struct cshim_stream *s)
{
	if (!s->greeting)
		return;
	s->greeting = false;
	streams->n_greeting--;
	*(s->older != NULL ? &s->older->newer : &streams->oldest) = s->newer;
	*(s->newer != NULL ? &s->newer->older : &streams->newest) = s->older;
}

void cshim_fix_stream_set_waiting(struct cshim_streams *streams, struct cshim_stream *s,
				  size_t waiting)
{
	streams->waiting = streams->waiting - s->waiting + waiting;
	s->waiting = waiting;
}

void cshim_fix_stream_set_stuck(struct cshim_streams *streams, struct cshim_stream *s, bool stuck)
{
	streams->n_stuck = streams->n_stuck - s->stuck + stuck;
	s->stuck = stuck;
	if (!stuck)
		cshim_fix_stream_set_waiting(streams, s, 0);
}

void cshim_fix_stream_drop(struct cshim_streams *streams, struct cshim_stream *s)
{
	struct cshim_stream **at;

	for (at = fd_bucket(streams, s->fd); *at != s; at = &(*at)->next)
		;
	*at = s->next;
	streams->n--;
	forget_session(streams, s);
	cshim_fix_stream_end_greeting(streams, s);
	cshim_fix_stream_set_stuck(streams, s, false);
	for (at = &streams->again; s->again && *at != NULL; at = &(*at)->next_again) {
		if (*at == s) {
			*at = s->next_again;
			break;
		}
	}
	for (at = &streams->corked; s->corked && *at != NULL; at = &(*at)->next_corked) {
		if (*at == s) {
			*at = s->next_corked;
			break;
		}
	}
	if (streams->last == s)
		streams->last = NULL;
	free(s->kept);
	free(s);
}

void cshim_fix_streams_free(struct cshim_streams *streams)
{
	size_t i;

	for (i = 0; i < streams->buckets; i++) {
		while (streams->by_fd[i] != NULL)
			cshim_fix_stream_drop(streams, streams->by_fd[i]);
	}
	free(streams->by_fd);
	free(streams->by_session);
	memset(streams, 0, sizeof(*streams));
}

size_t cshim_fix_streams_size(const struct cshim_streams *streams)
{
	return streams->buckets * 2 * sizeof(*streams->by_fd) + streams->n * sizeof(struct cshim_stream);
}

/* Makes an entry for a socket, in place of what had its number before. */
struct cshim_stream *cshim_fix_stream_add(struct cshim_streams *streams, int fd)
{
	struct cshim_stream *s = cshim_fix_stream_look_up(streams, fd), **at;

	if (s != NULL)
		cshim_fix_stream_drop(streams, s);
	if (!grow(streams))
		return NULL;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->fd = fd;
	s->window = FIRST_REQUESTS;
	s->wire.max_number = cshim_fix_options_max();
	s->wire.most = streams->most > 0 && streams->most < LARGEST ? streams->most : LARGEST;
	at = fd_bucket(streams, fd);
	s->next = *at;
	*at = s;
	streams->n++;
	s->number = cshim_fix_socket_number(fd);
	if (cshim_fix_socket_kind(fd) != CSHIM_SOCKET_STREAM)
		s->kind = CSHIM_STREAM_DATAGRAM;
	else /* a message must not wait for the acknowledgement of the last one */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	return s;
}

/* The entry of a socket, or NULL where memory is short. */
struct cshim_stream *cshim_fix_stream_find(struct cshim_streams *streams, int fd)
{
	struct cshim_stream *s;

	if (fd < 0) /* libcoap reads on after the end */
		return NULL;
	s = cshim_fix_stream_look_up(streams, fd);
	if (s != NULL && s->number == cshim_fix_socket_number(fd))
		return s;
	s = cshim_fix_stream_add(streams, fd); /* another socket has got the descriptor */
	if (s != NULL)
		s->wire.greeted = true;
	return s;
}

void cshim_fix_streams_belongs(struct cshim_streams *streams, const coap_session_t *session)
{
	struct cshim_stream *s = streams->last;

	if (s != NULL && s->session == NULL && s->kind != CSHIM_STREAM_DATAGRAM && !streams->foreign)
		set_session(streams, s, session);
}

bool cshim_fix_stream_has_blocks(struct cshim_streams *streams, const coap_session_t *session)
{
	const struct cshim_stream *s = cshim_fix_streams_of(streams, session);

	return s != NULL && s->wire.has_blocks;
}
