#include <string.h>

#include <gnutls/crypto.h>

#include "fix_alert.h"

enum {
	HEADER = 5,
	APPLICATION_DATA = 23,
	ALERT = 21,
	NONCE = 12,
	TEXT = 3 /* level, description, type */
};

size_t cshim_fix_alert_suspect(const cshim_session *s, const uint8_t *record)
{
	size_t size = record[3] << 8 | record[4];

	if (record[0] != APPLICATION_DATA || gnutls_protocol_get_version(s->tls) != GNUTLS_TLS1_3 ||
	    size != TEXT + gnutls_cipher_get_tag_size(gnutls_cipher_get(s->tls)) ||
	    HEADER + size > CSHIM_ALERT_RECORD)
		return HEADER;
	return HEADER + size;
}

/* Decrypts a record as GnuTLS would. */
static bool decrypt(cshim_session *s, const uint8_t *record, size_t size, const uint8_t sequence[8],
		    uint8_t text[TEXT])
{
	gnutls_cipher_algorithm_t cipher = gnutls_cipher_get(s->tls);
	gnutls_aead_cipher_hd_t aead;
	gnutls_datum_t iv, key;
	uint8_t nonce[NONCE];
	size_t n = TEXT;
	int ret;

	if (gnutls_record_get_state(s->tls, 1, NULL, &iv, &key, NULL) < 0 || iv.size != NONCE ||
	    gnutls_aead_cipher_init(&aead, cipher, &key) < 0)
		return false;
	memcpy(nonce, iv.data, NONCE);
	for (size_t i = 0; i < 8; i++)
		nonce[NONCE - 8 + i] ^= sequence[i];
	ret = gnutls_aead_cipher_decrypt(aead, nonce, NONCE, record, HEADER,
					 gnutls_cipher_get_tag_size(cipher), record + HEADER,
					 size - HEADER, text, &n);
	gnutls_aead_cipher_deinit(aead);
	return ret >= 0 && n == TEXT;
}

bool cshim_fix_alert_ignore(cshim_session *s, const uint8_t *record, size_t size)
{
	uint8_t seq[8], text[TEXT];

	if (s->warnings >= CSHIM_MAX_WARNINGS ||
	    gnutls_record_get_state(s->tls, 1, NULL, NULL, NULL, seq) < 0 ||
	    !decrypt(s, record, size, seq, text) || text[2] != ALERT ||
	    text[1] != GNUTLS_A_USER_CANCELED)
		return false;
	s->warnings++;
	for (size_t i = 8; i-- > 0 && ++seq[i] == 0;)
		;
	return gnutls_record_set_state(s->tls, 1, seq) >= 0;
}
