//go:build !libcoap2

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>
#include <arpa/inet.h>

#include "_cgo_export.h"
#include "program.h"

static cprogram *program_of(const coap_session_t *session)
{
	return coap_get_app_data(coap_session_get_context(session));
}

static void count(int *n)
{
	__atomic_add_fetch(n, 1, __ATOMIC_RELAXED);
}

static void answer(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *request,
		   const coap_string_t *query, coap_pdu_t *response)
{
	cprogram *p = program_of(session);
	const uint8_t *data = NULL;
	size_t size = 0, offset = 0, total = 0;
	char text[64];
	int n;

	coap_session_set_app_data(session, p);
	coap_get_data_large(request, &size, &data, &offset, &total);
	if (coap_pdu_get_code(request) == COAP_REQUEST_CODE_GET)
		n = snprintf(text, sizeof(text), "C: %d", p->app_data);
	else
		n = snprintf(text, sizeof(text), "C: %zu bytes of %zu, ends %c", size, total,
			     size > 0 ? data[size - 1] : '-');
	coap_pdu_set_code(response, COAP_RESPONSE_CODE_CONTENT);
	coap_add_data(response, n, (const uint8_t *)text);
}

/* Calls Go out of a callback. */
static void call_go(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *request,
		    const coap_string_t *query, coap_pdu_t *response)
{
	cprogram *p = program_of(session);

	coap_pdu_set_code(response, goCprogramCall(p->handle, session) ? COAP_RESPONSE_CODE_CHANGED :
									  COAP_RESPONSE_CODE_CONFLICT);
}

static int waits;

static ssize_t tls_read(void *transport, void *data, size_t size)
{
	errno = EAGAIN;
	return -1;
}

static ssize_t tls_write(void *transport, const void *data, size_t size)
{
	return size;
}

static int tls_wait(void *transport, unsigned ms)
{
	count(&waits);
	return 0;
}

/* GnuTLS comes with libcoap: the program includes nothing of it. */
#define GNUTLS(name, ...) ((int (*)(__VA_ARGS__))dlsym(RTLD_DEFAULT, "gnutls_" #name))

/* Has a TLS session of the program's own, whose server does not answer, out of a callback. */
static void use_tls(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *request,
		    const coap_string_t *query, coap_pdu_t *response)
{
	void *tls, *credentials;

	GNUTLS(init, void **, unsigned)(&tls, 1 << 1 /* GNUTLS_CLIENT */);
	GNUTLS(set_default_priority, void *)(tls);
	GNUTLS(certificate_allocate_credentials, void **)(&credentials);
	GNUTLS(credentials_set, void *, int, void *)(tls, 1 /* GNUTLS_CRD_CERTIFICATE */, credentials);
	GNUTLS(transport_set_push_function, void *, void *)(tls, tls_write);
	GNUTLS(transport_set_pull_function, void *, void *)(tls, tls_read);
	GNUTLS(transport_set_pull_timeout_function, void *, void *)(tls, tls_wait);
	GNUTLS(handshake_set_timeout, void *, unsigned)(tls, 1000);
	waits = 0;
	coap_pdu_set_code(response,
			  GNUTLS(handshake, void *)(tls) == -319 /* GNUTLS_E_TIMEDOUT */ &&
					  waits > 0
				  ? COAP_RESPONSE_CODE_CHANGED
				  : COAP_RESPONSE_CODE_CONFLICT);
	GNUTLS(deinit, void *)(tls);
	GNUTLS(certificate_free_credentials, void *)(credentials);
}

/* Reads from a connection of the program's own, out of a callback. */
static void use_socket(coap_resource_t *resource, coap_session_t *session,
		       const coap_pdu_t *request,
		       const coap_string_t *query, coap_pdu_t *response)
{
	int ends[2];
	char byte = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
		return;
	coap_pdu_set_code(response, write(ends[0], "x", 1) == 1 &&
						    recv(ends[1], &byte, 1, 0) == 1 && byte == 'x'
					    ? COAP_RESPONSE_CODE_CHANGED
					    : COAP_RESPONSE_CODE_CONFLICT);
	close(ends[0]);
	close(ends[1]);
}

static coap_response_t on_response(coap_session_t *session, const coap_pdu_t *sent,
				   const coap_pdu_t *received,
				   coap_mid_t mid)
{
	count(&program_of(session)->responses);
	return COAP_RESPONSE_OK;
}

static void on_nack(coap_session_t *session, const coap_pdu_t *sent, coap_nack_reason_t reason,
		    coap_mid_t mid)
{
	count(&program_of(session)->nacks);
}

static int on_event(coap_session_t *session, coap_event_t event)
{
	cprogram *p = program_of(session);

	count(&p->events);
	goCprogramEvent(p->handle, session, event);
	return 0;
}

static void on_ping(coap_session_t *session, const coap_pdu_t *received, coap_mid_t mid)
{
	count(&program_of(session)->pings);
}

static void on_pong(coap_session_t *session, const coap_pdu_t *received, coap_mid_t mid)
{
	count(&program_of(session)->pongs);
}

static const gnucoap_handlers_t handlers = { on_response, on_nack, on_event, on_ping, on_pong };

static coap_resource_t *add(coap_context_t *context, const char *path,
			    coap_method_handler_t handler)
{
	coap_resource_t *resource = coap_resource_init(coap_make_str_const(path), 0);
	int method;

	for (method = COAP_REQUEST_GET; method <= COAP_REQUEST_IPATCH; method++)
		coap_register_request_handler(resource, method, handler);
	coap_add_resource(context, resource);
	return resource;
}

static coap_address_t loopback(int port)
{
	coap_address_t a;

	coap_address_init(&a);
	a.size = sizeof(a.addr.sin);
	a.addr.sin.sin_family = AF_INET;
	a.addr.sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a.addr.sin.sin_port = htons(port);
	return a;
}

static int port_of(const coap_endpoint_t *endpoint)
{
	const char *colon = strchr(coap_endpoint_str(endpoint), ':');

	return colon == NULL ? 0 : atoi(colon + 1);
}

/* A UDP port that the system gives to nobody else. libcoap's own choice of one, with
 * SO_REUSEADDR, may be that of another socket which has the option, too. */
static int free_port(void)
{
	static int next;
	coap_address_t a;
	int fd, port = 0;

	while (port == 0) {
		a = loopback(25000 + (getpid() * 16 + __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED)) % 5000);
		fd = socket(AF_INET, SOCK_DGRAM, 0);
		if (fd < 0)
			return 0;
		if (bind(fd, &a.addr.sa, a.size) == 0)
			port = ntohs(a.addr.sin.sin_port);
		close(fd);
	}
	return port;
}

/* Listens on one port over UDP and TCP. Returns 0 where another program has it for TCP. */
static int listen_on(coap_context_t *context)
{
	int port = free_port();
	coap_address_t same = loopback(port);

	if (coap_new_endpoint(context, &same, COAP_PROTO_UDP) == NULL)
		return 0;
	return coap_new_endpoint(context, &same, COAP_PROTO_TCP) == NULL ? 0 : port;
}

cprogram *cprogram_new(uintptr_t handle, int block_mode)
{
	cprogram *p = calloc(1, sizeof(*p));

	coap_startup();
	p->handle = handle;
	p->app_data = 42;
	while (p->port == 0) {
		coap_free_context(p->context);
		p->context = coap_new_context(NULL);
		coap_set_log_level(LOG_EMERG);
		p->port = listen_on(p->context);
	}
	coap_set_app_data(p->context, p);
	coap_context_set_block_mode(p->context, block_mode);
	coap_register_response_handler(p->context, on_response);
	p->resource = add(p->context, "c", answer);
	coap_resource_set_get_observable(p->resource, 1);
	add(p->context, "go-on", call_go);
	add(p->context, "tls", use_tls);
	add(p->context, "socket", use_socket);
	return p;
}

void cprogram_free(cprogram *p, bool context_too)
{
	if (context_too)
		coap_free_context(p->context);
	free(p);
}

void cprogram_run(cprogram *p)
{
	while (!__atomic_load_n(&p->stop, __ATOMIC_ACQUIRE) && gnucoap_io_process(p->context, 20) >= 0)
		;
	gnucoap_unlock(p->context);
}

void cprogram_run_select(cprogram *p)
{
	int fd = coap_context_get_coap_fd(p->context);

	while (!__atomic_load_n(&p->stop, __ATOMIC_ACQUIRE)) {
		struct timeval most = { .tv_usec = 20000 };
		fd_set set;

		FD_ZERO(&set);
		FD_SET(fd, &set);
		gnucoap_unlock(p->context);
		select(fd + 1, &set, NULL, NULL, &most);
		gnucoap_io_process(p->context, COAP_IO_NO_WAIT);
	}
	gnucoap_unlock(p->context);
}

void cprogram_stop(cprogram *p)
{
	__atomic_store_n(&p->stop, 1, __ATOMIC_RELEASE);
}

int cprogram_process(cprogram *p, uint32_t timeout_ms)
{
	return gnucoap_io_process(p->context, timeout_ms);
}

void cprogram_notify(cprogram *p)
{
	gnucoap_lock(p->context);
	p->app_data++;
	coap_resource_notify_observers(p->resource, NULL);
	gnucoap_unlock(p->context);
}

bool cprogram_delete(cprogram *p)
{
	bool deleted;

	gnucoap_lock(p->context);
	deleted = coap_delete_resource(p->context, p->resource);
	gnucoap_unlock(p->context);
	return deleted;
}

bool cprogram_name_handlers(cprogram *p)
{
	return gnucoap_set_handlers(p->context, &handlers);
}

int cprogram_secure(cprogram *p, int proto)
{
	static const char key[] = CPROGRAM_KEY;
	coap_address_t any = loopback(free_port());

	if (!coap_context_set_psk(p->context, "", (const uint8_t *)key, strlen(key)))
		return 0;
	return port_of(coap_new_endpoint(p->context, &any, proto));
}

bool cprogram_connect(cprogram *p, int proto, int port)
{
	static const char key[] = CPROGRAM_KEY;
	coap_address_t server = loopback(port);

	if (proto == COAP_PROTO_DTLS || proto == COAP_PROTO_TLS)
		p->client = coap_new_client_session_psk(p->context, NULL, &server, proto, "me",
							(const uint8_t *)key, strlen(key));
	else
		p->client = coap_new_client_session(p->context, NULL, &server, proto);
	return p->client != NULL;
}

bool cprogram_request(cprogram *p)
{
	uint8_t token[8];
	size_t size;
	coap_pdu_t *pdu = coap_new_pdu(COAP_MESSAGE_CON, COAP_REQUEST_CODE_GET, p->client);

	coap_session_new_token(p->client, &size, token);
	coap_add_token(pdu, size, token);
	return coap_send(p->client, pdu) != COAP_INVALID_MID;
}

void cprogram_disconnect(cprogram *p)
{
	coap_session_release(p->client);
	p->client = NULL;
}
