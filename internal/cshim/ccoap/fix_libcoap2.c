//go:build libcoap2

/* Mends what libcoap 4.2.1 alone does wrong: confirmable messages that the peer's host refuses are
 * sent to the end; a TLS session is used before it is made; NSTART is 1; a DTLS flight is sent
 * again after 5 s; handshakes that are over are started again; and the end of a session reads on.
 * compat.h declares it.
 *
 * In: 4.2.1. Until: 4.3.1. Test: TestNobodyThereIsTheOutcome,
 * TestContextEndsARequestAndItsLateAnswerIsDropped, TestHandshakeSurvivesLoss. */

#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "identity.h"
#include "interpose.h"
#include "session.h"

/* A confirmable message that the peer's host refuses would be sent again and
 * again: libcoap tells nobody. */
static ssize_t read_network(coap_socket_t *sock, coap_packet_t *packet)
{
	const ssize_t refused = -2;
	ssize_t n = coap_network_read(sock, packet);
	coap_session_t *session = sock->session;

	if (n == refused && session != NULL && session->proto == COAP_PROTO_UDP)
		coap_cancel_session_messages(session->context, session, COAP_NACK_ICMP_ISSUE);
	return n;
}

void cshim_fix_libcoap2_hooks(coap_context_t *ctx)
{
	ctx->network_read = read_network;
}

static __thread const coap_session_t *connected;

/* libcoap uses what it makes here too early where the server is so fast that the
 * handshake is over at once. */
int cshim_fix_libcoap2_must_wait(int fd)
{
	return connected != NULL && connected->sock.fd == fd && connected->tls == NULL &&
	       connected->proto == COAP_PROTO_TLS;
}

void cshim_fix_libcoap2_do_events(coap_context_t *ctx)
{
	connected = NULL;
	coap_run_once(ctx, COAP_RUN_NONBLOCK);
	connected = NULL;
}

/* libcoap would still wait for it to be writable, and never wait then. */
void cshim_fix_libcoap2_connected(coap_session_t *session)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = &session->sock };

	connected = session;
	epoll_ctl(coap_context_get_coap_fd(session->context), EPOLL_CTL_MOD, session->sock.fd, &event);
}

/* libcoap sends a confirmable message while con_active is 0, and one that waits
 * when it becomes 0. */
void cshim_fix_libcoap2_before_send(coap_session_t *session, unsigned nstart)
{
	unsigned active = 0;

	if (nstart == 0)
		nstart = COAP_DEFAULT_NSTART;
	if (COAP_PROTO_RELIABLE(session->proto))
		return;
	for (coap_queue_t *q = session->context->sendqueue; q != NULL; q = q->next)
		active += q->session == session;
	session->con_active = active >= nstart;
}

int cshim_fix_libcoap2_set_hops(coap_session_t *session, int hops)
{
	const bool ipv4 = session->addr_info.remote.addr.sa.sa_family == AF_INET;

	return setsockopt(session->sock.fd, ipv4 ? IPPROTO_IP : IPPROTO_IPV6,
			  ipv4 ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS, &hops, sizeof(hops)) == 0;
}

typedef void timeouts_function(void *tls, unsigned retransmission, unsigned total);

/* libcoap has DTLS send a message again after 5 s. Later versions do so after 1 s. */
void cshim_fix_libcoap2_timeouts(void *tls, unsigned retransmission, unsigned total)
{
	const unsigned too_long = 5000, better = 1000;

	CSHIM_NEXT(timeouts_function, gnutls_dtls_set_timeouts)
	(tls, retransmission == too_long ? better : retransmission, total);
}

typedef unsigned timeout_function(void *tls);

/* libcoap starts a handshake whenever this is 0, also when the last one is over. While it is 0 it
 * does so again and again, and gives up: it stays 0 for a server that has a part of what the
 * client sends. */
unsigned cshim_fix_libcoap2_timeout(void *tls)
{
	const unsigned day = 24 * 60 * 60 * 1000;
	const coap_session_t *session =
		cshim_fix_streams_current() != NULL ? cshim_ext_tls_transport(tls) : NULL;
	unsigned timeout;
	coap_tick_t now, next;

	if (session != NULL && session->state == COAP_SESSION_STATE_ESTABLISHED)
		return day;
	timeout = CSHIM_NEXT(timeout_function, gnutls_dtls_get_timeout)(tls);
	if (timeout > 0 || session == NULL || session->type == COAP_SESSION_TYPE_CLIENT)
		return timeout;
	coap_ticks(&now);
	next = session->last_rx_tx + (session->dtls_timeout_count + 1) * COAP_TICKS_PER_SECOND;
	return next > now ? (next - now) * 1000 / COAP_TICKS_PER_SECOND : 0;
}

typedef int bye_function(void *tls, int how);

/* libcoap reads on when it ends a session, and forgets the alert that it ended for. */
int cshim_fix_libcoap2_bye(void *tls, int how)
{
	const int write_only = 1; /* GNUTLS_SHUT_WR */
	const bool ours = cshim_fix_streams_current() != NULL;

	return CSHIM_NEXT(bye_function, gnutls_bye)(tls, ours ? write_only : how);
}

void *cshim_session_tls(const coap_session_t *session)
{
	return session->tls == NULL
		       ? NULL
		       : *(void **)session->tls; /* the first field of coap_gnutls_env_t */
}

/* Moves a text to a file, which has no name, and puts the file's path in its place. */
static bool to_file(char **text, int *file)
{
	size_t size, done = 0;
	char *path = NULL;
	ssize_t n = 0;
	int fd;

	if (*text == NULL)
		return true;
	size = strlen(*text);
	fd = memfd_create("gnucoap", MFD_CLOEXEC);
	if (fd >= 0) {
		*file = fd + 1;
		while (done < size && (n = write(fd, *text + done, size - done)) > 0)
			done += n;
		if (done < size || asprintf(&path, "/proc/self/fd/%d", fd) < 0)
			path = NULL;
	}
	cshim_wipe(*text, size);
	*text = path;
	return path != NULL;
}

bool cshim_key_load(struct cshim_key *key)
{
	return to_file(&key->chain, &key->files[0]) && to_file(&key->key, &key->files[1]) &&
	       to_file(&key->ca, &key->files[2]);
}
