#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "_cgo_export.h"
#include "client.h"
#include "identity.h"
#include "psk.h"
#include "session.h"

static void wipe(struct cshim_psk *psk)
{
	cshim_wipe(psk->key, psk->key_size);
	psk->key = NULL;
	free(psk->identity);
	psk->identity = NULL;
}

static void hints_free(char **hints, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(hints[i]);
	free(hints);
}

void cshim_psk_free(struct cshim_psk *psk)
{
	wipe(psk);
	hints_free(psk->hints, psk->n_hints);
}

#ifdef CSHIM_HAVE_CREDENTIALS

static coap_bin_const_t text(const char *s)
{
	return (coap_bin_const_t){ .length = strlen(s), .s = (const uint8_t *)s };
}

static const coap_bin_const_t *on_identity(coap_bin_const_t *identity, coap_session_t *session,
					   void *arg)
{
	cshim_context *c = arg;
	struct cshim_psk *psk = &c->psk;

	wipe(psk);
	if (!goCoapPSK(c->handle, coap_session_get_tls(session, NULL), (uint8_t *)identity->s,
		       identity->length, psk))
		return NULL;
	psk->found = (coap_bin_const_t){ .length = psk->key_size, .s = psk->key };
	return &psk->found;
}

/* Called once for each name. */
static const coap_dtls_spsk_info_t *on_psk_name(const char *name, coap_session_t *session,
						void *arg)
{
	cshim_context *c = arg;
	int i = goCoapServerName(c->handle, (char *)name);

	if (i < 0)
		return NULL;
	c->psk.server.hint = text(c->psk.hints[i]);
	return &c->psk.server;
}

int cshim_psk_set(cshim_context *c, char **hints, size_t n, bool by_name)
{
	coap_dtls_spsk_t setup = {
		.version = COAP_DTLS_SPSK_SETUP_VERSION,
		.validate_id_call_back = on_identity,
		.id_call_back_arg = c,
		.validate_sni_call_back = by_name ? on_psk_name : NULL,
		.sni_call_back_arg = c,
	};

	hints_free(c->psk.hints, c->psk.n_hints);
	c->psk.hints = hints;
	c->psk.n_hints = n;
	setup.psk_info.hint = text(hints[0]);
	return coap_context_set_psk2(c->ctx, &setup);
}

static const coap_dtls_cpsk_info_t *on_hint(coap_str_const_t *hint, coap_session_t *session,
					    void *arg)
{
	cshim_context *c = arg;
	struct cshim_psk *psk = &c->psk;

	wipe(psk);
	if (!goCoapHint(c->handle, cshim_session_id(session), (uint8_t *)hint->s, hint->length, psk))
		return NULL;
	psk->client.identity = (coap_bin_const_t){ .length = psk->identity_size, .s = psk->identity };
	psk->client.key = (coap_bin_const_t){ .length = psk->key_size, .s = psk->key };
	return &psk->client;
}

coap_session_t *cshim_session_open_psk(cshim_context *c, const struct cshim_opening *opening,
				       struct cshim_secret secret)
{
	const bool bound = opening->local.ip_size > 0;
	coap_dtls_cpsk_t setup = {
		.version = COAP_DTLS_CPSK_SETUP_VERSION,
		.validate_ih_call_back = secret.by_hint ? on_hint : NULL,
		.ih_call_back_arg = c,
	};
	struct cshim_client *client;
	coap_address_t from, to;
	coap_session_t *session;
	struct cshim_sockets *outer_sockets;
	cshim_context *outer;

	client = cshim_client_add(&c->clients, ++c->last_session, opening->name, secret.identity,
				  secret.identity_size, secret.key, secret.key_size);
	if (client == NULL)
		return NULL;
	setup.client_sni = client->name;
	setup.psk_info.identity =
		(coap_bin_const_t){.length = secret.identity_size, .s = client->identity};
	setup.psk_info.key = (coap_bin_const_t){ .length = secret.key_size, .s = client->key };
	cshim_address_to(&opening->server, &to);
	if (bound)
		cshim_address_to(&opening->local, &from);
	c->new_client = client->id;
	outer = cshim_ext_tls_enter(c);
	outer_sockets = cshim_fix_sockets_enter(&c->sockets);
	session = coap_new_client_session_psk2(c->ctx, bound ? &from : NULL, &to, opening->proto, &setup);
	cshim_fix_sockets_leave(outer_sockets);
	cshim_ext_tls_leave(outer);
	return cshim_session_number(c, session);
}

static const uint8_t *bytes(const coap_bin_const_t *b, size_t *size)
{
	*size = b == NULL ? 0 : b->length;
	return b == NULL ? NULL : b->s;
}

const uint8_t *cshim_session_identity(const coap_session_t *session, size_t *size)
{
	return bytes(coap_session_get_psk_identity(session), size);
}

const uint8_t *cshim_session_hint(const coap_session_t *session, size_t *size)
{
	return bytes(coap_session_get_psk_hint(session), size);
}

#else

static size_t on_identity(const coap_session_t *session, const uint8_t *identity, size_t size,
			  uint8_t *key,
			  size_t max)
{
	cshim_context *c = cshim_context_of(session);
	struct cshim_psk *psk = &c->psk;

	wipe(psk);
	if (goCoapPSK(c->handle, cshim_session_tls(session), (uint8_t *)identity, size, psk) &&
	    psk->key_size <= max) {
		memcpy(key, psk->key, psk->key_size);
		return psk->key_size;
	}
	/* No key would be an empty one, which the client may have as well. */
	while (getrandom(key, max, 0) != (ssize_t)max)
		;
	return max;
}

int cshim_psk_set(cshim_context *c, char **hints, size_t n, bool by_name)
{
	static const uint8_t unused;

	hints_free(c->psk.hints, c->psk.n_hints);
	c->psk.hints = hints;
	c->psk.n_hints = n;
	c->ctx->get_server_psk = on_identity;
	return coap_context_set_psk(c->ctx, "", &unused, sizeof(unused));
}

coap_session_t *cshim_session_open_psk(cshim_context *c, const struct cshim_opening *opening,
				       struct cshim_secret secret)
{
	const bool bound = opening->local.ip_size > 0;
	char *text = strndup((const char *)secret.identity, secret.identity_size);
	coap_address_t from, to;
	coap_session_t *session = NULL;
	struct cshim_sockets *outer_sockets;
	cshim_context *outer;

	cshim_address_to(&opening->server, &to);
	if (bound)
		cshim_address_to(&opening->local, &from);
	c->new_client = ++c->last_session;
	outer = cshim_ext_tls_enter(c);
	outer_sockets = cshim_fix_sockets_enter(&c->sockets);
	if (text != NULL)
		session = coap_new_client_session_psk(c->ctx, bound ? &from : NULL, &to, opening->proto, text,
						      secret.key, secret.key_size);
	cshim_fix_sockets_leave(outer_sockets);
	cshim_ext_tls_leave(outer);
	free(text);
	return cshim_session_number(c, session);
}

const uint8_t *cshim_session_identity(const coap_session_t *session, size_t *size)
{
	*size = session->psk_identity_len;
	return session->psk_identity;
}

const uint8_t *cshim_session_hint(const coap_session_t *session, size_t *size)
{
	*size = 0;
	return NULL;
}

#endif
