#include <string.h>

#include "hello.h"

enum { VERSION_AND_RANDOM = 2 + 32, SUPPORTED_VERSIONS = 43, TLS1_3 = 0x0304 };

static unsigned u16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

/* Whether the extensions of a ServerHello select TLS 1.3. p is what follows its
 * session ID. */
static bool selects_tls13(const uint8_t *p, size_t n)
{
	const size_t suite_and_compression = 3, list_length = 2, header = 4;

	if (n < suite_and_compression + list_length)
		return false;
	p += suite_and_compression + list_length;
	n -= suite_and_compression + list_length;
	while (n >= header) {
		size_t size = u16(p + 2);

		if (n < header + size)
			return false;
		if (u16(p) == SUPPORTED_VERSIONS)
			return size == 2 && u16(p + header) == TLS1_3;
		p += header + size;
		n -= header + size;
	}
	return false;
}

int cshim_hello_message(cshim_session *s, unsigned htype, const gnutls_datum_t *msg)
{
	const uint8_t *id;
	size_t size;

	if (msg->size <= VERSION_AND_RANDOM)
		return 0; /* GnuTLS finds it too short */
	size = msg->data[VERSION_AND_RANDOM];
	id = msg->data + VERSION_AND_RANDOM + 1;
	if (size > sizeof(s->hello_id) || msg->size < VERSION_AND_RANDOM + 1 + size)
		return 0;
	if (htype == GNUTLS_HANDSHAKE_CLIENT_HELLO) {
		memcpy(s->hello_id, id, size);
		s->hello_id_size = size;
		return 0;
	}
	if (s->offered_tls13 && size > 0 && size == s->hello_id_size && memcmp(id, s->hello_id, size) == 0 &&
	    !selects_tls13(id + size, msg->size - VERSION_AND_RANDOM - 1 - size))
		return GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER;
	return 0;
}
