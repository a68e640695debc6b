#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adopt.h"
#include "context.h"
#include "debug.h"
#include "handlers.h"
#include "interpose.h"

void cshim_library_init(void)
{
	coap_startup();
	/* libcoap formats its messages in static buffers, without a lock. */
	cshim_log_nothing();
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
	outer = cshim_fix_sockets_enter(&c->sockets);
	c->ctx = coap_new_context(NULL);
	cshim_fix_sockets_leave(outer);
	if (c->ctx == NULL) {
		free(c);
		return NULL;
	}
	coap_set_app_data(c->ctx, c);
	CSHIM_CONTEXT_HOOKS(c->ctx);
	cshim_handlers_set(c);
	if (!cshim_handlers_add_resources(c->ctx)) {
		cshim_context_free(c);
		return NULL;
	}
	return c;
}

/* Frees what goes with a context, but not that itself. */
static void release(cshim_context *c)
{
	while (c->clients != NULL)
		cshim_client_remove(&c->clients, c->clients->id);
	cshim_pki_free(&c->pki);
	cshim_psk_free(&c->psk);
	free(c->options.bytes);
	cshim_fix_sockets_free(&c->sockets);
	cshim_fix_streams_free(&c->streams);
	cshim_ext_datagrams_free(&c->datagrams);
	free(c);
}

void cshim_context_free(cshim_context *c)
{
	coap_context_t *ctx = c->ctx;

	/* As soon as it is freed, the program may make one with the same address. */
	if (c->adoption != NULL) {
		cshim_context_give_back(c);
		coap_free_context(ctx);
		return;
	}
	coap_free_context(ctx);
	release(c);
}

#ifdef CSHIM_HAVE_ADOPTION

cshim_context *cshim_context_adopt(coap_context_t *ctx, void *handle, bool borrowed)
{
	cshim_context *c = calloc(1, sizeof(*c));
	struct cshim_adoption *adoption = calloc(1, sizeof(*adoption));

	if (c == NULL || adoption == NULL || !cshim_handlers_add_foreign_resource(ctx)) {
		free(c);
		free(adoption);
		return NULL;
	}
	c->handle = handle;
	c->ctx = ctx;
	c->adoption = adoption;
	c->streams.foreign = true;
	adoption->borrowed = borrowed;
	cshim_handlers_set(c);
	cshim_adoption_add(c);
	return c;
}

void cshim_context_give_back(cshim_context *c)
{
	cshim_adoption_end(c);
	release(c);
}

#else

cshim_context *cshim_context_adopt(coap_context_t *ctx, void *handle, bool borrowed)
{
	(void)ctx;
	(void)handle;
	(void)borrowed;
	return NULL;
}

void cshim_context_give_back(cshim_context *c)
{
	(void)c;
}

#endif

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

coap_endpoint_t *cshim_endpoint_new(cshim_context *c, const struct cshim_address *address,
				    coap_proto_t proto)
{
	struct cshim_sockets *outer;
	coap_endpoint_t *endpoint;
	coap_address_t a;

	cshim_address_to(address, &a);
	if (!can_bind(&a, proto))
		return NULL;
	outer = cshim_fix_sockets_enter(&c->sockets);
	c->sockets.dtls = proto == COAP_PROTO_DTLS;
	endpoint = coap_new_endpoint(c->ctx, &a, proto);
	c->sockets.dtls = false;
	cshim_fix_sockets_leave(outer);
	if (endpoint != NULL && c->mtu > COAP_DEFAULT_MTU && proto <= COAP_PROTO_DTLS)
		/* otherwise the first message would have to be as small */
		coap_endpoint_set_default_mtu(endpoint, c->mtu);
	return endpoint;
}
