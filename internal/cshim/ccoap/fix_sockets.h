/* Mends: libcoap's file descriptors are inherited by child processes; any program can share its
 * UDP ports, and take their messages, because it sets SO_REUSEADDR; five connections wait to be
 * accepted, and where no file descriptor is left for one, its loop turns without end.
 *
 * So its calls for sockets come here (interpose.h), which also notes what kind of socket a
 * descriptor is.
 *
 * In: all versions. Until: none yet. Test: TestChildrenInheritNothing, TestNobodySharesAPort,
 * TestManyConnectionsWaitToBeAccepted, TestServerWithoutDescriptors. */
#ifndef CSHIM_FIX_SOCKETS_H
#define CSHIM_FIX_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum cshim_socket_kind {
	CSHIM_SOCKET_UNKNOWN, /* made before there was anything of ours */
	CSHIM_SOCKET_STREAM,
	CSHIM_SOCKET_LISTENER,
	CSHIM_SOCKET_DATAGRAM,
	CSHIM_SOCKET_DTLS_ENDPOINT,
};

/* A listener of which nothing is accepted for a while. */
struct cshim_paused {
	int fd;
	struct epoll_event event;
	int64_t until; /* in milliseconds */
};

/* The sockets of a context. */
struct cshim_sockets {
	void *handle; /* of the Go callbacks */
	bool dtls; /* an endpoint for DTLS is being made */
	bool exhausted; /* no descriptor was left for the last connection */
	struct cshim_paused *listeners; /* those that are paused have a time */
	size_t n_listeners;
};

/* Until cshim_fix_sockets_leave, which gets what cshim_fix_sockets_enter has returned, what this
 * thread has libcoap make is for the context. */
struct cshim_sockets *cshim_fix_sockets_enter(struct cshim_sockets *sockets);
void cshim_fix_sockets_leave(struct cshim_sockets *outer);
void cshim_fix_sockets_free(struct cshim_sockets *sockets);

/* Listens again where that was paused for long enough. Returns in how many milliseconds
 * to call again, or -1. */
int cshim_fix_sockets_resume(struct cshim_sockets *sockets, int epoll);

/* Notes that libcoap has added a descriptor to epoll. */
void cshim_fix_sockets_added(int fd, const struct epoll_event *event);

/* Another number for each socket that has a descriptor. */
uint64_t cshim_fix_socket_number(int fd);
enum cshim_socket_kind cshim_fix_socket_kind(int fd);

/* Replace the functions of these names in libcoap. */
int cshim_fix_sockets_socket(int domain, int type, int protocol);
int cshim_fix_sockets_bind(int fd, const struct sockaddr *address, socklen_t size);
int cshim_fix_sockets_listen(int fd, int backlog);
int cshim_fix_sockets_accept(int fd, struct sockaddr *address, socklen_t *size);
int cshim_fix_sockets_epoll_create1(int flags);
int cshim_fix_sockets_timerfd_create(int clock, int flags);

#endif
