#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "_cgo_export.h"
#include "clock.h"
#include "fix_sockets.h"
#include "interpose.h"

static __thread struct cshim_sockets *current;

struct cshim_sockets *cshim_fix_sockets_enter(struct cshim_sockets *sockets)
{
	struct cshim_sockets *outer = current;

	current = sockets;
	return outer;
}

void cshim_fix_sockets_leave(struct cshim_sockets *outer)
{
	current = outer;
}

void cshim_fix_sockets_free(struct cshim_sockets *sockets)
{
	free(sockets->listeners);
}

/* What is known of a descriptor: its number, and in the lowest bits the kind. All
 * contexts share this, as they share the descriptors. */
enum { KIND_BITS = 3, CHUNK = 4096, CHUNKS = 256 };
static uint64_t *chunks[CHUNKS];
static uint64_t last_number;

static uint64_t *entry(int fd, bool make)
{
	uint64_t **chunk, *made, *none = NULL;

	if (fd < 0 || fd >= CHUNK * CHUNKS)
		return NULL;
	chunk = &chunks[fd / CHUNK];
	if (make && __atomic_load_n(chunk, __ATOMIC_ACQUIRE) == NULL) {
		made = calloc(CHUNK, sizeof(*made));
		if (!__atomic_compare_exchange_n(chunk, &none, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			free(made);
	}
	made = __atomic_load_n(chunk, __ATOMIC_ACQUIRE);
	return made == NULL ? NULL : &made[fd % CHUNK];
}

static int note(int fd, enum cshim_socket_kind kind)
{
	uint64_t *e = entry(fd, true);

	if (e != NULL)
		__atomic_store_n(e, __atomic_add_fetch(&last_number, 1, __ATOMIC_RELAXED) << KIND_BITS | kind,
				 __ATOMIC_RELAXED);
	return fd;
}

uint64_t cshim_fix_socket_number(int fd)
{
	const uint64_t *e = entry(fd, false);

	return e == NULL ? 0 : __atomic_load_n(e, __ATOMIC_RELAXED) >> KIND_BITS;
}

enum cshim_socket_kind cshim_fix_socket_kind(int fd)
{
	const uint64_t *e = entry(fd, false);
	enum cshim_socket_kind kind = e == NULL ? CSHIM_SOCKET_UNKNOWN :
						  __atomic_load_n(e, __ATOMIC_RELAXED) & ((1 << KIND_BITS) - 1);
	int type = 0;
	socklen_t n = sizeof(type);

	if (kind != CSHIM_SOCKET_UNKNOWN)
		return kind;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) != 0)
		return CSHIM_SOCKET_UNKNOWN;
	return type == SOCK_STREAM ? CSHIM_SOCKET_STREAM : CSHIM_SOCKET_DATAGRAM;
}

int cshim_fix_sockets_socket(int domain, int type, int protocol)
{
	enum cshim_socket_kind kind =
		(type & SOCK_STREAM) != 0 ? CSHIM_SOCKET_STREAM : CSHIM_SOCKET_DATAGRAM;
	typedef int function(int domain, int type, int protocol);
	int flags = current == NULL ? 0 : SOCK_CLOEXEC;

	if (current != NULL && current->dtls)
		kind = CSHIM_SOCKET_DTLS_ENDPOINT;
	return note(CSHIM_NEXT(function, socket)(domain, type | flags, protocol), kind);
}

/* A server that starts again must have the port of connections that have just ended, and
 * for those the option has that meaning alone. */
int cshim_fix_sockets_bind(int fd, const struct sockaddr *address, socklen_t size)
{
	typedef int function(int fd, const struct sockaddr *address, socklen_t size);

	if (current != NULL && cshim_fix_socket_kind(fd) != CSHIM_SOCKET_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 0 }, sizeof(int));
	return CSHIM_NEXT(function, bind)(fd, address, size);
}

int cshim_fix_sockets_listen(int fd, int backlog)
{
	typedef int function(int fd, int backlog);

	if (current != NULL)
		note(fd, CSHIM_SOCKET_LISTENER);
	return CSHIM_NEXT(function, listen)(fd, current == NULL ? backlog : SOMAXCONN);
}

int cshim_fix_sockets_epoll_create1(int flags)
{
	typedef int function(int flags);

	return CSHIM_NEXT(function, epoll_create1)(current == NULL ? flags : flags | EPOLL_CLOEXEC);
}

int cshim_fix_sockets_timerfd_create(int clock, int flags)
{
	typedef int function(int clock, int flags);

	return CSHIM_NEXT(function, timerfd_create)(clock, current == NULL ? flags : flags | TFD_CLOEXEC);
}

static struct cshim_paused *listener(int fd)
{
	size_t i;

	for (i = 0; current != NULL && i < current->n_listeners; i++) {
		if (current->listeners[i].fd == fd)
			return &current->listeners[i];
	}
	return NULL;
}

void cshim_fix_sockets_added(int fd, const struct epoll_event *event)
{
	struct cshim_paused *l;

	if (current == NULL || cshim_fix_socket_kind(fd) != CSHIM_SOCKET_LISTENER)
		return;
	l = realloc(current->listeners, (current->n_listeners + 1) * sizeof(*l));
	if (l != NULL) {
		current->listeners = l;
		l[current->n_listeners++] = (struct cshim_paused){ .fd = fd, .event = *event };
	}
}

static void pause_listener(struct cshim_paused *l)
{
	const unsigned pause = 100;
	int error = errno;

	l->until = cshim_milliseconds() + pause;
	if (!current->exhausted)
		goCoapExhausted(current->handle, error);
	current->exhausted = true;
	errno = error;
}

int cshim_fix_sockets_accept(int fd, struct sockaddr *address, socklen_t *size)
{
	typedef int function(int fd, struct sockaddr *address, socklen_t *size);
	struct cshim_paused *l = listener(fd);
	int accepted;

	if (current == NULL)
		return note(CSHIM_NEXT(function, accept)(fd, address, size), CSHIM_SOCKET_STREAM);
	accepted = accept4(fd, address, size, SOCK_CLOEXEC);
	if (accepted >= 0)
		current->exhausted = false;
	else if (l != NULL && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
		pause_listener(l);
	return note(accepted, CSHIM_SOCKET_STREAM);
}

int cshim_fix_sockets_resume(struct cshim_sockets *sockets, int epoll)
{
	int64_t now = 0;
	int next = -1;
	size_t i;

	for (i = 0; i < sockets->n_listeners; i++) {
		struct cshim_paused *l = &sockets->listeners[i];
		struct epoll_event event = l->event;

		if (l->until == 0)
			continue;
		if (now == 0)
			now = cshim_milliseconds();
		if (l->until <= now)
			l->until = 0;
		else
			event.events = 0;
		epoll_ctl(epoll, EPOLL_CTL_MOD, l->fd, &event);
		if (l->until != 0 && (next < 0 || l->until - now < next))
			next = l->until - now;
	}
	return next;
}
