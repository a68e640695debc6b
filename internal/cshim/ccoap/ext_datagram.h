#ifndef CSHIM_EXT_DATAGRAM_H
#define CSHIM_EXT_DATAGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* libcoap reads one datagram a call, and looks for events and sets its timer for
 * each. So its calls of recv and recvmsg come here, where one system call reads many;
 * libcoap is told of the event once for each of them. */

enum { CSHIM_DATAGRAMS = 16, CSHIM_DATAGRAM_SIZE = 2048 };

struct cshim_datagram {
	size_t size;
	socklen_t name_size;
	size_t control_size;
	int flags;
	struct sockaddr_storage name;
	uint8_t control[64];
	uint8_t bytes[CSHIM_DATAGRAM_SIZE];
};

/* The datagrams of one socket that are read ahead. */
struct cshim_datagrams {
	bool ahead;   /* only one socket is readable: its datagrams may be read ahead */
	bool drained; /* the socket had no more */
	int fd;
	unsigned next, count; /* those that libcoap has yet to read */
	struct cshim_datagram *read;
};

/* Begins to read what one event tells of. Only if ahead more is read than libcoap
 * asks for. */
void cshim_ext_datagrams_begin(struct cshim_datagrams *d, bool ahead);
/* How many datagrams wait for libcoap. */
unsigned cshim_ext_datagrams_waiting(const struct cshim_datagrams *d);
/* Drops them. */
void cshim_ext_datagrams_drop(struct cshim_datagrams *d);
void cshim_ext_datagrams_free(struct cshim_datagrams *d);

/* Do what recvmsg does. */
typedef ssize_t cshim_receive_message(int fd, struct msghdr *message, int flags);
ssize_t cshim_ext_datagrams_receive(struct cshim_datagrams *d, int fd, struct msghdr *message,
				cshim_receive_message *receive);

#endif
