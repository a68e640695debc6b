#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "_cgo_export.h"
#include "context.h"
#include "debug.h"
#include "empty.h"
#include "interpose.h"
#include "session.h"

/* What a server does in one poll before somebody else may have the context. */
enum { ROUNDS = 16 };

void cshim_library_init(void)
{
	coap_startup();
	/* libcoap formats its messages in static buffers, without a lock. */
	cshim_log_nothing();
}

cshim_context *cshim_context_of(const coap_session_t *session)
{
	coap_context_t *ctx = coap_session_get_context(session);
	cshim_context *c = cshim_adoption_any() ? cshim_adoption_find(ctx) : NULL;

	return c != NULL ? c : coap_get_app_data(ctx);
}

/* Gives a session its number, and takes a reference to it. */
static uint64_t number(cshim_context *c, coap_session_t *session)
{
	uint64_t id = ++c->last_session;

	cshim_session_set_id(session, id);
	coap_session_reference(session);
	return id;
}

/* Every request comes here. It is answered later: libcoap sends no response that
 * is non-confirmable and empty. */
void cshim_on_request(coap_session_t *session, const coap_pdu_t *request, coap_pdu_t *response)
{
	cshim_context *c = cshim_context_of(session);
	struct cshim_message m;
	uint64_t id = cshim_session_id(session);
	bool is_new = id == 0;

	coap_pdu_set_type(response, COAP_MESSAGE_NON);
	if (!cshim_message_read(request, &m, &c->options))
		return;
	if (coap_session_get_proto(session) < COAP_PROTO_TCP) {
		if (c->method != 0)
			m.code = c->method;
		c->method = 0;
		m.odd = c->odd;
	}
	if (is_new)
		id = number(c, session);
	cshim_streams_belongs(&c->streams, session);
	cshim_stream_handling(&c->streams, session);
	goCoapRequest(c->handle, id, session, is_new, coap_is_mcast(coap_session_get_addr_local(session)), &m);
}

CSHIM_ON_REQUEST(on_request, session, request, response)
{
	cshim_on_request(session, request, response);
}

CSHIM_ON_RESPONSE(on_response, session, received)
{
	cshim_context *c = cshim_context_of(session);
	struct cshim_message m;

	if (!cshim_message_read(received, &m, &c->options))
		CSHIM_ACCEPT_RESPONSE;
	if (coap_session_get_proto(session) < COAP_PROTO_TCP)
		m.odd = c->odd;
	if (goCoapResponse(c->handle, cshim_session_id(session), &m))
		CSHIM_ACCEPT_RESPONSE;
	CSHIM_PASS_RESPONSE(c, session, received);
	if (m.type == COAP_MESSAGE_ACK) /* it is rejected without a word (RFC 7252, section 4.2) */
		CSHIM_ACCEPT_RESPONSE;
	CSHIM_REJECT_RESPONSE;
}

CSHIM_ON_NACK(on_nack, session, sent, reason)
{
	cshim_context *c = cshim_context_of(session);
	struct cshim_message m;

	if (sent != NULL && cshim_message_read(sent, &m, &c->options) &&
	    goCoapNack(c->handle, cshim_session_id(session), reason, &m))
		return;
	CSHIM_PASS_NACK(c, session, sent, reason);
}

/* A Ping over a reliable transport. libcoap's own Pong, which follows, lacks the
 * token (RFC 8323, section 5.4). */
CSHIM_ON_PING(on_ping, session, received)
{
	cshim_token token = coap_pdu_get_token(received);
	struct cshim_message pong = {
		.type = COAP_MESSAGE_CON,
		.code = COAP_SIGNALING_CODE_PONG,
		.token = token.s,
		.token_size = token.length,
	};
	coap_pdu_t *pdu;

	CSHIM_PASS_PING(ping, session, received);
	if (token.length == 0)
		return;
	pdu = cshim_message_make(session, &pong);
	if (pdu != NULL)
		coap_send(session, pdu);
}

CSHIM_ON_PING(on_pong, session, received)
{
	goCoapPong(cshim_context_of(session)->handle, cshim_session_id(session));
	CSHIM_PASS_PING(pong, session, received);
}

static void tell_unfinished(cshim_context *c, const coap_session_t *session)
{
	struct cshim_address peer;

	cshim_address_from(coap_session_get_addr_remote(session), &peer);
	goCoapUnfinished(c->handle, coap_session_get_proto(session), &peer);
}

CSHIM_ON_EVENT(on_event, session, event)
{
	cshim_context *c = cshim_context_of(session);
	uint64_t id = cshim_session_id(session);

	if (id == 0 && coap_session_get_type(session) == COAP_SESSION_TYPE_CLIENT)
		id = c->new_client;
	if (event == COAP_EVENT_TCP_CONNECTED && coap_session_get_type(session) == COAP_SESSION_TYPE_CLIENT &&
	    c->adoption == NULL) {
		c->tls.connected = id;
		CSHIM_CONNECTED(session);
		cshim_session_connected(c, session);
		c->stop = true;
	}
	if (event == CSHIM_EVENT_ACCEPTED && c->adoption == NULL && !cshim_session_is_client(session) &&
	    coap_session_get_proto(session) == COAP_PROTO_DTLS)
		cshim_session_set_max_retransmit(session, CSHIM_SERVER_RETRANSMITS);
	if (event == CSHIM_EVENT_ACCEPTED && !cshim_session_is_client(session) &&
	    coap_session_get_proto(session) >= COAP_PROTO_TCP)
		cshim_streams_belongs(&c->streams, session);
	if (event == CSHIM_EVENT_ACCEPTED && !cshim_session_is_client(session) &&
	    coap_session_get_proto(session) == COAP_PROTO_TLS && c->n_accepted < CSHIM_EVENTS)
		c->accepted[c->n_accepted++] = coap_session_reference(session);
	if (event == COAP_EVENT_DTLS_CONNECTED && c->tls.tickets && !cshim_session_is_client(session) &&
	    coap_session_get_proto(session) == COAP_PROTO_TLS)
		goCoapSecured(c->handle, cshim_session_tls(session));
	if (id == 0 && event == COAP_EVENT_SESSION_CONNECTED && c->adoption == NULL &&
	    coap_session_get_type(session) == COAP_SESSION_TYPE_SERVER && coap_session_get_proto(session) >= COAP_PROTO_TCP) {
		id = number(c, session);
		cshim_streams_belongs(&c->streams, session);
		goCoapSession(c->handle, id, session);
	}
	if (id == 0 && (event == COAP_EVENT_DTLS_CLOSED || event == COAP_EVENT_DTLS_ERROR) &&
	    coap_session_get_state(session) == COAP_SESSION_STATE_HANDSHAKE)
		tell_unfinished(c, session);
	goCoapEvent(c->handle, id, event);
	CSHIM_PASS_EVENT(c, session, event);
	return 0;
}

static coap_resource_t *handle_all(coap_resource_t *resource)
{
	int method;

	for (method = COAP_REQUEST_GET; resource != NULL && method <= COAP_REQUEST_IPATCH; method++)
		coap_register_request_handler(resource, method, on_request);
	return resource;
}

/* libcoap answers for /.well-known/core by itself unless that is a resource. */
static bool add_resources(coap_context_t *ctx)
{
	static const uint8_t path[] = ".well-known/core";
	coap_str_const_t core = { sizeof(path) - 1, path };
	coap_resource_t *unknown = handle_all(coap_resource_unknown_init(on_request));
	coap_resource_t *known;

	if (unknown == NULL)
		return false;
	coap_add_resource(ctx, unknown);
	known = handle_all(coap_resource_init(&core, 0));
	if (known == NULL)
		return false;
	coap_add_resource(ctx, known);
	return true;
}

void cshim_context_set_handlers(cshim_context *c)
{
	coap_register_response_handler(c->ctx, on_response);
	coap_register_nack_handler(c->ctx, on_nack);
	coap_register_ping_handler(c->ctx, on_ping);
	coap_register_pong_handler(c->ctx, on_pong);
	coap_register_event_handler(c->ctx, on_event);
}

cshim_context *cshim_context_new(void *handle)
{
	cshim_context *c = calloc(1, sizeof(*c));
	struct cshim_sockets *outer;

	if (c == NULL)
		return NULL;
	c->handle = handle;
	c->sockets.handle = handle;
	c->streams.foreign = !CSHIM_WORKS(epoll_ctl);
	outer = cshim_sockets_enter(&c->sockets);
	c->ctx = coap_new_context(NULL);
	cshim_sockets_leave(outer);
	if (c->ctx == NULL) {
		free(c);
		return NULL;
	}
	coap_set_app_data(c->ctx, c);
	CSHIM_CONTEXT_HOOKS(c->ctx);
	cshim_context_set_handlers(c);
	if (!add_resources(c->ctx)) {
		cshim_context_free(c);
		return NULL;
	}
	return c;
}

void cshim_context_free(cshim_context *c)
{
	coap_context_t *ctx = c->ctx;

	if (c->adoption != NULL) { /* as soon as it is freed, the program may make one of the same address */
		cshim_adoption_give_back(c);
		coap_free_context(ctx);
		return;
	}
	coap_free_context(ctx);
	cshim_context_release(c);
}

void cshim_context_release(cshim_context *c)
{
	while (c->clients != NULL)
		cshim_client_remove(&c->clients, c->clients->id);
	cshim_pki_free(&c->pki);
	cshim_psk_free(&c->psk);
	free(c->options.bytes);
	cshim_sockets_free(&c->sockets);
	cshim_streams_free(&c->streams);
	cshim_datagrams_free(&c->datagrams);
	free(c);
}

void cshim_context_check_accepted(cshim_context *c)
{
	struct cshim_streams *outer = cshim_streams_enter(&c->streams);
	coap_session_t *session;
	void *tls;

	while (c->n_accepted > 0) {
		session = c->accepted[--c->n_accepted];
		tls = cshim_session_tls(session);
		if (tls != NULL && !goCoapAccepted(c->handle, tls))
			coap_session_disconnected(session, COAP_NACK_TLS_FAILED);
		coap_session_release(session);
	}
	cshim_streams_leave(outer);
}

/* Has libcoap read what was read ahead, from the socket of an event. */
static void read_rest(cshim_context *c, const struct epoll_event *event)
{
	struct epoll_event events[CSHIM_DATAGRAMS];
	unsigned i, n = cshim_datagrams_waiting(&c->datagrams);

	if (n == 0)
		return;
	for (i = 0; i < n; i++) {
		events[i] = *event;
		events[i].events = EPOLLIN;
	}
	CSHIM_DO_EVENTS(c->ctx, events, n);
	cshim_datagrams_drop(&c->datagrams); /* of a session that is over */
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
	again = cshim_sockets_resume(&c->sockets, fd);
	for (i = 0; i < ROUNDS && !c->stop; i++) {
		most = c->connecting > 0 ? 1 : CSHIM_EVENTS;
		n = epoll_wait(fd, events, most, 0);
		if (n <= 0)
			break;
		sockets = cshim_sockets_enter(&c->sockets);
		streams = cshim_streams_enter(&c->streams);
		cshim_empty_enter(c);
		outer = cshim_tls_enter(c);
		cshim_datagrams_begin(&c->datagrams, CSHIM_DIVIDED && n == 1 && n < most);
		CSHIM_DO_EVENTS(c->ctx, events, n);
		read_rest(c, &events[0]);
		while (!c->stop && c->streams.again != NULL) {
			n = CSHIM_DIVIDED ? cshim_streams_again(&c->streams, events, most) : 0;
			CSHIM_DO_EVENTS(c->ctx, events, n);
		}
		cshim_tls_leave(outer);
		cshim_empty_leave();
		cshim_streams_leave(streams);
		cshim_sockets_leave(sockets);
		again = cshim_sockets_resume(&c->sockets, fd);
		cshim_cookie_settle(c);
		if (c->stop)
			cshim_session_secured(c);
		cshim_context_check_accepted(c);
		if (c->datagrams.drained)
			break;
	}
	if (n > 0 && !c->datagrams.drained)
		return 0;
	coap_ticks(&now);
	streams = cshim_streams_enter(&c->streams);
	outer = cshim_tls_enter(c);
	next = coap_io_prepare_epoll(c->ctx, now);
	cshim_tls_leave(outer);
	cshim_streams_leave(streams);
	sweep = cshim_streams_sweep(&c->streams);
	/* The clock that libcoap reads goes in milliseconds. */
	next = next == 0 ? UINT32_MAX : next + 1;
	if (again >= 0 && (unsigned)again < next)
		next = again + 1;
	if (sweep >= 0 && (unsigned)sweep < next)
		next = c->streams.again != NULL ? 0 : sweep + 1;
	return next == UINT32_MAX ? -1 : next >= INT32_MAX ? INT32_MAX : (int)next;
}

/* Reports whether an address can be bound, and sets errno: libcoap 4.2.1 crashes
 * where it cannot, and 4.3.4 loses the reason. */
static bool can_bind(const coap_address_t *address, coap_proto_t proto)
{
	bool stream = proto == COAP_PROTO_TCP || proto == COAP_PROTO_TLS;
	int fd = socket(address->addr.sa.sa_family, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	int result, error;

	if (fd < 0)
		return false;
	if (stream)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	result = bind(fd, &address->addr.sa, address->size);
	error = errno;
	close(fd);
	errno = error;
	return result == 0;
}

coap_endpoint_t *cshim_endpoint_new(cshim_context *c, const struct cshim_address *address, coap_proto_t proto)
{
	struct cshim_sockets *outer;
	coap_endpoint_t *endpoint;
	coap_address_t a;

	cshim_address_to(address, &a);
	if (!can_bind(&a, proto))
		return NULL;
	outer = cshim_sockets_enter(&c->sockets);
	c->sockets.dtls = proto == COAP_PROTO_DTLS;
	endpoint = coap_new_endpoint(c->ctx, &a, proto);
	c->sockets.dtls = false;
	cshim_sockets_leave(outer);
	if (endpoint != NULL && c->mtu > COAP_DEFAULT_MTU && proto <= COAP_PROTO_DTLS)
		coap_endpoint_set_default_mtu(endpoint, c->mtu); /* else the first message would have to be as small */
	return endpoint;
}
