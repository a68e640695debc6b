/* Mends: libcoap reads from a connection as long as there is something, queues what the connection
 * does not take, and bounds neither connections nor their time. So what it does with connections
 * (interpose.h) goes through the files fix_stream_…: this one knows the connections, _flow says
 * when they are read from and ended, _read what libcoap gets of them, and _send what it sends.
 *
 * - fix_wire.h says what libcoap may have of what has come. The rest is kept. What may not
 *   come is answered with an Abort (RFC 8323, section 5.6), and the connection ends.
 * - A connection that a peer has made is not read from while it takes nothing, nor while
 *   so many of its requests are being handled as may be, or fewer where the answers are large.
 *   Where it takes nothing for long, or too much waits, it is ended.
 * - A peer that has sent all that it will is answered before the connection ends.
 * - Connections whose peer has not sent its capabilities are bounded in number and time.
 * - TCP_NODELAY is set: without that a message waits for the acknowledgement of the last
 *   one, 40 ms and more.
 *
 * A connection is known from when libcoap adds its socket to epoll, until it takes it
 * out, by the number of that socket (fix_sockets.h). In a context of a C program libcoap may
 * do that elsewhere: there all are read from at any time.
 *
 * In: all versions. Until: none yet. Test: TestConnectionThatIsNotReadIsNotReadFrom,
 * TestConnectionThatTakesNothingIsEnded, TestSilentConnectionsAreBounded,
 * TestClientThatHasSentAllIsAnswered. */
#ifndef CSHIM_FIX_STREAM_TABLE_H
#define CSHIM_FIX_STREAM_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include "compat.h"
#include "fix_wire.h"

/* What connections that peers have made may do. 0: anything. */
struct cshim_stream_limits {
	unsigned requests;	/* that are handled at once */
	size_t answers;		/* bytes that the answers to them may have */
	size_t waiting;		/* bytes that wait to be taken, of one connection */
	size_t all_waiting;	/* and of all of a context */
	unsigned greeting;	/* connections whose peer has not sent its capabilities */
	int64_t greeting_ms;	/* in which they must come */
	int64_t stuck_ms;	/* in which something that waits must be taken */
};

/* What is known of a connection. */
struct cshim_stream {
	struct cshim_stream *next;	   /* of those with the same hash */
	struct cshim_stream *next_session; /* the same for the sessions */
	struct cshim_stream *older, *newer; /* among those that have yet to greet */
	struct cshim_stream *next_again, *next_corked;
	int fd;
	uint64_t number; /* of the socket, see fix_sockets.h */
	void *socket;	/* what libcoap has added with it */
	uint32_t asked; /* the events that libcoap wants */
	const coap_session_t *session; /* or NULL while it is not known */
	enum { CSHIM_STREAM_UNKNOWN, CSHIM_STREAM_COAP, CSHIM_STREAM_TLS, CSHIM_STREAM_DATAGRAM } kind;
	bool accepted, greeting, over, eof, refused;
	bool again, corked; /* is in the list */
	bool stuck; /* it has not taken what was sent last, or not all of it */
	unsigned handled, window; /* requests */
	size_t answer;	/* the size of large answers */
	size_t waiting; /* bytes to be taken, about */
	int64_t since;	/* in milliseconds: it was accepted, or took something last */
	struct cshim_wire wire;
	uint8_t *kept; /* what has come and libcoap may not have yet */
	size_t kept_size;
#ifdef CSHIM_SENDS_WRONG_REST
	const uint8_t *sending; /* a message of which a part is sent */
	size_t sending_size, sent;
#endif
};

/* The connections of a context. */
struct cshim_streams {
	struct cshim_stream **by_fd, **by_session;
	size_t buckets, n;
	int epoll;
	bool foreign; /* of a C program, or epoll_ctl is not replaced */
	bool opening; /* a client's is being made */
	uint32_t most; /* bytes in a message; 0: the default */
	struct cshim_stream_limits limits;
	unsigned n_greeting, n_stuck;
	size_t waiting;
	struct cshim_stream *oldest, *newest; /* that have yet to greet */
	struct cshim_stream *again; /* to be read from without an event */
	struct cshim_stream *corked;
	struct cshim_stream *last; /* that libcoap has added or read from */
};

/* Until cshim_fix_streams_leave, which gets what cshim_fix_streams_enter has returned, the calls by
 * this thread are those of libcoap for this context. */
struct cshim_streams *cshim_fix_streams_enter(struct cshim_streams *streams);
void cshim_fix_streams_leave(struct cshim_streams *outer);
/* The connections in between, else NULL. */
struct cshim_streams *cshim_fix_streams_current(void);
void cshim_fix_streams_free(struct cshim_streams *streams);

/* Notes that the connection that libcoap has added or read from last is of a session. */
void cshim_fix_streams_belongs(struct cshim_streams *streams, const coap_session_t *session);
struct cshim_stream *cshim_fix_streams_of(struct cshim_streams *streams,
					  const coap_session_t *session);

/* Whether the peer has said that it does block-wise transfers (RFC 8323, section 5.3.2). */
bool cshim_fix_stream_has_blocks(struct cshim_streams *streams, const coap_session_t *session);

/* How many bytes are taken for what is known of the connections. */
size_t cshim_fix_streams_size(const struct cshim_streams *streams);

/* For the other files of this topic. An entry is found by its socket and made where there is
 * none; look_up does not make one. NULL where memory is short. */
struct cshim_stream *cshim_fix_stream_look_up(const struct cshim_streams *streams, int fd);
struct cshim_stream *cshim_fix_stream_find(struct cshim_streams *streams, int fd);
/* Makes an entry for a socket, in place of what had its number before. */
struct cshim_stream *cshim_fix_stream_add(struct cshim_streams *streams, int fd);
void cshim_fix_stream_drop(struct cshim_streams *streams, struct cshim_stream *s);
/* It is not among those any more that have yet to greet. */
void cshim_fix_stream_end_greeting(struct cshim_streams *streams, struct cshim_stream *s);
/* How many bytes wait to be taken, about; and whether any do. */
void cshim_fix_stream_set_waiting(struct cshim_streams *streams, struct cshim_stream *s,
				  size_t waiting);
void cshim_fix_stream_set_stuck(struct cshim_streams *streams, struct cshim_stream *s, bool stuck);

#endif
