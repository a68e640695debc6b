/* Mends: where a connection takes a part of a message libcoap 4.2.1 sends the wrong rest, and it
 * raises SIGPIPE for one that has ended. This also notes what a connection does not take, for
 * fix_stream_flow.h, and extends libcoap: messages that follow one another leave in one segment.
 *
 * In: 4.2.1; the rest: all versions. Until: 4.3.1; the rest: none yet. Test:
 * TestMessagesThatGoOutInParts, TestMessagesDoNotWaitForOneAnother. */
#ifndef CSHIM_FIX_STREAM_SEND_H
#define CSHIM_FIX_STREAM_SEND_H

#include "fix_stream_table.h"

/* Until more is false again, what libcoap sends over a connection waits for what
 * follows, so that many messages leave in one segment. cshim_fix_streams_push sends what
 * still waits. */
void cshim_fix_streams_gather(struct cshim_streams *streams, bool more);
void cshim_fix_streams_push(struct cshim_streams *streams);

/* Replaces send in libcoap. */
ssize_t cshim_fix_stream_send(int fd, const void *buffer, size_t size, int flags);

#endif
