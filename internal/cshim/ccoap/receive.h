#ifndef CSHIM_RECEIVE_H
#define CSHIM_RECEIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* What libcoap reads comes here, and is given to all that want to look at it: of connections
 * fix_stream_read.h; of datagrams ext_datagram.h, ext_heard.h, fix_cookie.h and fix_datagram.h. */

/* Replace recv, recvmsg, gnutls_record_recv and gnutls_handshake in libcoap. */
ssize_t cshim_receive_recv(int fd, void *buffer, size_t size, int flags);
ssize_t cshim_receive_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t cshim_receive_record(void *tls, void *bytes, size_t size);
int cshim_receive_handshake(void *tls);

/* How many calls of recv came here from libcoap. */
uint64_t cshim_receive_calls(void);

/* Reports whether libcoap's calls for datagrams come here. */
bool cshim_receive_works(void);

#endif
