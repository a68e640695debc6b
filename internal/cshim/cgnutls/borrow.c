#include "borrow.h"

/* Exported by borrow.go. */
extern int goGnutlsBorrowedVerify(void *handle);
extern void goGnutlsBorrowedEnd(void *handle, int alert, int heard);

/* From the range for private use. It never goes over the wire: it is valid only
 * in messages that come before a session is watched. */
enum { EXTENSION = 0xff57 };

static int on_verify(gnutls_session_t tls)
{
	return goGnutlsBorrowedVerify(gnutls_session_get_ptr(tls));
}

static int receive_nothing(gnutls_session_t tls, const unsigned char *data, size_t size)
{
	(void)tls;
	(void)data;
	(void)size;
	return 0;
}

static int send_nothing(gnutls_session_t tls, gnutls_buffer_t out)
{
	(void)tls;
	(void)out;
	return 0;
}

/* The one thing that GnuTLS calls when a session is freed: the end of an
 * extension's data. */
static void on_end(gnutls_ext_priv_data_t data)
{
	gnutls_session_t tls = data;

	goGnutlsBorrowedEnd(gnutls_session_get_ptr(tls), gnutls_alert_get(tls),
			    (int)gnutls_handshake_get_last_in(tls) >= 0);
}

int cshim_borrow_watch(gnutls_session_t tls, void *handle)
{
	int ret = gnutls_session_ext_register(tls, "watched", EXTENSION, GNUTLS_EXT_NONE, receive_nothing, send_nothing,
					      on_end, NULL, NULL, GNUTLS_EXT_FLAG_HRR);

	if (ret < 0)
		return ret;
	gnutls_session_set_ptr(tls, handle);
	gnutls_ext_set_data(tls, EXTENSION, tls);
	gnutls_session_set_verify_function(tls, on_verify);
	return 0;
}
