#ifndef CSHIM_EMPTY_H
#define CSHIM_EMPTY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* libcoap has no callback for an acknowledgement, nor for the reset of a message
 * that was not confirmable. Who sends notifications needs both (RFC 7641, section
 * 4.5). Nor does it tell of a response that comes again, which some versions drop without a
 * word. So what libcoap reads is looked at on its way, and goCoapHeard is called for these. */

enum {
	CSHIM_HEARD_ACK = 1,
	CSHIM_HEARD_RESET,
	CSHIM_HEARD_RESPONSE, /* a confirmable one, unless libcoap answers those that come again */
	CSHIM_HEARD_LAST,     /* a request with the last block of a body that libcoap puts together */
};

struct cshim_context;

/* Until cshim_empty_leave, what this thread reads is for the context. */
void cshim_empty_enter(struct cshim_context *c);
void cshim_empty_leave(void);
/* The context, or NULL. */
struct cshim_context *cshim_empty_context(void);

/* Reports whether libcoap's calls come here. */
bool cshim_empty_works(void);

/* Replace recvmsg and gnutls_record_recv in libcoap. */
struct msghdr;
ssize_t cshim_empty_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t cshim_empty_record_recv(void *tls, void *bytes, size_t size);

/* Reports whether datagrams of a socket were read ahead. */
bool cshim_empty_waiting(int fd);
/* Receives from a connected socket. */
ssize_t cshim_empty_receive(int fd, void *buffer, size_t size);

/* Changes a datagram before libcoap sees it. One that is a signalling message is
 * rejected, for its version: those are for reliable transports (RFC 8323, section 5),
 * but libcoap obeys them on all. A request whose method libcoap does not know gets one that it
 * knows, and on_request gives it its own back. See also crossing.h. */
void cshim_empty_mend(void *bytes, size_t size);

#endif
