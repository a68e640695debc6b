#include <string.h>

#include "fix_hello.h"
#include "parse.h"

enum { VERSION_AND_RANDOM = 2 + 32, SUPPORTED_VERSIONS = 43, TLS1_3 = 0x0304 };

/* Whether the extensions of a ServerHello select TLS 1.3. b is what follows its
 * session ID. */
static bool selects_tls13(struct cshim_bytes b)
{
	const size_t suite_and_compression = 3;
	struct cshim_bytes list, version;

	return cshim_skip(&b, suite_and_compression) && cshim_vector(&b, 2, &list) &&
	       cshim_find_extension(list, SUPPORTED_VERSIONS, &version) && version.n == 2 &&
	       cshim_u16(version.p) == TLS1_3;
}

int cshim_fix_hello_message(cshim_session *s, unsigned htype, const gnutls_datum_t *msg)
{
	struct cshim_bytes b = { msg->data, msg->size };
	struct cshim_bytes id;

	if (htype == GNUTLS_HANDSHAKE_HELLO_RETRY_REQUEST)
		return s->early_data ? GNUTLS_E_EARLY_DATA_REJECTED : 0;
	if (!cshim_skip(&b, VERSION_AND_RANDOM) || !cshim_vector(&b, 1, &id) || id.n > sizeof(s->hello_id))
		return 0; /* GnuTLS finds it too short */
	if (htype == GNUTLS_HANDSHAKE_CLIENT_HELLO) {
		memcpy(s->hello_id, id.p, id.n);
		s->hello_id_size = id.n;
		return 0;
	}
	if (b.n >= 2)
		s->suite = cshim_u16(b.p);
	if (s->early_data && !selects_tls13(b))
		return GNUTLS_E_EARLY_DATA_REJECTED;
	if (s->offered_tls13 && id.n > 0 && id.n == s->hello_id_size &&
	    memcmp(id.p, s->hello_id, id.n) == 0 && !selects_tls13(b))
		return GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER;
	return 0;
}
