#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#include "base.h"
#include "credentials.h"
#include "fix_choose.h"

/* Exported by signer.go. Returns 0 and a signature that gnutls_malloc made,
 * or a GnuTLS error. prehashed tells whether data is a hash. */
extern int goGnutlsSign(void *session_handle, void *signer, int algo, int hash, int prehashed,
			void *data, size_t size, gnutls_datum_t *signature);

int cshim_credentials_trust(gnutls_certificate_credentials_t cred, const gnutls_datum_t *certs,
			    int n)
{
	int ret = 0;

	for (int i = 0; i < n; i++) {
		ret = gnutls_certificate_set_x509_trust_mem(cred, &certs[i], GNUTLS_X509_FMT_DER);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int cshim_credentials_crl(gnutls_certificate_credentials_t cred, const gnutls_datum_t *der)
{
	return gnutls_certificate_set_x509_crl_mem(cred, der, GNUTLS_X509_FMT_DER);
}

struct signer {
	void *handle;
	int algo;
	int bits;
};

static int sign_data(gnutls_privkey_t key, gnutls_sign_algorithm_t algo, void *userdata,
		     unsigned int flags,
		     const gnutls_datum_t *data, gnutls_datum_t *signature)
{
	struct signer *s = userdata;

	(void)key;
	(void)flags;
	return goGnutlsSign(cshim_current_handle(), s->handle, algo,
			    gnutls_sign_get_hash_algorithm(algo), 0, data->data, data->size,
			    signature);
}

static int sign_hash(gnutls_privkey_t key, gnutls_sign_algorithm_t algo, void *userdata,
		     unsigned int flags,
		     const gnutls_datum_t *hash, gnutls_datum_t *signature)
{
	struct signer *s = userdata;

	(void)key;
	(void)flags;
	return goGnutlsSign(cshim_current_handle(), s->handle, algo,
			    gnutls_sign_get_hash_algorithm(algo), 1, hash->data, hash->size,
			    signature);
}

static int key_info(gnutls_privkey_t key, unsigned int flags, void *userdata)
{
	struct signer *s = userdata;

	(void)key;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO)
		return s->algo;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS)
		return s->bits;
	if (flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO) {
		gnutls_sign_algorithm_t sign = GNUTLS_FLAGS_TO_SIGN_ALGO(flags);

		return gnutls_sign_supports_pk_algorithm(sign, s->algo) != 0;
	}
	return -1;
}

static void key_deinit(gnutls_privkey_t key, void *userdata)
{
	(void)key;
	free(userdata);
}

static int import_signer(gnutls_privkey_t key, void *handle, int algo, int bits)
{
	struct signer *s = malloc(sizeof(*s));
	int ret;

	if (s == NULL)
		return GNUTLS_E_MEMORY_ERROR;
	*s = (struct signer){ handle, algo, bits };
	ret = gnutls_privkey_import_ext4(key, s, sign_data, sign_hash, NULL, key_deinit, key_info, 0);
	if (ret < 0)
		free(s);
	return ret;
}

int cshim_credentials_key(gnutls_certificate_credentials_t cred, const gnutls_datum_t *chain, int n,
			  const gnutls_datum_t *pkcs8, void *signer, int algo, int bits)
{
	gnutls_pcert_st *pcerts;
	gnutls_privkey_t key = NULL;
	int loaded = 0, ret;

	pcerts = gnutls_calloc(n, sizeof(*pcerts));
	if (pcerts == NULL)
		return GNUTLS_E_MEMORY_ERROR;
	for (; loaded < n; loaded++) {
		ret = gnutls_pcert_import_x509_raw(&pcerts[loaded], &chain[loaded], GNUTLS_X509_FMT_DER, 0);
		if (ret < 0)
			goto fail;
	}
	ret = gnutls_privkey_init(&key);
	if (ret < 0)
		goto fail;
	if (pkcs8->size > 0)
		ret = gnutls_privkey_import_x509_raw(key, pkcs8, GNUTLS_X509_FMT_DER, NULL, GNUTLS_PKCS_PLAIN);
	else
		ret = import_signer(key, signer, algo, bits);
	if (ret < 0)
		goto fail;

	ret = gnutls_certificate_set_key(cred, NULL, 0, pcerts, n, key);
	if (ret < 0)
		goto fail;
	/* cred owns the contents of pcerts and the key now. */
	int index = ret;
	ret = cshim_fix_choose_add(cred, pcerts, n, key);
	if (ret != 1)
		gnutls_free(pcerts);
	return ret < 0 ? ret : index;

fail:
	while (loaded-- > 0)
		gnutls_pcert_deinit(&pcerts[loaded]);
	gnutls_free(pcerts);
	if (key != NULL)
		gnutls_privkey_deinit(key);
	return ret;
}
