#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>

#include "peer.h"

enum { BLOCK_MODE = COAP_BLOCK_USE_LIBCOAP | COAP_BLOCK_SINGLE_BODY, PATIENCE = 20 };

static void loopback(coap_address_t *a, int port)
{
	coap_address_init(a);
	a->size = sizeof(a->addr.sin);
	a->addr.sin.sin_family = AF_INET;
	a->addr.sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a->addr.sin.sin_port = htons(port);
}

static coap_context_t *new_context(void)
{
	coap_context_t *ctx;

	coap_startup();
	coap_set_log_level(LOG_ERR);
	coap_dtls_set_log_level(LOG_EMERG);
	ctx = coap_new_context(NULL);
	if (ctx != NULL)
		coap_context_set_block_mode(ctx, BLOCK_MODE);
	return ctx;
}

static coap_bin_const_t text(const char *s)
{
	coap_bin_const_t b = { strlen(s), (const uint8_t *)s };

	return b;
}

/* The server. */

struct cpeer_server {
	coap_context_t *ctx;
	struct cpeer_bodies bodies;
};

static const struct cpeer_bodies *bodies_of(coap_resource_t *resource)
{
	return coap_resource_get_userdata(resource);
}

static void get_small(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *request,
		      const coap_string_t *query, coap_pdu_t *response)
{
	const struct cpeer_bodies *b = bodies_of(resource);

	coap_pdu_set_code(response, COAP_RESPONSE_CODE_CONTENT);
	coap_add_data(response, b->small_size, b->small);
}

static void get_large(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *request,
		      const coap_string_t *query, coap_pdu_t *response)
{
	const struct cpeer_bodies *b = bodies_of(resource);

	coap_pdu_set_code(response, COAP_RESPONSE_CODE_CONTENT);
	coap_add_data_large_response(resource, session, request, response, query,
				     COAP_MEDIATYPE_APPLICATION_OCTET_STREAM, -1, 0, b->large_size, b->large, NULL,
				     NULL);
}

static void put_large(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *request,
		      const coap_string_t *query, coap_pdu_t *response)
{
	const struct cpeer_bodies *b = bodies_of(resource);
	size_t size, offset, total;
	const uint8_t *data;
	int same = coap_get_data_large(request, &size, &data, &offset, &total) && offset == 0 &&
		   size == b->large_size && total == size && memcmp(data, b->large, size) == 0;

	coap_pdu_set_code(response, same ? COAP_RESPONSE_CODE_CHANGED : COAP_RESPONSE_CODE_BAD_REQUEST);
}

static int add_resource(cpeer_server *s, const char *path, coap_request_t method,
			coap_method_handler_t handler, coap_request_t method2,
			coap_method_handler_t handler2)
{
	coap_resource_t *r = coap_resource_init(coap_make_str_const(path), 0);

	if (r == NULL)
		return 0;
	coap_resource_set_userdata(r, &s->bodies);
	coap_register_request_handler(r, method, handler);
	if (handler2 != NULL)
		coap_register_request_handler(r, method2, handler2);
	coap_add_resource(s->ctx, r);
	return 1;
}

cpeer_server *cpeer_server_new(coap_proto_t proto, const struct cpeer_bodies *bodies, int *port)
{
	cpeer_server *s = calloc(1, sizeof(*s));
	coap_endpoint_t *endpoint;
	coap_address_t a;
	const char *name;

	if (s == NULL)
		return NULL;
	s->bodies = *bodies;
	s->ctx = new_context();
	if (s->ctx == NULL)
		return NULL;
	if (proto == COAP_PROTO_DTLS) {
		coap_dtls_spsk_t psk = { .version = COAP_DTLS_SPSK_SETUP_VERSION };

		psk.psk_info.hint = text("");
		psk.psk_info.key = text(bodies->key);
		if (!coap_context_set_psk2(s->ctx, &psk))
			return NULL;
	}
	loopback(&a, 0);
	endpoint = coap_new_endpoint(s->ctx, &a, proto);
	if (endpoint == NULL || !add_resource(s, "small", COAP_REQUEST_GET, get_small, 0, NULL) ||
	    !add_resource(s, "large", COAP_REQUEST_GET, get_large, COAP_REQUEST_PUT, put_large))
		return NULL;
	name = strchr(coap_endpoint_str(endpoint), ':');
	if (name == NULL)
		return NULL;
	*port = atoi(name + 1);
	return s;
}

void cpeer_server_run(cpeer_server *s)
{
	while (coap_io_process(s->ctx, COAP_IO_WAIT) >= 0)
		;
}

/* The client. */

struct slot {
	coap_session_t *session;
	uint32_t sequence;
	int waiting;
	int renew; /* the session has done its work */
};

struct cpeer_client {
	coap_context_t *ctx;
	coap_proto_t proto;
	coap_address_t server;
	struct cpeer_bodies bodies;
	coap_session_t *session;
	struct slot *slots;
	int in_flight;

	enum cpeer_kind kind;
	size_t limit; /* that the caller has set, or 0 */
	size_t most;
	size_t started;
	size_t done;
	int waiting;
	int stopping;
	const char *failure;
};

struct token {
	uint32_t slot;
	uint32_t sequence;
};

static void fail(cpeer_client *c, const char *failure)
{
	if (c->failure == NULL)
		c->failure = failure;
}

static coap_session_t *new_session(cpeer_client *c)
{
	coap_dtls_cpsk_t psk = { .version = COAP_DTLS_CPSK_SETUP_VERSION };

	if (c->proto != COAP_PROTO_DTLS)
		return coap_new_client_session(c->ctx, NULL, &c->server, c->proto);
	psk.psk_info.identity = text(c->bodies.identity);
	psk.psk_info.key = text(c->bodies.key);
	return coap_new_client_session_psk2(c->ctx, NULL, &c->server, c->proto, &psk);
}

static void request(cpeer_client *c, struct slot *slot)
{
	const char *path = c->kind == CPEER_SMALL || c->kind == CPEER_CONNECT ? "small" : "large";
	struct token token = { slot - c->slots, ++slot->sequence };
	coap_pdu_t *pdu;

	if (c->stopping || c->started == c->most)
		return;
	pdu = coap_new_pdu(COAP_MESSAGE_CON,
			   c->kind == CPEER_PUT ? COAP_REQUEST_CODE_PUT : COAP_REQUEST_CODE_GET,
			   slot->session);
	if (pdu == NULL || !coap_add_token(pdu, sizeof(token), (const uint8_t *)&token) ||
	    !coap_add_option(pdu, COAP_OPTION_URI_PATH, strlen(path), (const uint8_t *)path) ||
	    (c->kind == CPEER_PUT &&
	     !coap_add_data_large_request(slot->session, pdu, c->bodies.large_size, c->bodies.large,
					  NULL, NULL))) {
		fail(c, "a request could not be made");
		return;
	}
	slot->waiting = 1;
	c->started++;
	c->waiting++;
	if (coap_send(slot->session, pdu) == COAP_INVALID_MID)
		fail(c, "a request could not be sent");
}

static int right(const cpeer_client *c, const coap_pdu_t *received)
{
	const uint8_t *data = NULL, *body = c->bodies.small;
	size_t size = 0, offset = 0, total = 0, body_size = c->bodies.small_size;

	if (c->kind == CPEER_PUT)
		return coap_pdu_get_code(received) == COAP_RESPONSE_CODE_CHANGED;
	if (c->kind == CPEER_GET) {
		body = c->bodies.large;
		body_size = c->bodies.large_size;
	}
	return coap_pdu_get_code(received) == COAP_RESPONSE_CODE_CONTENT &&
	       coap_get_data_large(received, &size, &data, &offset, &total) && offset == 0 &&
	       size == body_size && memcmp(data, body, size) == 0;
}

static coap_response_t on_response(coap_session_t *session, const coap_pdu_t *sent,
				   const coap_pdu_t *received, const coap_mid_t mid)
{
	cpeer_client *c = coap_get_app_data(coap_session_get_context(session));
	coap_bin_const_t t = coap_pdu_get_token(received);
	struct token token;
	struct slot *slot;

	if (t.length != sizeof(token)) {
		fail(c, "a response has a strange token");
		return COAP_RESPONSE_OK;
	}
	memcpy(&token, t.s, sizeof(token));
	if (token.slot >= (uint32_t)c->in_flight)
		return COAP_RESPONSE_OK;
	slot = &c->slots[token.slot];
	if (!slot->waiting || slot->sequence != token.sequence) /* it came twice */
		return COAP_RESPONSE_OK;
	if (!right(c, received)) {
		fail(c, "a response is wrong");
		return COAP_RESPONSE_OK;
	}
	slot->waiting = 0;
	c->waiting--;
	c->done++;
	if (c->kind == CPEER_CONNECT)
		slot->renew = 1;
	else
		request(c, slot);
	return COAP_RESPONSE_OK;
}

static void on_nack(coap_session_t *session, const coap_pdu_t *sent,
		    const coap_nack_reason_t reason, const coap_mid_t mid)
{
	static const char *const failures[] = {
		[COAP_NACK_TOO_MANY_RETRIES] = "nobody acknowledges a request",
		[COAP_NACK_NOT_DELIVERABLE] = "a request cannot be delivered",
		[COAP_NACK_RST] = "a request was rejected",
		[COAP_NACK_TLS_FAILED] = "a handshake failed",
		[COAP_NACK_ICMP_ISSUE] = "the server cannot be reached",
	};

	fail(coap_get_app_data(coap_session_get_context(session)), failures[reason]);
}

cpeer_client *cpeer_client_new(coap_proto_t proto, int port, int in_flight,
			       const struct cpeer_bodies *bodies)
{
	cpeer_client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->slots = calloc(in_flight, sizeof(*c->slots));
	c->ctx = new_context();
	if (c->ctx == NULL || c->slots == NULL)
		return NULL;
	c->proto = proto;
	c->in_flight = in_flight;
	c->bodies = *bodies;
	loopback(&c->server, port);
	coap_set_app_data(c->ctx, c);
	coap_register_response_handler(c->ctx, on_response);
	coap_register_nack_handler(c->ctx, on_nack);
	return c;
}

/* Gives each slot the session that it makes its next request in. */
static int open_sessions(cpeer_client *c)
{
	int i;

	if (c->kind != CPEER_CONNECT) {
		if (c->session != NULL)
			coap_session_release(c->session);
		c->session = new_session(c);
		if (c->session == NULL)
			return 0;
		coap_session_set_nstart(c->session, c->in_flight);
	}
	for (i = 0; i < c->in_flight; i++) {
		c->slots[i].session = c->kind == CPEER_CONNECT ? new_session(c) : c->session;
		if (c->slots[i].session == NULL)
			return 0;
	}
	return 1;
}

static void renew_sessions(cpeer_client *c)
{
	int i;

	for (i = 0; i < c->in_flight; i++) {
		struct slot *slot = &c->slots[i];

		if (!slot->renew)
			continue;
		slot->renew = 0;
		if (c->limit == 0)
			coap_session_release(slot->session);
		slot->session = NULL;
		if (c->stopping || c->started == c->most)
			continue;
		slot->session = new_session(c);
		if (slot->session == NULL)
			fail(c, "a session could not be made");
		else
			request(c, slot);
	}
}

const char *cpeer_client_run(cpeer_client *c, enum cpeer_kind kind, uint64_t milliseconds,
			     size_t limit, size_t *done)
{
	coap_tick_t start, now, news;
	size_t seen = 0;
	int i;

	c->kind = kind;
	c->limit = limit;
	c->most = limit > 0				   ? limit
		  : kind == CPEER_GET || kind == CPEER_PUT ? CPEER_MAX_LARGE
							   : CPEER_MAX_REQUESTS;
	c->started = c->done = 0;
	c->waiting = c->stopping = 0;
	c->failure = NULL;
	if (!open_sessions(c))
		return "a session could not be made";
	coap_ticks(&start);
	news = start;
	for (i = 0; i < c->in_flight; i++)
		request(c, &c->slots[i]);
	while (c->waiting > 0 && c->failure == NULL) {
		if (coap_io_process(c->ctx, 1000) < 0)
			return "the loop failed";
		coap_ticks(&now);
		if (limit == 0 && now - start >= milliseconds * COAP_TICKS_PER_SECOND / 1000)
			c->stopping = 1;
		if (c->done != seen) {
			seen = c->done;
			news = now;
		} else if (now - news > PATIENCE * COAP_TICKS_PER_SECOND) {
			return "no response";
		}
		if (kind == CPEER_CONNECT)
			renew_sessions(c);
	}
	*done = c->done;
	return c->failure;
}

void cpeer_client_free(cpeer_client *c)
{
	int i;

	for (i = 0; i < c->in_flight; i++)
		if (c->slots[i].session != NULL && c->slots[i].session != c->session)
			coap_session_release(c->slots[i].session);
	if (c->session != NULL)
		coap_session_release(c->session);
	coap_free_context(c->ctx);
	free(c->slots);
	free(c);
}
