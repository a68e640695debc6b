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
