/* Mends: libcoap reads from a connection as long as there is something, whether its peer takes the
 * answers or not. This says when a connection is read from, and when it is ended:
 * fix_stream_table.h.
 *
 * In: all versions. Until: none yet. Test: TestConnectionThatIsNotReadIsNotReadFrom,
 * TestSilentConnectionsEnd. */
#ifndef CSHIM_FIX_STREAM_FLOW_H
#define CSHIM_FIX_STREAM_FLOW_H

#include "fix_stream_table.h"

/* Events for connections to be read from, of which epoll does not tell. Returns their
 * number. */
int cshim_fix_streams_again(struct cshim_streams *streams, struct epoll_event *events, int most);

/* Ends what is too old. Returns in how many milliseconds it must be called again: -1: it
 * need not. */
int cshim_fix_streams_sweep(struct cshim_streams *streams);

/* A request was handed on; it was answered with a message of a size, or not at all. */
void cshim_fix_stream_handling(struct cshim_streams *streams, const coap_session_t *session);
void cshim_fix_stream_handled(struct cshim_streams *streams, const coap_session_t *session,
			      size_t size);

/* A message of a size was given to libcoap. */
void cshim_fix_stream_sent(struct cshim_streams *streams, const coap_session_t *session,
			   size_t size);

/* Whether libcoap may not read from a connection for now. */
bool cshim_fix_stream_holds(const struct cshim_streams *streams, const struct cshim_stream *s);
/* Has epoll tell of what libcoap may read, and of more. */
void cshim_fix_stream_set_interest(struct cshim_streams *streams, struct cshim_stream *s,
				   uint32_t more);
/* Has libcoap read from a connection, though epoll may not tell of it: it tells that
 * something can be written, which is so, and so the context is polled. */
void cshim_fix_stream_read_again(struct cshim_streams *streams, struct cshim_stream *s);
/* Goes on reading from a connection, which was held, where that is possible again. */
void cshim_fix_stream_release(struct cshim_streams *streams, struct cshim_stream *s, bool held);

/* Replace the functions of these names in libcoap. */
int cshim_fix_stream_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
int cshim_fix_stream_epoll_wait(int epfd, struct epoll_event *events, int most, int timeout);

#endif
