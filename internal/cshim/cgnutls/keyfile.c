#include <gnutls/pkcs12.h>
#include <gnutls/x509.h>
#include <string.h>

#include "keyfile.h"

static int no_password(void *userdata, int attempt, const char *token_url, const char *token_label,
		       unsigned flags, char *pin, size_t pin_max)
{
	(void)userdata;
	(void)attempt;
	(void)token_url;
	(void)token_label;
	(void)flags;
	(void)pin;
	(void)pin_max;
	return GNUTLS_E_DECRYPTION_FAILED;
}

int cshim_key_decode(const gnutls_datum_t *in, bool pem, const char *password,
		     gnutls_datum_t *pkcs8)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_fmt_t format = pem ? GNUTLS_X509_FMT_PEM : GNUTLS_X509_FMT_DER;
	int ret;

	ret = gnutls_x509_privkey_init(&key);
	if (ret < 0)
		return ret;
	gnutls_x509_privkey_set_pin_function(key, no_password, NULL);
	ret = gnutls_x509_privkey_import2(key, in, format, *password ? password : NULL, 0);
	if (ret >= 0)
		ret = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_DER, NULL, GNUTLS_PKCS_PLAIN, pkcs8);
	gnutls_x509_privkey_deinit(key);
	return ret;
}

int cshim_pkcs12_decode(const gnutls_datum_t *in, const char *password, gnutls_datum_t *pkcs8,
			gnutls_datum_t **certs, unsigned *n)
{
	gnutls_pkcs12_t p12;
	gnutls_x509_privkey_t key = NULL;
	gnutls_x509_crt_t *chain = NULL;
	unsigned chain_len = 0, done = 0;
	int ret;

	ret = gnutls_pkcs12_init(&p12);
	if (ret < 0)
		return ret;
	ret = gnutls_pkcs12_import(p12, in, GNUTLS_X509_FMT_DER, 0);
	if (ret >= 0)
		ret = gnutls_pkcs12_verify_mac(p12, password);
	if (ret >= 0)
		ret = gnutls_pkcs12_simple_parse(p12, password, &key, &chain, &chain_len, NULL, NULL, NULL, 0);
	gnutls_pkcs12_deinit(p12);
	if (ret < 0)
		return ret;

	if (key == NULL || chain_len == 0)
		ret = GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;
	if (ret >= 0)
		ret = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_DER, NULL, GNUTLS_PKCS_PLAIN, pkcs8);
	if (ret >= 0) {
		*certs = gnutls_calloc(chain_len, sizeof(**certs));
		if (*certs == NULL)
			ret = GNUTLS_E_MEMORY_ERROR;
		for (; ret >= 0 && done < chain_len; done++)
			ret = gnutls_x509_crt_export2(chain[done], GNUTLS_X509_FMT_DER, &(*certs)[done]);
		if (ret < 0) {
			for (unsigned i = 0; *certs != NULL && i < done; i++)
				gnutls_free((*certs)[i].data);
			gnutls_free(*certs);
			gnutls_free(pkcs8->data);
		}
	}
	*n = done;
	for (unsigned i = 0; i < chain_len; i++)
		gnutls_x509_crt_deinit(chain[i]);
	gnutls_free(chain);
	if (key != NULL)
		gnutls_x509_privkey_deinit(key);
	return ret;
}

int cshim_certificate_check(const gnutls_datum_t *der)
{
	gnutls_x509_crt_t cert;
	int ret = gnutls_x509_crt_init(&cert);

	if (ret < 0)
		return ret;
	ret = gnutls_x509_crt_import(cert, der, GNUTLS_X509_FMT_DER);
	gnutls_x509_crt_deinit(cert);
	return ret;
}

void cshim_forget(char *s)
{
	gnutls_memset(s, 0, strlen(s));
}
