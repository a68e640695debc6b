//go:build !libcoap2

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <coap3/coap.h>

#include "_cgo_export.h"
#include "gnucoap.h"
#include "server.h"

struct server {
	coap_context_t *context;
	coap_endpoint_t *endpoint;
	coap_resource_t *clock;
	bool led;
	size_t logged;
	int stop;
};

static server *server_of(const coap_session_t *session)
{
	return coap_get_app_data(coap_session_get_context(session));
}

static void respond(coap_pdu_t *response, coap_pdu_code_t code, const char *text)
{
	coap_pdu_set_code(response, code);
	coap_add_data(response, strlen(text), (const uint8_t *)text);
}

static void get_time(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *request,
		     const coap_string_t *query, coap_pdu_t *response)
{
	char text[32];

	snprintf(text, sizeof(text), "C: %lld", (long long)time(NULL));
	respond(response, COAP_RESPONSE_CODE_CONTENT, text);
}

static void get_led(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *request,
		    const coap_string_t *query, coap_pdu_t *response)
{
	respond(response, COAP_RESPONSE_CODE_CONTENT, server_of(session)->led ? "C: on" : "C: off");
}

static void put_led(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *request,
		    const coap_string_t *query, coap_pdu_t *response)
{
	size_t size;
	const uint8_t *data;

	server_of(session)->led =
		coap_get_data(request, &size, &data) && size == 2 && memcmp(data, "on", 2) == 0;
	coap_pdu_set_code(response, COAP_RESPONSE_CODE_CHANGED);
}

static void post_log(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *request,
		     const coap_string_t *query, coap_pdu_t *response)
{
	server *s = server_of(session);
	size_t size, offset, total;
	const uint8_t *data;
	char text[64];

	if (coap_get_data_large(request, &size, &data, &offset, &total))
		s->logged += size;
	snprintf(text, sizeof(text), "C: %zu bytes", s->logged);
	respond(response, COAP_RESPONSE_CODE_CHANGED, text);
}

/* A UDP port that is free. libcoap sets SO_REUSEADDR: for port 0 the system may choose
 * one that another program has. */
static int free_port(void)
{
	int port, result;

	for (port = 25000 + getpid() % 2500; port < 30000; port++) {
		struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
		int fd = socket(AF_INET, SOCK_DGRAM, 0);

		a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		result = bind(fd, (struct sockaddr *)&a, sizeof(a));
		close(fd);
		if (result == 0)
			return port;
	}
	return 0;
}

server *server_new(void)
{
	server *s = calloc(1, sizeof(*s));
	coap_resource_t *led, *log;
	coap_address_t address;

	coap_startup();
	s->context = coap_new_context(NULL);
	coap_set_app_data(s->context, s);
	coap_context_set_block_mode(s->context, COAP_BLOCK_USE_LIBCOAP | COAP_BLOCK_SINGLE_BODY);

	s->clock = coap_resource_init(coap_make_str_const("time"), 0);
	coap_register_request_handler(s->clock, COAP_REQUEST_GET, get_time);
	coap_resource_set_get_observable(s->clock, 1);
	coap_add_resource(s->context, s->clock);

	led = coap_resource_init(coap_make_str_const("led"), 0);
	coap_register_request_handler(led, COAP_REQUEST_GET, get_led);
	coap_register_request_handler(led, COAP_REQUEST_PUT, put_led);
	coap_add_resource(s->context, led);

	log = coap_resource_init(coap_make_str_const("log"), 0);
	coap_register_request_handler(log, COAP_REQUEST_POST, post_log);
	coap_add_resource(s->context, log);

	coap_address_init(&address);
	address.size = sizeof(address.addr.sin);
	address.addr.sin.sin_family = AF_INET;
	address.addr.sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.addr.sin.sin_port = htons(free_port());
	s->endpoint = coap_new_endpoint(s->context, &address, COAP_PROTO_UDP);
	if (s->endpoint == NULL) {
		server_free(s, true);
		return NULL;
	}
	return s;
}

int server_port(const server *s)
{
	return atoi(strchr(coap_endpoint_str(s->endpoint), ':') + 1);
}

void server_run(server *s)
{
	time_t last = time(NULL);

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		if (gnucoap_io_process(s->context, 50) < 0) /* was: coap_io_process(s->context, 1000) */
			break;				    /* the loop is Go's now */
		goTurn(s);				    /* was not there */
		if (time(NULL) != last) {
			last = time(NULL);
			server_tick(s);
		}
	}
	gnucoap_unlock(s->context); /* was not there */
}

void server_stop(server *s)
{
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELEASE);
}

void server_free(server *s, bool context_too)
{
	if (context_too)
		coap_free_context(s->context);
	free(s);
}

void *server_context(server *s)
{
	return s->context;
}

bool server_led(const server *s)
{
	return s->led;
}

void server_give_up(server *s, const char *path)
{
	coap_resource_t *resource = coap_get_resource_from_uri_path(s->context, coap_make_str_const(path));

	if (resource == s->clock)
		s->clock = NULL;
	coap_delete_resource(s->context, resource);
}

void server_tick(server *s)
{
	if (s->clock != NULL)
		coap_resource_notify_observers(s->clock, NULL);
}
