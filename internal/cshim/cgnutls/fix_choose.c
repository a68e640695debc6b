#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fix_choose.h"

struct pair {
	gnutls_pcert_st *certs; /* the array is ours, its contents are those of the credentials */
	unsigned n;
	gnutls_datum_t *issuers; /* of each certificate, the raw name */
	gnutls_privkey_t key;
	gnutls_pk_algorithm_t algo;
	unsigned bits;
	gnutls_ecc_curve_t curve;
	gnutls_digest_algorithm_t digest; /* the only one, or unknown */
	bool signs;                       /* its key usage allows that */
};

struct chooser {
	struct chooser *next;
	gnutls_certificate_credentials_t cred;
	struct pair *pairs;
	size_t n;
};

/* GnuTLS hands the credentials to the function that chooses, and nothing of ours. */
enum { BUCKETS = 256 };
static struct chooser *choosers[BUCKETS];
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;

static struct chooser **bucket(gnutls_certificate_credentials_t cred)
{
	uintptr_t p = (uintptr_t)cred;

	return &choosers[(p >> 4 ^ p >> 12) % BUCKETS];
}

static struct chooser *find(gnutls_certificate_credentials_t cred)
{
	struct chooser *c;

	pthread_rwlock_rdlock(&lock);
	for (c = *bucket(cred); c != NULL && c->cred != cred; c = c->next)
		;
	pthread_rwlock_unlock(&lock);
	return c;
}

static bool issued_by(const struct pair *p, const struct gnutls_cert_retr_st *info)
{
	if (info->nreqs == 0)
		return true;
	for (unsigned i = 0; i < p->n; i++)
		for (unsigned j = 0; j < info->nreqs; j++)
			if (p->issuers[i].size == info->req_ca_rdn[j].size &&
			    memcmp(p->issuers[i].data, info->req_ca_rdn[j].data, p->issuers[i].size) == 0)
				return true;
	return false;
}

/* What a server of TLS 1.2 and before calls the kind of key. */
static bool type_wanted(const struct pair *p, const struct gnutls_cert_retr_st *info, bool tls12)
{
	gnutls_pk_algorithm_t type = p->algo;

	if (tls12 && type == GNUTLS_PK_RSA_PSS)
		type = GNUTLS_PK_RSA;
	if (tls12 && (type == GNUTLS_PK_EDDSA_ED25519 || type == GNUTLS_PK_EDDSA_ED448))
		type = GNUTLS_PK_ECDSA; /* RFC 8422 section 5.5 */
	for (unsigned i = 0; i < info->pk_algos_length; i++)
		if (info->pk_algos[i] == type)
			return true;
	return false;
}

static bool rsa_is_large_enough(const struct pair *p, gnutls_sign_algorithm_t algo)
{
	unsigned hash = gnutls_hash_get_len(gnutls_sign_get_hash_algorithm(algo));

	return p->bits >= 8 * (2 * hash + 2);
}

/* Whether the key makes signatures of an algorithm. */
static bool signs_with(const struct pair *p, gnutls_sign_algorithm_t algo, bool tls13)
{
	switch (algo) {
	case GNUTLS_SIGN_RSA_PSS_RSAE_SHA256:
	case GNUTLS_SIGN_RSA_PSS_RSAE_SHA384:
	case GNUTLS_SIGN_RSA_PSS_RSAE_SHA512:
		return p->algo == GNUTLS_PK_RSA && rsa_is_large_enough(p, algo);
	case GNUTLS_SIGN_RSA_PSS_SHA256:
	case GNUTLS_SIGN_RSA_PSS_SHA384:
	case GNUTLS_SIGN_RSA_PSS_SHA512:
		return p->algo == GNUTLS_PK_RSA_PSS && rsa_is_large_enough(p, algo) &&
		       (p->digest == GNUTLS_DIG_UNKNOWN || p->digest == gnutls_sign_get_hash_algorithm(algo));
	case GNUTLS_SIGN_ECDSA_SECP256R1_SHA256:
		return p->algo == GNUTLS_PK_ECDSA && p->curve == GNUTLS_ECC_CURVE_SECP256R1;
	case GNUTLS_SIGN_ECDSA_SECP384R1_SHA384:
		return p->algo == GNUTLS_PK_ECDSA && p->curve == GNUTLS_ECC_CURVE_SECP384R1;
	case GNUTLS_SIGN_ECDSA_SECP521R1_SHA512:
		return p->algo == GNUTLS_PK_ECDSA && p->curve == GNUTLS_ECC_CURVE_SECP521R1;
	case GNUTLS_SIGN_EDDSA_ED25519:
	case GNUTLS_SIGN_EDDSA_ED448:
		return p->algo == gnutls_sign_get_pk_algorithm(algo);
	default: /* TLS 1.3 has no other */
		return !tls13 && p->algo == gnutls_sign_get_pk_algorithm(algo);
	}
}

static bool suits(gnutls_session_t tls, const struct gnutls_cert_retr_st *info,
		  const struct pair *p)
{
	gnutls_protocol_t version = gnutls_protocol_get_version(tls);
	bool tls13 = version == GNUTLS_TLS1_3;
	bool tls12 = version == GNUTLS_TLS1_2 || version == GNUTLS_DTLS1_2;
	gnutls_sign_algorithm_t algo;

	if (!p->signs || !issued_by(p, info))
		return false;
	if (!tls13 && !type_wanted(p, info, tls12))
		return false;
	if (!tls13 && !tls12)
		return true;
	for (size_t i = 0; gnutls_sign_algorithm_get_requested(tls, i, &algo) >= 0; i++)
		if (signs_with(p, algo, tls13))
			return true;
	return false;
}

static int choose(gnutls_session_t tls, const struct gnutls_cert_retr_st *info,
		  gnutls_pcert_st **certs, unsigned *n,
		  gnutls_ocsp_data_st **ocsp, unsigned *n_ocsp, gnutls_privkey_t *key, unsigned *flags)
{
	const struct chooser *c = find(info->cred);

	*certs = NULL;
	*n = 0;
	*ocsp = NULL;
	*n_ocsp = 0;
	*key = NULL;
	*flags = 0;
	for (size_t i = 0; c != NULL && i < c->n; i++)
		if (suits(tls, info, &c->pairs[i])) {
			*certs = c->pairs[i].certs;
			*n = c->pairs[i].n;
			*key = c->pairs[i].key;
			break;
		}
	return 0;
}

int cshim_fix_choose_attach(gnutls_certificate_credentials_t cred)
{
	struct chooser *c = calloc(1, sizeof(*c)), **first = bucket(cred);

	if (c == NULL)
		return GNUTLS_E_MEMORY_ERROR;
	c->cred = cred;
	pthread_rwlock_wrlock(&lock);
	c->next = *first;
	*first = c;
	pthread_rwlock_unlock(&lock);
	gnutls_certificate_set_retrieve_function3(cred, choose);
	return 0;
}

static void pair_free(struct pair *p)
{
	for (unsigned i = 0; p->issuers != NULL && i < p->n; i++)
		gnutls_free(p->issuers[i].data);
	free(p->issuers);
	gnutls_free(p->certs);
}

static int read_issuer(const gnutls_datum_t *der, gnutls_datum_t *issuer)
{
	gnutls_x509_crt_t crt;
	int ret = gnutls_x509_crt_init(&crt);

	if (ret < 0)
		return ret;
	ret = gnutls_x509_crt_import(crt, der, GNUTLS_X509_FMT_DER);
	if (ret >= 0)
		ret = gnutls_x509_crt_get_raw_issuer_dn(crt, issuer);
	gnutls_x509_crt_deinit(crt);
	return ret;
}

/* The digest that an RSA-PSS key is restricted to. */
static gnutls_digest_algorithm_t only_digest(gnutls_pubkey_t key)
{
	gnutls_x509_spki_t spki;
	gnutls_digest_algorithm_t digest = GNUTLS_DIG_UNKNOWN;

	if (gnutls_x509_spki_init(&spki) < 0)
		return digest;
	if (gnutls_pubkey_get_spki(key, spki, 0) < 0 ||
	    gnutls_x509_spki_get_rsa_pss_params(spki, &digest, NULL) < 0)
		digest = GNUTLS_DIG_UNKNOWN;
	gnutls_x509_spki_deinit(spki);
	return digest;
}

static int pair_read(struct pair *p)
{
	gnutls_pubkey_t leaf = p->certs[0].pubkey;
	unsigned usage = 0;

	p->issuers = calloc(p->n, sizeof(*p->issuers));
	if (p->issuers == NULL)
		return GNUTLS_E_MEMORY_ERROR;
	for (unsigned i = 0; i < p->n; i++) {
		int ret = read_issuer(&p->certs[i].cert, &p->issuers[i]);
		if (ret < 0)
			return ret;
	}
	p->algo = gnutls_pubkey_get_pk_algorithm(leaf, &p->bits);
	if (p->algo == GNUTLS_PK_ECDSA)
		gnutls_pubkey_export_ecc_raw2(leaf, &p->curve, NULL, NULL, 0);
	if (p->algo == GNUTLS_PK_RSA_PSS)
		p->digest = only_digest(leaf);
	p->signs = gnutls_pubkey_get_key_usage(leaf, &usage) < 0 || usage == 0 ||
		   (usage & GNUTLS_KEY_DIGITAL_SIGNATURE) != 0;
	return 0;
}

int cshim_fix_choose_add(gnutls_certificate_credentials_t cred, gnutls_pcert_st *certs,
			 unsigned n, gnutls_privkey_t key)
{
	struct chooser *c = find(cred);
	struct pair p = { .certs = certs, .n = n, .key = key }, *pairs;
	int ret;

	if (c == NULL)
		return 0;
	ret = pair_read(&p);
	pairs = ret < 0 ? NULL : realloc(c->pairs, (c->n + 1) * sizeof(*pairs));
	if (pairs == NULL) {
		p.certs = NULL;
		pair_free(&p);
		return ret < 0 ? ret : GNUTLS_E_MEMORY_ERROR;
	}
	c->pairs = pairs;
	c->pairs[c->n++] = p;
	return 1;
}

void cshim_fix_choose_detach(gnutls_certificate_credentials_t cred)
{
	struct chooser **at, *c;

	pthread_rwlock_wrlock(&lock);
	for (at = bucket(cred); *at != NULL && (*at)->cred != cred; at = &(*at)->next)
		;
	c = *at;
	if (c != NULL)
		*at = c->next;
	pthread_rwlock_unlock(&lock);
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->n; i++)
		pair_free(&c->pairs[i]);
	free(c->pairs);
	free(c);
}
