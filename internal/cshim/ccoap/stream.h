#ifndef CSHIM_STREAM_H
#define CSHIM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "compat.h"

/* libcoap up to 4.3.5 loses bytes when what it reads from a TCP connection ends
 * within the header of a message (RFC 8323, section 3.2), and then understands
 * nothing any more: that happens when messages come so fast that they fill its
 * buffer. So its calls of recv come here (interpose.h), which keeps the start of a header back
 * until the rest is there. Nor does it set TCP_NODELAY: without that a message waits
 * for the acknowledgement of the last one, 40 ms and more. */

/* What is known of a connection. */
struct cshim_stream {
	bool known;
	uint64_t number; /* of the socket, see sockets.h */
	enum { CSHIM_STREAM_UNKNOWN, CSHIM_STREAM_COAP, CSHIM_STREAM_OTHER, CSHIM_STREAM_DATAGRAM } kind;
	uint64_t remaining; /* bytes of the message after its header */
	bool corked; /* what was sent last waits for more */
	size_t kept_size;
	uint8_t kept[8];
#ifdef CSHIM_SENDS_WRONG_REST
	const uint8_t *sending; /* a message of which a part is sent */
	size_t sending_size, sent;
#endif
};

/* The connections of a context by their file descriptor. */
struct cshim_streams {
	struct cshim_stream *by_fd;
	size_t size;
	size_t corked; /* about how many of them are */
};

/* Until cshim_streams_leave, the calls of recv and send by this thread are those
 * of libcoap. */
void cshim_streams_enter(struct cshim_streams *streams);
void cshim_streams_leave(void);
bool cshim_streams_entered(void);
void cshim_streams_free(struct cshim_streams *streams);

/* Until more is false again, what libcoap sends over a connection waits for what
 * follows, so that many messages leave in one segment. cshim_streams_push sends what
 * still waits. */
void cshim_streams_gather(struct cshim_streams *streams, bool more);
void cshim_streams_push(struct cshim_streams *streams);

/* Divides what has come over a connection: returns how many bytes of it libcoap may
 * have. The others, the start of a header, are kept for the next time. */
size_t cshim_stream_divide(struct cshim_stream *s, const uint8_t *bytes, size_t size);

/* How many calls of recv came here from libcoap. */
uint64_t cshim_stream_calls(void);

/* Replace recv and send in libcoap. */
ssize_t cshim_stream_receive(int fd, void *buffer, size_t size, int flags);
ssize_t cshim_stream_send(int fd, const void *buffer, size_t size, int flags);

#endif
