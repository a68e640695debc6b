#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "empty.h"
#include "flight.h"
#include "interpose.h"
#include "session.h"
#include "options.h"
#include "sockets.h"
#include "stream.h"
#include "ext_tls.h"

static __thread struct cshim_streams *current;
static __thread struct cshim_streams *gathering;
static __thread bool in_tls; /* GnuTLS has called */
static uint64_t calls;

/* How many requests are handled at once before it is known how large the answers are. */
enum { FIRST_REQUESTS = 8 };

/* The most bytes of a message that libcoap takes, whatever it says. */
enum { LARGEST = (8 << 20) + 256 };

/* GnuTLS's, whose header this package does not include. */
enum { TLS_AGAIN = -28 };

struct cshim_streams *cshim_streams_enter(struct cshim_streams *streams)
{
	struct cshim_streams *outer = current;

	current = streams;
	return outer;
}

void cshim_streams_leave(struct cshim_streams *outer)
{
	current = outer;
}

bool cshim_streams_entered(void)
{
	return current != NULL;
}

uint64_t cshim_stream_calls(void)
{
	return __atomic_load_n(&calls, __ATOMIC_RELAXED);
}

static int64_t milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The table. */

static struct cshim_stream **fd_bucket(const struct cshim_streams *streams, int fd)
{
	return &streams->by_fd[(size_t)fd & (streams->buckets - 1)];
}

static struct cshim_stream **session_bucket(const struct cshim_streams *streams, const coap_session_t *session)
{
	return &streams->by_session[(uintptr_t)session / 64 & (streams->buckets - 1)];
}

static struct cshim_stream *look_up(const struct cshim_streams *streams, int fd)
{
	struct cshim_stream *s;

	if (streams->n == 0)
		return NULL;
	for (s = *fd_bucket(streams, fd); s != NULL && s->fd != fd; s = s->next)
		;
	return s;
}

struct cshim_stream *cshim_streams_of(struct cshim_streams *streams, const coap_session_t *session)
{
	struct cshim_stream *s;

	if (streams->n == 0)
		return NULL;
	for (s = *session_bucket(streams, session); s != NULL && s->session != session; s = s->next_session)
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

static void set_session(struct cshim_streams *streams, struct cshim_stream *s, const coap_session_t *session)
{
	struct cshim_stream *old = cshim_streams_of(streams, session), **at;

	if (old != NULL)
		forget_session(streams, old);
	forget_session(streams, s);
	s->session = session;
	at = session_bucket(streams, session);
	s->next_session = *at;
	*at = s;
}

/* It is among those that have yet to greet no more. */
static void end_greeting(struct cshim_streams *streams, struct cshim_stream *s)
{
	if (!s->greeting)
		return;
	s->greeting = false;
	streams->n_greeting--;
	*(s->older != NULL ? &s->older->newer : &streams->oldest) = s->newer;
	*(s->newer != NULL ? &s->newer->older : &streams->newest) = s->older;
}

static void set_waiting(struct cshim_streams *streams, struct cshim_stream *s, size_t waiting)
{
	streams->waiting = streams->waiting - s->waiting + waiting;
	s->waiting = waiting;
}

static void set_stuck(struct cshim_streams *streams, struct cshim_stream *s, bool stuck)
{
	streams->n_stuck = streams->n_stuck - s->stuck + stuck;
	s->stuck = stuck;
	if (!stuck)
		set_waiting(streams, s, 0);
}

static void drop(struct cshim_streams *streams, struct cshim_stream *s)
{
	struct cshim_stream **at;

	for (at = fd_bucket(streams, s->fd); *at != s; at = &(*at)->next)
		;
	*at = s->next;
	streams->n--;
	forget_session(streams, s);
	end_greeting(streams, s);
	set_stuck(streams, s, false);
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

void cshim_streams_free(struct cshim_streams *streams)
{
	size_t i;

	for (i = 0; i < streams->buckets; i++) {
		while (streams->by_fd[i] != NULL)
			drop(streams, streams->by_fd[i]);
	}
	free(streams->by_fd);
	free(streams->by_session);
	memset(streams, 0, sizeof(*streams));
}

size_t cshim_streams_size(const struct cshim_streams *streams)
{
	return streams->buckets * 2 * sizeof(*streams->by_fd) + streams->n * sizeof(struct cshim_stream);
}

/* Makes an entry for a socket, in place of what had its number before. */
static struct cshim_stream *add(struct cshim_streams *streams, int fd)
{
	struct cshim_stream *s = look_up(streams, fd), **at;

	if (s != NULL)
		drop(streams, s);
	if (!grow(streams))
		return NULL;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->fd = fd;
	s->window = FIRST_REQUESTS;
	s->wire.max_number = cshim_options_max();
	s->wire.most = streams->most > 0 && streams->most < LARGEST ? streams->most : LARGEST;
	at = fd_bucket(streams, fd);
	s->next = *at;
	*at = s;
	streams->n++;
	s->number = cshim_socket_number(fd);
	if (cshim_socket_kind(fd) != CSHIM_SOCKET_STREAM)
		s->kind = CSHIM_STREAM_DATAGRAM;
	else /* a message must not wait for the acknowledgement of the last one */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	return s;
}

/* The entry of a socket, or NULL where memory is short. */
static struct cshim_stream *find(struct cshim_streams *streams, int fd)
{
	struct cshim_stream *s;

	if (fd < 0) /* libcoap reads on after the end */
		return NULL;
	s = look_up(streams, fd);
	if (s != NULL && s->number == cshim_socket_number(fd))
		return s;
	s = add(streams, fd); /* another socket has got the descriptor */
	if (s != NULL)
		s->wire.greeted = true;
	return s;
}

void cshim_streams_belongs(struct cshim_streams *streams, const coap_session_t *session)
{
	struct cshim_stream *s = streams->last;

	if (s != NULL && s->session == NULL && s->kind != CSHIM_STREAM_DATAGRAM && !streams->foreign)
		set_session(streams, s, session);
}

/* When a connection is read from. */

/* Whether libcoap may not read from a connection for now. */
static bool holds(const struct cshim_streams *streams, const struct cshim_stream *s)
{
	if (!s->accepted || !s->wire.greeted || s->over || streams->foreign)
		return false;
	return s->stuck || (streams->limits.requests > 0 && s->handled >= s->window) || (s->eof && s->handled > 0);
}

typedef int control_function(int epfd, int op, int fd, struct epoll_event *event);

static void set_interest(struct cshim_streams *streams, struct cshim_stream *s, uint32_t more)
{
	struct epoll_event event = { .events = s->asked | more, .data.ptr = s->socket };

	if (holds(streams, s))
		event.events &= ~(uint32_t)EPOLLIN;
	if (s->socket != NULL)
		CSHIM_NEXT(control_function, epoll_ctl)(streams->epoll, EPOLL_CTL_MOD, s->fd, &event);
}

/* Has libcoap read from a connection, though epoll may not tell of it: it tells that
 * something can be written, which is so, and so the context is polled. */
static void read_again(struct cshim_streams *streams, struct cshim_stream *s)
{
	if (s->socket == NULL || s->again)
		return;
	s->again = true;
	s->next_again = streams->again;
	streams->again = s;
	set_interest(streams, s, EPOLLIN | EPOLLOUT);
}

static void end(struct cshim_streams *streams, struct cshim_stream *s)
{
	s->over = true;
	shutdown(s->fd, SHUT_RDWR); /* of which epoll tells */
	read_again(streams, s);
}

int cshim_streams_again(struct cshim_streams *streams, struct epoll_event *events, int most)
{
	struct cshim_stream *s;
	int n = 0;

	while (n < most && (s = streams->again) != NULL) {
		streams->again = s->next_again;
		s->again = false;
		set_interest(streams, s, 0);
		events[n++] = (struct epoll_event){ .events = EPOLLIN, .data.ptr = s->socket };
	}
	return n;
}

/* Goes on reading from a connection where that is possible again. */
static void release(struct cshim_streams *streams, struct cshim_stream *s, bool held)
{
	if (!held || holds(streams, s))
		return;
	set_interest(streams, s, 0);
	if (s->refused || s->kept_size > 0 || s->eof)
		read_again(streams, s);
	s->refused = false;
}

void cshim_stream_handling(struct cshim_streams *streams, const coap_session_t *session)
{
	struct cshim_stream *s = cshim_streams_of(streams, session);
	bool held;

	if (s == NULL || !s->accepted)
		return;
	held = holds(streams, s);
	s->handled++;
	if (holds(streams, s) && !held)
		set_interest(streams, s, 0);
}

bool cshim_stream_has_blocks(struct cshim_streams *streams, const coap_session_t *session)
{
	const struct cshim_stream *s = cshim_streams_of(streams, session);

	return s != NULL && s->wire.has_blocks;
}

void cshim_stream_handled(struct cshim_streams *streams, const coap_session_t *session, size_t size)
{
	struct cshim_stream *s = cshim_streams_of(streams, session);
	unsigned most = streams->limits.requests;
	bool held;

	if (s == NULL || !s->accepted)
		return;
	held = holds(streams, s);
	if (s->handled > 0)
		s->handled--;
	s->answer = size > s->answer ? size : s->answer - s->answer / 8;
	if (s->answer > 0 && streams->limits.answers / s->answer < most)
		most = streams->limits.answers / s->answer;
	s->window = s->window < most ? s->window + 1 : most > 0 ? most : 1;
	release(streams, s, held);
}

void cshim_stream_sent(struct cshim_streams *streams, const coap_session_t *session, size_t size)
{
	struct cshim_stream *s = cshim_streams_of(streams, session), *most;
	size_t i;

	if (s == NULL || !s->stuck || !s->accepted)
		return;
	set_waiting(streams, s, s->waiting + size);
	if (streams->limits.waiting > 0 && s->waiting > streams->limits.waiting)
		end(streams, s);
	if (streams->limits.all_waiting == 0 || streams->waiting <= streams->limits.all_waiting)
		return;
	for (most = s, i = 0; i < streams->buckets; i++) {
		for (s = streams->by_fd[i]; s != NULL; s = s->next)
			most = s->waiting > most->waiting && !s->over ? s : most;
	}
	end(streams, most);
}

static int sooner(int a, int64_t b)
{
	return a < 0 || b < a ? (int)b : a;
}

int cshim_streams_sweep(struct cshim_streams *streams)
{
	struct cshim_stream *s, *next;
	int64_t now, left;
	int wait = -1;
	size_t i;

	if (streams->oldest == NULL && streams->n_stuck == 0)
		return -1;
	now = milliseconds();
	for (s = streams->limits.greeting_ms > 0 ? streams->oldest : NULL; s != NULL; s = next) {
		next = s->newer;
		left = s->since + streams->limits.greeting_ms - now;
		if (left > 0) {
			wait = sooner(wait, left);
			break;
		}
		end_greeting(streams, s);
		end(streams, s);
		wait = 0;
	}
	for (i = 0; i < streams->buckets && streams->n_stuck > 0 && streams->limits.stuck_ms > 0; i++) {
		for (s = streams->by_fd[i]; s != NULL; s = s->next) {
			if (!s->stuck || !s->accepted || s->over)
				continue;
			left = s->since + streams->limits.stuck_ms - now;
			if (left <= 0)
				end(streams, s);
			wait = sooner(wait, left > 0 ? left : 0);
		}
	}
	return wait;
}

int cshim_stream_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	control_function *control = CSHIM_NEXT(control_function, epoll_ctl);
	struct cshim_streams *streams = current;
	struct cshim_stream *s = NULL;
	struct epoll_event changed;

	if (streams == NULL || streams->foreign || (op != EPOLL_CTL_DEL && event->data.ptr == NULL))
		return control(epfd, op, fd, event);
	streams->epoll = epfd;
	switch (op) {
	case EPOLL_CTL_DEL:
		s = look_up(streams, fd);
		if (s != NULL)
			drop(streams, s);
		return control(epfd, op, fd, event);
	case EPOLL_CTL_ADD:
		s = add(streams, fd);
		streams->last = s;
		if (s == NULL || s->kind == CSHIM_STREAM_DATAGRAM || streams->opening)
			break;
		s->accepted = s->greeting = true;
		s->since = milliseconds();
		s->older = streams->newest;
		*(s->older != NULL ? &s->older->newer : &streams->oldest) = s;
		streams->newest = s;
		streams->n_greeting++;
		break;
	default:
		s = look_up(streams, fd);
	}
	if (s == NULL)
		return control(epfd, op, fd, event);
	s->socket = event->data.ptr;
	s->asked = event->events;
	if (streams->limits.greeting > 0 && streams->n_greeting > streams->limits.greeting) {
		struct cshim_stream *oldest = streams->oldest;

		end_greeting(streams, oldest);
		end(streams, oldest);
	}
	changed = *event;
	if (holds(streams, s))
		changed.events &= ~(uint32_t)EPOLLIN;
	return control(epfd, op, fd, &changed);
}

typedef int wait_function(int epfd, struct epoll_event *events, int most, int timeout);

/* For those loops of libcoap that ask for the events themselves. */
int cshim_stream_epoll_wait(int epfd, struct epoll_event *events, int most, int timeout)
{
	int n = current != NULL ? cshim_streams_again(current, events, most) : 0;

	return n > 0 ? n : CSHIM_NEXT(wait_function, epoll_wait)(epfd, events, most, timeout);
}

/* Reading. */

typedef ssize_t receive_function(int fd, void *buffer, size_t size, int flags);
typedef ssize_t send_function(int fd, const void *buffer, size_t size, int flags);

static receive_function *next_receive(void)
{
	return CSHIM_NEXT(receive_function, recv);
}

static send_function *next_send(void)
{
	return CSHIM_NEXT(send_function, send);
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
	size_t size = cshim_wire_abort(&s->wire, message);
	uint8_t trash[4096];
	int i;

	if (!s->stuck && tls == NULL) {
		next_send()(s->fd, message, size, MSG_NOSIGNAL | MSG_DONTWAIT);
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

/* Reads for libcoap what it may have. Returns how many bytes, NOTHING_YET, or OVER; or what
 * the reader has returned, of which 0 is the end. tls is the session of GnuTLS, or NULL. */
static ssize_t read_some(struct cshim_streams *streams, struct cshim_stream *s, void *tls, cshim_stream_reader *reader,
			 void *from, uint8_t *buffer, size_t size, ssize_t *result)
{
	size_t have = s->kept_size < size ? s->kept_size : size, taken = 0;
	bool counts = s->accepted && !streams->foreign && streams->limits.requests > 0;
	unsigned requests = counts ? s->window - s->handled : UINT_MAX;
	ssize_t n;

	streams->last = s;
	if (s->over || s->wire.ended)
		return OVER;
	if (holds(streams, s)) {
		s->refused = true;
		return is_broken(s->fd) ? OVER : NOTHING_YET;
	}
	if (have > 0) {
		memcpy(buffer, s->kept, have);
		taken = cshim_wire_take(&s->wire, buffer, have, requests);
	}
	if (taken == 0 && s->wire.fault == CSHIM_WIRE_GOOD && !s->wire.ended && have < size) {
		n = s->eof ? 0 : reader(from, buffer + have, size - have);
		if (n == 0 && s->handled > 0) { /* it wants the answers */
			s->eof = true;
			set_interest(streams, s, 0);
			return NOTHING_YET;
		}
		if (n <= 0) {
			*result = n;
			return n == 0 ? OVER : 0;
		}
		have += n;
		taken = cshim_wire_take(&s->wire, buffer, have, requests);
	}
	if (!keep(s, buffer, taken, have))
		return OVER;
	if (s->wire.greeted)
		end_greeting(streams, s);
	if (taken == 0 && s->wire.fault != CSHIM_WIRE_GOOD)
		abort_connection(s, tls);
	if (taken == 0 && (s->wire.fault != CSHIM_WIRE_GOOD || s->wire.ended))
		return OVER;
	if (s->wire.fault != CSHIM_WIRE_GOOD || s->wire.ended || s->wire.held)
		read_again(streams, s);
	return taken > 0 ? (ssize_t)taken : NOTHING_YET;
}

struct socket {
	int fd;
};

static ssize_t read_socket(void *from, void *buffer, size_t size)
{
	return next_receive()(((struct socket *)from)->fd, buffer, size, 0);
}

ssize_t cshim_stream_receive(int fd, void *buffer, size_t size, int flags)
{
	struct cshim_streams *streams = current;
	struct socket from = { fd };
	struct cshim_stream *s;
	ssize_t n, result = 0;
	bool waiting;

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
	if (s->kind == CSHIM_STREAM_UNKNOWN)
		s->kind = in_tls ? CSHIM_STREAM_TLS : CSHIM_STREAM_COAP;
	if (s->kind == CSHIM_STREAM_TLS) {
		streams->last = s;
		return s->over ? 0 : next_receive()(fd, buffer, size, flags);
	}
	n = read_some(streams, s, NULL, read_socket, &from, buffer, size, &result);
	if (n == OVER)
		return 0;
	if (n == NOTHING_YET)
		errno = EAGAIN;
	return n != 0 ? n : result;
}

typedef int handshake_function(void *tls);

int cshim_stream_handshake(void *tls)
{
	handshake_function *next = CSHIM_NEXT(handshake_function, gnutls_handshake);
	const coap_session_t *session = cshim_streams_entered() ? cshim_tls_transport(tls) : NULL;
	const bool is_datagram = session != NULL && coap_session_get_proto(session) == COAP_PROTO_DTLS;
	bool outer = in_tls, gathered = is_datagram && cshim_flight_begin();
	const bool bound = is_datagram && !cshim_session_is_client(session);
	unsigned mtu = bound ? cshim_flight_bound(session, tls) : 0;
	int ret;

	in_tls = true;
	ret = next(tls);
	if (is_datagram)
		for (int i = 1; ret == CSHIM_TLS_AGAIN && i < CSHIM_FLIGHT_RECORDS; i++)
			ret = next(tls);
	in_tls = outer;
	if (bound)
		cshim_flight_unbound(tls, mtu);
	return is_datagram ? cshim_flight_end(gathered, ret) : ret;
}

ssize_t cshim_stream_record(const coap_session_t *session, void *tls, cshim_stream_reader *reader, void *buffer, size_t size)
{
	struct cshim_streams *streams = current;
	struct cshim_stream *s = streams != NULL ? cshim_streams_of(streams, session) : NULL;
	ssize_t n, result = 0;
	bool outer = in_tls;

	in_tls = true;
	if (s == NULL) {
		result = reader(tls, buffer, size);
		in_tls = outer;
		return result;
	}
	n = read_some(streams, s, tls, reader, tls, buffer, size, &result);
	in_tls = outer;
	return n == OVER ? 0 : n == NOTHING_YET ? TLS_AGAIN : n != 0 ? n : result;
}

/* Writing. */

void cshim_streams_gather(struct cshim_streams *streams, bool more)
{
	gathering = more ? streams : NULL;
}

void cshim_streams_push(struct cshim_streams *streams)
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
static void note(struct cshim_streams *streams, struct cshim_stream *s, ssize_t n, size_t size, int error)
{
	bool held = holds(streams, s), stuck = n < (ssize_t)size && (n >= 0 || error == EAGAIN);

	if (n > 0)
		set_waiting(streams, s, s->waiting > (size_t)n ? s->waiting - n : 0);
	if (stuck && (!s->stuck || n > 0))
		s->since = milliseconds();
	if (stuck != s->stuck)
		set_stuck(streams, s, stuck);
	release(streams, s, held);
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
static ssize_t send_next(struct cshim_stream *s, int fd, const void *buffer, size_t size, int flags)
{
	const uint8_t *bytes = buffer;
	ssize_t n;

	if (current == NULL)
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

ssize_t cshim_stream_send(int fd, const void *buffer, size_t size, int flags)
{
	struct cshim_streams *streams = current;
	struct cshim_stream *s = streams != NULL ? find(streams, fd) : NULL;
	ssize_t n = send_next(s, fd, buffer, size, flags | gather(s));
	int error = errno;

	if (s != NULL && s->kind != CSHIM_STREAM_DATAGRAM)
		note(streams, s, n, size, error);
	errno = error;
	return n;
}
