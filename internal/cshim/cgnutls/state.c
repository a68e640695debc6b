#include "state.h"

const char *cshim_cipher_suite(gnutls_session_t tls, unsigned *id)
{
	gnutls_protocol_t version = gnutls_protocol_get_version(tls);
	gnutls_kx_algorithm_t kx = gnutls_kx_get(tls);
	gnutls_cipher_algorithm_t cipher = gnutls_cipher_get(tls);
	gnutls_mac_algorithm_t mac = gnutls_mac_get(tls);
	unsigned char number[2];
	gnutls_kx_algorithm_t suite_kx;
	gnutls_cipher_algorithm_t suite_cipher;
	gnutls_mac_algorithm_t suite_mac;
	gnutls_protocol_t min;
	const char *name;

	for (size_t i = 0; (name = gnutls_cipher_suite_info(i, number, &suite_kx, &suite_cipher,
							    &suite_mac, &min)) != NULL;
	     i++) {
		if (suite_cipher != cipher || suite_mac != mac)
			continue;
		if (version == GNUTLS_TLS1_3 ? min != GNUTLS_TLS1_3 : suite_kx != kx || min == GNUTLS_TLS1_3)
			continue;
		*id = number[0] << 8 | number[1];
		return name;
	}
	return NULL;
}

const char *cshim_cipher_suite_name(unsigned id)
{
	unsigned char number[2];
	const char *name;

	for (size_t i = 0;
	     (name = gnutls_cipher_suite_info(i, number, NULL, NULL, NULL, NULL)) != NULL; i++) {
		if ((number[0] << 8 | number[1]) == (int)id)
			return name;
	}
	return NULL;
}

int cshim_is_psk(gnutls_session_t tls, bool server)
{
	gnutls_credentials_type_t type =
		server ? gnutls_auth_client_get_type(tls) : gnutls_auth_server_get_type(tls);

	return type == GNUTLS_CRD_PSK;
}
