#ifndef CSHIM_VERIFY_H
#define CSHIM_VERIFY_H

#include "base.h"

/* When the peer's certificate has come the handshake stops with CSHIM_VERIFY,
 * outside C, and goes on when Go has decided. */
enum {
	CSHIM_VERIFY_NONE = 0,
	CSHIM_VERIFY_WAITING,
	CSHIM_VERIFY_ACCEPTED,
};

void cshim_verify_attach(cshim_session *s);
void cshim_verify_accept(cshim_session *s);

/* With any_key_usage GnuTLS overlooks a key usage that is wrong for the cipher suite.
 * There is no switch for that alone: the compatibility mode does it, and does nothing
 * else that matters once the hellos are over. */
void cshim_verify_message(cshim_session *s, unsigned htype);

/* One step of a certificate path: a certificate, the one that signed it, and
 * the gnutls_certificate_status_t bits of the step. */
struct cshim_link {
	gnutls_datum_t cert;
	gnutls_datum_t issuer;
	unsigned status;
};

struct cshim_path {
	struct cshim_link *links;
	int n;
	int error; /* an error while the path was recorded */
};

/* Verifies the peer's certificate against the session's credentials. name is
 * a host name, or NULL, or the 4 or 16 bytes of an IP address with ip_size
 * set. The caller frees path with cshim_path_free. */
int cshim_verify_peer(gnutls_session_t tls, const char *name, unsigned ip_size, const char *purpose,
		      unsigned *status, struct cshim_path *path);
void cshim_path_free(struct cshim_path *path);

#endif
