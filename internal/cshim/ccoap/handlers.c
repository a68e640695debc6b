#include "_cgo_export.h"
#include "adopt.h"
#include "fix_stream_flow.h"
#include "fix_stream_table.h"
#include "handlers.h"
#include "message.h"
#include "session.h"

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
static void handle_request(coap_session_t *session, const coap_pdu_t *request, coap_pdu_t *response)
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
	cshim_fix_streams_belongs(&c->streams, session);
	cshim_fix_stream_handling(&c->streams, session);
	goCoapRequest(c->handle, id, session, is_new,
		      coap_is_mcast(coap_session_get_addr_local(session)), &m);
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
	if (event == COAP_EVENT_TCP_CONNECTED &&
	    coap_session_get_type(session) == COAP_SESSION_TYPE_CLIENT && c->adoption == NULL) {
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
		cshim_fix_streams_belongs(&c->streams, session);
	if (event == CSHIM_EVENT_ACCEPTED && !cshim_session_is_client(session) &&
	    coap_session_get_proto(session) == COAP_PROTO_TLS && c->n_accepted < CSHIM_EVENTS)
		c->accepted[c->n_accepted++] = coap_session_reference(session);
	if (event == COAP_EVENT_DTLS_CONNECTED && c->tls.tickets && !cshim_session_is_client(session) &&
	    coap_session_get_proto(session) == COAP_PROTO_TLS)
		goCoapSecured(c->handle, cshim_session_tls(session));
	if (id == 0 && event == COAP_EVENT_SESSION_CONNECTED && c->adoption == NULL &&
	    coap_session_get_type(session) == COAP_SESSION_TYPE_SERVER &&
	    coap_session_get_proto(session) >= COAP_PROTO_TCP) {
		id = number(c, session);
		cshim_fix_streams_belongs(&c->streams, session);
		goCoapSession(c->handle, id, session);
	}
	if (id == 0 && (event == COAP_EVENT_DTLS_CLOSED || event == COAP_EVENT_DTLS_ERROR) &&
	    coap_session_get_state(session) == COAP_SESSION_STATE_HANDSHAKE)
		tell_unfinished(c, session);
	goCoapEvent(c->handle, id, event);
	CSHIM_PASS_EVENT(c, session, event);
	return 0;
}

void cshim_handlers_set(cshim_context *c)
{
	coap_register_response_handler(c->ctx, on_response);
	coap_register_nack_handler(c->ctx, on_nack);
	coap_register_ping_handler(c->ctx, on_ping);
	coap_register_pong_handler(c->ctx, on_pong);
	coap_register_event_handler(c->ctx, on_event);
}

CSHIM_ON_REQUEST(on_request, session, request, response)
{
	handle_request(session, request, response);
}

/* Adds a resource that handles all methods. Returns false where memory is short. */
static bool add(coap_context_t *ctx, coap_resource_t *resource, coap_method_handler_t handler)
{
	int method;

	if (resource == NULL)
		return false;
	for (method = COAP_REQUEST_GET; method <= COAP_REQUEST_IPATCH; method++)
		coap_register_request_handler(resource, method, handler);
	coap_add_resource(ctx, resource);
	return true;
}

/* libcoap answers for /.well-known/core by itself unless that is a resource. */
bool cshim_handlers_add_resources(coap_context_t *ctx)
{
	static const uint8_t path[] = ".well-known/core";
	coap_str_const_t core = { sizeof(path) - 1, path };

	return add(ctx, coap_resource_unknown_init(on_request), on_request) &&
	       add(ctx, coap_resource_init(&core, 0), on_request);
}

#ifdef CSHIM_HAVE_ADOPTION

/* It outlives the adoption: libcoap tells nobody whether the program has replaced the
 * resource, so that cannot be deleted. */
CSHIM_ON_REQUEST(on_foreign_request, session, request, response)
{
	if (cshim_adoption_find(coap_session_get_context(session)) != NULL)
		handle_request(session, request, response);
	else
		coap_pdu_set_code(response, COAP_RESPONSE_CODE_NOT_FOUND);
}

bool cshim_handlers_add_foreign_resource(coap_context_t *ctx)
{
	return add(ctx, coap_resource_unknown_init(on_foreign_request), on_foreign_request);
}

#endif
