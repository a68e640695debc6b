#include <sys/epoll.h>

#include "_cgo_export.h"
#include "ext_datagram.h"
#include "fix_cookie.h"
#include "fix_stream_flow.h"
#include "polling.h"
#include "session.h"

/* What a server does in one poll before somebody else may have the context. */
enum { ROUNDS = 16 };

/* Deals with the connections that came since the last call. */
static void check_accepted(cshim_context *c)
{
	struct cshim_streams *outer = cshim_fix_streams_enter(&c->streams);
	coap_session_t *session;
	void *tls;

	while (c->n_accepted > 0) {
		session = c->accepted[--c->n_accepted];
		tls = cshim_session_tls(session);
		if (tls != NULL && !goCoapAccepted(c->handle, tls))
			coap_session_disconnected(session, COAP_NACK_TLS_FAILED);
		coap_session_release(session);
	}
	cshim_fix_streams_leave(outer);
}

/* Has libcoap read what was read ahead, from the socket of an event. */
static void read_rest(cshim_context *c, const struct epoll_event *event)
{
	struct epoll_event events[CSHIM_DATAGRAMS];
	unsigned i, n = cshim_ext_datagrams_waiting(&c->datagrams);

	if (n == 0)
		return;
	for (i = 0; i < n; i++) {
		events[i] = *event;
		events[i].events = EPOLLIN;
	}
	CSHIM_DO_EVENTS(c->ctx, events, n);
	cshim_ext_datagrams_drop(&c->datagrams); /* of a session that is over */
}

int cshim_context_poll(cshim_context *c)
{
	struct epoll_event events[CSHIM_EVENTS];
	struct cshim_sockets *sockets;
	struct cshim_streams *streams;
	cshim_context *outer;
	int fd = coap_context_get_coap_fd(c->ctx);
	int i, most, again, sweep, n = 0;
	unsigned next;
	coap_tick_t now;

	c->stop = false;
	again = cshim_fix_sockets_resume(&c->sockets, fd);
	for (i = 0; i < ROUNDS && !c->stop; i++) {
		most = c->connecting > 0 ? 1 : CSHIM_EVENTS;
		n = epoll_wait(fd, events, most, 0);
		if (n <= 0)
			break;
		sockets = cshim_fix_sockets_enter(&c->sockets);
		streams = cshim_fix_streams_enter(&c->streams);
		cshim_reading_enter(c);
		outer = cshim_ext_tls_enter(c);
		cshim_ext_datagrams_begin(&c->datagrams, CSHIM_DIVIDED && n == 1 && n < most);
		CSHIM_DO_EVENTS(c->ctx, events, n);
		read_rest(c, &events[0]);
		while (!c->stop && c->streams.again != NULL) {
			n = CSHIM_DIVIDED ? cshim_fix_streams_again(&c->streams, events, most) : 0;
			CSHIM_DO_EVENTS(c->ctx, events, n);
		}
		cshim_ext_tls_leave(outer);
		cshim_reading_leave();
		cshim_fix_streams_leave(streams);
		cshim_fix_sockets_leave(sockets);
		again = cshim_fix_sockets_resume(&c->sockets, fd);
		cshim_fix_cookie_settle(c);
		if (c->stop)
			cshim_session_secured(c);
		check_accepted(c);
		if (c->datagrams.drained)
			break;
	}
	if (n > 0 && !c->datagrams.drained)
		return 0;
	coap_ticks(&now);
	streams = cshim_fix_streams_enter(&c->streams);
	outer = cshim_ext_tls_enter(c);
	next = coap_io_prepare_epoll(c->ctx, now);
	cshim_ext_tls_leave(outer);
	cshim_fix_streams_leave(streams);
	sweep = cshim_fix_streams_sweep(&c->streams);
	/* The clock that libcoap reads goes in milliseconds. */
	next = next == 0 ? UINT32_MAX : next + 1;
	if (again >= 0 && (unsigned)again < next)
		next = again + 1;
	if (sweep >= 0 && (unsigned)sweep < next)
		next = c->streams.again != NULL ? 0 : sweep + 1;
	return next == UINT32_MAX ? -1 : next >= INT32_MAX ? INT32_MAX : (int)next;
}

#ifdef CSHIM_HAVE_ADOPTION

int cshim_context_process(cshim_context *c)
{
	struct cshim_sockets *sockets = cshim_fix_sockets_enter(&c->sockets);
	struct cshim_streams *outer;
	int result;

	c->adoption->processing = true;
	outer = cshim_fix_streams_enter(&c->streams);
	cshim_reading_enter(c);
	cshim_ext_datagrams_begin(&c->datagrams, false);
	result = coap_io_process(c->ctx, COAP_IO_NO_WAIT);
	cshim_reading_leave();
	cshim_fix_streams_leave(outer);
	cshim_fix_sockets_leave(sockets);
	c->adoption->processing = false;
	check_accepted(c);
	return result;
}

#endif
