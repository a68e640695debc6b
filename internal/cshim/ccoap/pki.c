#include <stdlib.h>
#include <string.h>

#include "_cgo_export.h"
#include "client.h"
#include "ext_tls.h"
#include "identity.h"
#include "pki.h"

void cshim_pki_free(struct cshim_pki *pki)
{
	cshim_key_free(&pki->key);
	for (size_t i = 0; i < pki->n_named; i++)
		cshim_key_free(&pki->named[i]);
	free(pki->named);
}

int cshim_pki_add(cshim_context *c, struct cshim_key *key)
{
	struct cshim_pki *pki = &c->pki;
	struct cshim_key *named = realloc(pki->named, (pki->n_named + 1) * sizeof(*named));

	if (named == NULL) {
		cshim_key_free(key);
		return 0;
	}
	pki->named = named;
	named[pki->n_named] = *key;
	return cshim_key_load(&named[pki->n_named++]);
}

/* Called with every chain of certificates that libcoap takes, whatever its size. */
static int on_certificates(void *tls, coap_dtls_pki_t *setup)
{
	cshim_context *c = setup->cn_call_back_arg;

	return goCoapVerify(c->handle, tls);
}

#ifdef CSHIM_HAVE_CREDENTIALS

bool cshim_key_load(struct cshim_key *key)
{
	return true;
}

/* The length counts the NUL, which saves libcoap a copy. */
static size_t pem(const uint8_t **to, const char *from)
{
	*to = (const uint8_t *)from;
	return from == NULL ? 0 : strlen(from) + 1;
}

static coap_dtls_key_t native_key(const struct cshim_key *from)
{
	coap_dtls_key_t key = { .key_type = COAP_PKI_KEY_PEM_BUF };

	key.key.pem_buf.public_cert_len = pem(&key.key.pem_buf.public_cert, from->chain);
	key.key.pem_buf.private_key_len = pem(&key.key.pem_buf.private_key, from->key);
	key.key.pem_buf.ca_cert_len = pem(&key.key.pem_buf.ca_cert, from->ca);
	return key;
}

/* Called with every raw public key, and with certificates first. */
static int on_raw_key(const char *name, const uint8_t *der, size_t size, coap_session_t *session,
		      unsigned depth,
		      int validated, void *arg)
{
	cshim_context *c = arg;

	if (strcmp(name, COAP_DTLS_RPK_CERT_CN) != 0)
		return 1;
	return goCoapVerify(c->handle, coap_session_get_tls(session, NULL));
}

/* What libcoap allows here is up to goCoapVerify. */
static coap_dtls_pki_t lenient(cshim_context *c, bool raw)
{
	return (coap_dtls_pki_t){
		.version = COAP_DTLS_PKI_SETUP_VERSION,
		.allow_self_signed = 1,
		.allow_expired_certs = 1,
		.cert_chain_validation = 1,
		.cert_chain_verify_depth = 10,
		.allow_no_crl = 1,
		.allow_expired_crl = 1,
		.allow_bad_md_hash = 1,
		.allow_short_rsa_length = 1,
		.is_rpk_not_cert = raw,
		.cn_call_back_arg = c,
		.sni_call_back_arg = c,
		.additional_tls_setup_call_back = on_certificates,
	};
}

static void set_peer(coap_dtls_pki_t *setup, const struct cshim_key *key, bool raw, bool request)
{
	setup->verify_peer_cert = request;
	setup->check_common_ca = request && key->ca != NULL;
	if (raw)
		setup->validate_cn_call_back = on_raw_key;
}

#else

static coap_dtls_key_t native_key(const struct cshim_key *from)
{
	coap_dtls_key_t key = { .key_type = COAP_PKI_KEY_PEM };

	key.key.pem.public_cert = from->chain;
	key.key.pem.private_key = from->key;
	key.key.pem.ca_file = from->ca;
	return key;
}

static coap_dtls_pki_t lenient(cshim_context *c, bool raw)
{
	return (coap_dtls_pki_t){
		.version = COAP_DTLS_PKI_SETUP_VERSION,
		.allow_expired_certs = 1,
		.cn_call_back_arg = c,
		.sni_call_back_arg = c,
		.additional_tls_setup_call_back = on_certificates,
	};
}

static void set_peer(coap_dtls_pki_t *setup, const struct cshim_key *key, bool raw, bool request)
{
	setup->verify_peer_cert = request;
	setup->require_peer_cert = request;
}

#endif

/* Called once for each name. */
static coap_dtls_key_t *on_name(const char *name, void *arg)
{
	cshim_context *c = arg;
	int i = goCoapServerName(c->handle, (char *)name);

	if (i < 0)
		return NULL;
	c->pki.chosen = native_key(i == 0 ? &c->pki.key : &c->pki.named[i - 1]);
	return &c->pki.chosen;
}

int cshim_pki_set(cshim_context *c, struct cshim_key *key, bool raw, bool request, bool by_name)
{
	struct cshim_pki *pki = &c->pki;

	cshim_key_free(&pki->key);
	pki->key = *key;
	if (!cshim_key_load(&pki->key))
		return 0;
	pki->set = true;
	pki->setup = lenient(c, raw);
	set_peer(&pki->setup, &pki->key, raw, request);
	if (by_name && !(CSHIM_HEARS_OF_HELLO && cshim_ext_tls_sets_up()))
		pki->setup.validate_sni_call_back = on_name;
	pki->setup.pki_key = native_key(&pki->key);
	return coap_context_set_pki(c->ctx, &pki->setup);
}

int cshim_pki_client(cshim_context *c, const struct cshim_client *client)
{
	coap_dtls_pki_t setup = lenient(c, client->raw);

	setup.client_sni = client->name;
	setup.pki_key = native_key(&client->pair);
	return coap_context_set_pki(c->ctx, &setup);
}

void cshim_pki_reset(cshim_context *c)
{
	coap_dtls_pki_t nothing = lenient(c, false);
	struct cshim_key none = { .chain = NULL };

	nothing.pki_key = native_key(&none);
	coap_context_set_pki(c->ctx, c->pki.set ? &c->pki.setup : &nothing);
}
